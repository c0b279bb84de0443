"""What one change does to a table, without dbt."""

from pathlib import Path

import duckdb
import pytest

from warehouse import apply, shape
from warehouse.dbt import Change


def change(by: dict[str, str], match: str = "keys") -> Change:
    return Change(
        model="records_orders",
        schema="records",
        table="orders",
        match_schema="plan" if match else "",
        match_table=match,
        by=by,
        columns=("order_id", "record_date"),
        types=("varchar", "date"),
        view_sql="",
        is_published=False,
    )


@pytest.fixture
def connection(tmp_path: Path):
    with duckdb.connect(str(tmp_path / "build.duckdb")) as build:
        build.execute("create schema records; create schema plan")
        build.execute("create table records.orders as select 'b' as order_id, date '2026-01-02' as record_date")
        build.execute(
            "create table plan.keys as select 'b' as order_id, date '2026-01-01' as record_date union all select null, null"
        )
    with duckdb.connect() as state:
        state.execute("create schema records")
        state.execute(
            "create table records.orders as select * from (values ('a', date '2026-01-01'), ('b', date '2026-01-01'), "
            "('b', date '2026-01-03'), (null, null)) as rows (order_id, record_date)"
        )
        state.execute(f"attach '{tmp_path / 'build.duckdb'}' as build (read_only)")
        yield state


def rows(connection: duckdb.DuckDBPyConnection, one: Change) -> list[tuple[str | None, str | None]]:
    for statement in apply.statements(connection, one, shape.read(connection), shape.read(connection, "build")):
        connection.execute(statement)
    return connection.execute("select order_id, record_date::varchar from records.orders order by all").fetchall()


def test_only_what_matches_goes_nulls_included(connection: duckdb.DuckDBPyConnection) -> None:
    by = {"order_id": "order_id", "record_date": "record_date"}
    assert rows(connection, change(by)) == [("a", "2026-01-01"), ("b", "2026-01-02"), ("b", "2026-01-03")]


def test_a_match_by_date_leaves_other_dates(connection: duckdb.DuckDBPyConnection) -> None:
    assert rows(connection, change({"record_date": "record_date"})) == [("b", "2026-01-02"), ("b", "2026-01-03")]


def test_a_match_may_be_an_expression(connection: duckdb.DuckDBPyConnection) -> None:
    found = rows(connection, change({"record_date": "cast(record_date - interval 2 day as date)"}))
    assert found == [("a", "2026-01-01"), ("b", "2026-01-01"), ("b", "2026-01-02")]


def test_no_match_replaces_the_table(connection: duckdb.DuckDBPyConnection) -> None:
    assert rows(connection, change({}, match="")) == [("b", "2026-01-02")]


def test_a_new_column_is_added_to_the_state(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("alter table records.orders drop column record_date")
    assert rows(connection, change({"order_id": "order_id"})) == [("a", None), ("b", "2026-01-02")]
