"""The table of docs/engines.md says which models other warehouses run, translated by sqlglot, on empty tables.

It is no support: nothing is loaded, and no result is compared. Needs `make warehouses`.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from demo import postgres
from ingestion.contract import PROJECT
from ingestion.home import Home
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from tests.pipeline.test_any_order import make_shop
from tests.warehouses import dialects
from warehouse import build as warehouse
from warehouse.plan import Build, Request

pytestmark = pytest.mark.long

ROOT = PROJECT.parent
NOW = datetime(2026, 11, 20, tzinfo=UTC)
ENGINES = ("Snowflake", "Postgres", "ClickHouse", "BigQuery")
ROW = re.compile(r"^\| `(\w+)` \| (yes|no) \| (yes|no) \| (yes|no) \| (yes|no) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The tables of a first build, with every model's SQL."""
    root = tmp_path_factory.mktemp("dialects")
    home, shop = Home(root, root / "landing"), make_shop(20261104)
    for dataset, columns, rows in (("orders", ORDER, shop.orders), ("order_items", LINE, shop.lines)):
        land_rows(home, dataset, columns, rows, NOW)
    land_lines(home, datetime(2026, 11, 3, tzinfo=UTC), shop.events, NOW)
    planned = warehouse.plan(home, Request(), NOW)
    assert planned
    warehouse.transform(home, planned.build_id)
    return Build(home, planned.build_id)


def said(engine: str) -> dict[str, bool]:
    """Return which models an engine runs, as the page says."""
    rows = ROW.findall((ROOT / "docs" / "engines.md").read_text())
    column = 1 + ENGINES.index(engine)
    return {row[0]: row[column] == "yes" for row in rows}


@pytest.mark.parametrize("engine", ["Snowflake", "ClickHouse"])
def test_models_run_in_an_environment_of_the_engine(built: Build, engine: str) -> None:
    python = ROOT / f".venv-{engine.lower()}" / "bin" / "python"
    if not python.is_file():
        pytest.skip("`make warehouses` installs it")
    script, refused = dialects.script(built, engine.lower())
    found = dialects.run(python, engine.lower(), script) | refused
    assert {name: not why for name, why in found.items()} == said(engine), dialects.first_words(found)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    home = Home(tmp_path, tmp_path / "landing")
    yield postgres.start(home)
    postgres.stop(home)


def test_models_run_in_postgres(built: Build, server: str) -> None:
    script, refused = dialects.script(built, "postgres")
    found = dict(refused)
    with psycopg.connect(server, autocommit=True) as connection:
        for name, statement in {**dict(enumerate(script.setup)), **script.queries}.items():
            try:
                connection.execute(statement.encode())
                why = ""
            except psycopg.Error as error:
                why = str(error)
            if isinstance(name, str):
                found[name] = why
    assert {name: not why for name, why in found.items()} == said("Postgres"), dialects.first_words(found)


def test_models_can_be_written_in_the_dialect_of_bigquery(built: Build) -> None:
    """Translated and parsed; nothing runs it."""
    script, refused = dialects.script(built, "bigquery")
    found = dialects.parsed("bigquery", script) | refused
    assert {name: not why for name, why in found.items()} == said("BigQuery"), dialects.first_words(found)
