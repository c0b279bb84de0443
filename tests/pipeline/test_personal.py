"""However a file is published, it holds no names or addresses, and each of its columns is described."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.contract import read_contracts
from ingestion.home import Home
from operations import ledger
from tests.pipeline.delivery import land_rows
from warehouse import personal, publish, state
from warehouse.build import Request, build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
COLUMNS = ["customer_id", "email", "full_name", "country", "created_at", "updated_at"]
CANARY = "c4n4ry"
SHOWN = "select string_agg(column_name, ',' order by column_name) as names from information_schema.columns"


def land(home: Home, *ids: str, at: datetime = NOW) -> None:
    rows = [
        {
            "customer_id": one,
            "email": f"{CANARY}-{one}@shop.example",
            "full_name": f"{CANARY} {one}",
            "country": "DE",
            "created_at": "2026-11-01 10:00:00+00",
            "updated_at": f"{at:%Y-%m-%d %H:%M:%S}+00",
        }
        for one in ids
    ]
    land_rows(home, "customers", COLUMNS, rows, at)


def columns(path: Path) -> set[str]:
    query = f"{SHOWN} where table_schema = 'silver' and table_name = 'customers'"
    return set(state.read(path, "silver.customers", query)[0]["names"].split(","))


def everything(path: Path) -> str:
    """Read every row of every table of a file, as text."""
    with state.connect(path) as connection:
        tables = state.rows(connection, "select schema_name as s, table_name as t from duckdb_tables()")
        return "\n".join(str(state.rows(connection, f"from {row['s']}.{row['t']}")) for row in tables)


def assert_for_readers(home: Home, ids: set[str]) -> None:
    found = state.read(home.published, "silver.customers", "select customer_id from silver.customers")
    assert {row["customer_id"] for row in found} == ids
    assert columns(home.state) - columns(home.published) == {"email", "full_name"}
    assert CANARY in everything(home.state) and CANARY not in everything(home.published)
    assert without_comment(home.published) == []


def without_comment(path: Path) -> list[str]:
    """List the tables and columns of a file that have no comment. A view's columns may have that of the gold table."""
    query = """
        select concat_ws('.', schema_name, table_name, column_name) as name from duckdb_columns()
        where not internal and coalesce(trim(comment), '') = '' and not (schema_name = 'gold_complete' and ('gold', table_name, column_name) in (
            select (schema_name, table_name, column_name) from duckdb_columns()
        ))
        union all
        select concat_ws('.', schema_name, table_name) from duckdb_tables() where coalesce(trim(comment), '') = ''
    """
    with state.connect(path) as connection:
        columns = state.rows(connection, "select count(*) as n from duckdb_columns() where not internal")[0]["n"]
        assert columns > 200
        return sorted(row["name"] for row in state.rows(connection, query))


def test_no_way_to_publish_gives_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path, tmp_path / "landing")
    # publish a copy of the state
    land(home, "c1", "c2")
    build(home, Request(), NOW)
    assert_for_readers(home, {"c1", "c2"})
    assert ledger._published(home) == []

    # publish the change of one build
    land(home, "c3", at=NOW + timedelta(hours=1))
    with monkeypatch.context() as patch:
        patch.setattr(publish, "publish_state", lambda home: pytest.fail("the change alone was to be published"))
        build(home, Request(), NOW + timedelta(hours=1))
    assert_for_readers(home, {"c1", "c2", "c3"})
    assert ledger._published(home) == []

    # files published before a column was marked personal: a kept state that is restored, and the next build
    first = min(path.stem for path in publish._kept(home).iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(publish, "left_out", dict)
        publish.publish_state(home)
    assert CANARY in everything(home.published)
    assert "its columns are" in ledger._published(home)[0]["row"]
    (publish._kept(home) / f"{first}.duckdb").unlink()
    shutil.copyfile(home.published, publish._kept(home) / f"{first}.duckdb")
    publish.pin(home, first, "test", "tester", NOW)
    assert_for_readers(home, {"c1", "c2", "c3"})
    publish._pin(home).unlink()
    shutil.copyfile(publish._kept(home) / f"{first}.duckdb", home.published)
    land(home, "c4", at=NOW + timedelta(hours=2))
    build(home, Request(), NOW + timedelta(hours=2))
    assert_for_readers(home, {"c1", "c2", "c3", "c4"})

    # a row that was changed by hand is still found
    with state.connect(home.published, read_only=False) as connection:
        connection.execute("update silver.customers set country = 'FR' where customer_id = 'c1'")
    assert {row["side"] for row in ledger._published(home)} == {"in the state", "published"}

    # a contract may publish its personal columns
    contracts = read_contracts()
    said = personal.left_out(contracts | {"customers": replace(contracts["customers"], publish_personal=True)})
    monkeypatch.setattr(publish, "left_out", lambda: said)
    publish.publish_state(home)
    assert without_comment(home.published) == []
    assert columns(home.published) == columns(home.state) and CANARY in everything(home.published)
