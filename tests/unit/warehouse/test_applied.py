"""What was applied is held against what was built, and the tables of the state against its ledger."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import Permanent
from warehouse import applied
from warehouse.dbt import Change

SALES = Change(
    model="gold_sales",
    schema="gold",
    table="sales",
    match_schema="plan",
    match_table="dates",
    by={"sale_date": "sale_date"},
    columns=("sale_date", "amount"),
    types=("date", "decimal(18, 4)"),
    view_sql="",
    is_published=True,
)
TOUCHED = "where sale_date = date '2026-01-02'"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    tables = """
        create schema gold; create schema records; create schema ops; create schema plan;
        create table gold.sales as select date '2026-01-02' as sale_date, n::decimal(18, 4) as amount from range(3) as numbers (n);
        create table plan.touched as select 'orders' as dataset, date '2026-01-02' as record_date;
    """
    with duckdb.connect(str(tmp_path / "build.duckdb")) as build:
        build.execute(tables)
    with duckdb.connect() as state:
        state.execute(tables)
        state.execute("insert into gold.sales values (date '2026-01-01', 7)")
        state.execute("""
            create table records.orders (batch_id varchar, record_date date, fate varchar);
            insert into records.orders values ('a', '2026-01-01', 'current'), ('a', '2026-01-02', 'current'), ('b', '2026-01-02', 'duplicate');
            create table records.refused (dataset varchar, batch_id varchar, record_date date, fate varchar);
            insert into records.refused values ('orders', 'b', '2026-01-02', 'dead_letter'), ('orders', 'b', null, 'dead_letter');
            create table ops.ledger as
            select 'orders' as dataset, *, 1 as records from records.orders
            union all by name select *, 1 as records from records.refused;
        """)
        state.execute(f"attach '{tmp_path / 'build.duckdb'}' as build (read_only)")
        yield state


def test_what_is_as_it_was_built_passes(connection: duckdb.DuckDBPyConnection) -> None:
    applied.check_tables(connection, [(SALES, TOUCHED)])
    applied.check_ledger(connection)
    applied.check_ledger(connection, "build.plan.touched")


@pytest.mark.parametrize(
    "spoil",
    [
        "insert into gold.sales values (date '2026-01-02', 1)",
        "delete from gold.sales where amount = 1",
        "update gold.sales set amount = 1.0001 where amount = 1",
        "update gold.sales set sale_date = date '2026-01-03' where amount = 1",
    ],
)
def test_rows_that_are_not_the_builds_are_found(connection: duckdb.DuckDBPyConnection, spoil: str) -> None:
    connection.execute(spoil)
    with pytest.raises(Permanent, match=r"gold\.sales would not hold what was built"):
        applied.check_tables(connection, [(SALES, TOUCHED)])


@pytest.mark.parametrize(
    "spoil",
    [
        "insert into records.orders from records.orders",
        "delete from records.orders where batch_id = 'b'",
        "update records.orders set fate = 'superseded' where batch_id = 'b'",
        "insert into records.refused values ('orders', 'b', '2026-01-02', 'dead_letter')",
        "delete from ops.ledger where fate = 'duplicate'",
    ],
)
def test_a_ledger_that_the_tables_do_not_bear_out_is_found(connection: duckdb.DuckDBPyConnection, spoil: str) -> None:
    connection.execute(spoil)
    for dates in ("", "build.plan.touched"):
        with pytest.raises(Permanent, match="tables and ledger differ: orders 2026-01-0"):
            applied.check_ledger(connection, dates)


def test_other_dates_are_looked_at_only_when_all_are(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("delete from records.orders where record_date = date '2026-01-01'")
    applied.check_ledger(connection, "build.plan.touched")
    with pytest.raises(Permanent, match="2026-01-01"):
        applied.check_ledger(connection)
