"""A Postgres for the catalogs of lakes, and homes whose state is in one. Needs `make lake`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ingestion.home import Home
from warehouse import lakehouse

CONNECTION = "lakes"
VARIABLE = "AIRFLOW_CONN_LAKES"
Use = Callable[[Home, str], None]


@pytest.fixture(scope="module")
def use(shop: Home, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Use]:
    """Yield what puts the state of a home into the lake of this module, with its files in a folder or in S3.

    The catalog is in a database of its own, on the server of a shop.
    """
    folder, database = tmp_path_factory.mktemp("files"), request.module.__name__.rpartition(".")[2]
    with psycopg.connect(shop.database_url(), autocommit=True) as connection:
        connection.execute(f'create database "{database}"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, make_conninfo(shop.database_url(), dbname=database))
        yield lambda home, files: lakehouse.use(home, CONNECTION, files or str(folder)) and None


def shared(home: Home, root: Path) -> Home:
    """Return another machine's home, which sees the same bronze."""
    other = Home(root, home.landing)
    root.mkdir()
    other.bronze.symlink_to(home.bronze, target_is_directory=True)
    return other
