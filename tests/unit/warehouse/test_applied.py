"""What was applied is compared with what was built, and the tables of the state with its ledger."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

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
TOUCHED = applied.Replacement(SALES, "build.gold.sales", "where sale_date = date '2026-01-02'")
LAYERS = ("records", "silver", "gold", "ops")


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
    applied.check_tables(connection, [TOUCHED])
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
    with pytest.raises(Permanent, match=r"gold\.sales would differ from what was built"):
        applied.check_tables(connection, [TOUCHED])


VALUES = {
    "n": ("bigint", "n", "n + 1"),
    "text": ("varchar", "'x' || n", "text || ' '"),
    "amount": ("decimal(18, 4)", "n / 4", "amount + 0.0001"),
    "moment": ("timestamp", "timestamp '2026-01-02' + to_microseconds(n)", "moment + interval 1 microsecond"),
    "is_known": ("boolean", "n = 1", "not is_known"),
    "missing": ("varchar", "null", "''"),
    "reasons": ("varchar[]", "['a', 'b' || n]", "list_reverse(reasons)"),
    "cells": ("map(varchar, varchar)", "map {'k': 'v' || n}", "map {'k': 'w'}"),
    "body": ("json", "json_object('k', n)", """'{"k":7}'"""),
}


@pytest.fixture
def every_layer(tmp_path: Path) -> Iterator[tuple[duckdb.DuckDBPyConnection, dict[str, applied.Replacement]]]:
    """Yield a state and its build, with a table of every type in each layer."""
    changes = {}
    columns = ", ".join(f"({value})::{kind} as {name}" for name, (kind, value, _) in VALUES.items())
    for file in ("build", "state"):
        with duckdb.connect(str(tmp_path / f"{file}.duckdb")) as database:
            for layer in LAYERS:
                database.execute(f"create schema {layer}")
                database.execute(f"create table {layer}.things as select {columns} from range(4) as numbers (n)")
                change = replace(
                    SALES,
                    schema=layer,
                    table="things",
                    columns=tuple(VALUES),
                    types=tuple(one[0] for one in VALUES.values()),
                )
                changes[layer] = applied.Replacement(change, f"build.{layer}.things")
    with duckdb.connect(str(tmp_path / "state.duckdb")) as state:
        state.execute(f"attach '{tmp_path / 'build.duckdb'}' as build (read_only)")
        yield state, changes


@pytest.mark.parametrize("layer", LAYERS)
def test_another_value_in_one_row_of_any_table_is_found(
    every_layer: tuple[duckdb.DuckDBPyConnection, dict[str, applied.Replacement]], layer: str
) -> None:
    state, changes = every_layer
    spoilt = [f"update {layer}.things set {name} = {other} where n = 2" for name, (_, _, other) in VALUES.items()]
    # the same number of rows and the same values per column, combined into different rows
    spoilt += [f"update {layer}.things set text = case n when 1 then 'x2' else 'x1' end where n in (1, 2)"]
    spoilt += [f"delete from {layer}.things where n = 1; insert into {layer}.things from {layer}.things where n = 2"]
    for spoil in spoilt:
        applied.check_tables(state, changes.values())
        state.execute(f"begin; {spoil}")
        with pytest.raises(
            Permanent, match=rf"{layer}\.things would differ from what was built: a row has different values"
        ):
            applied.check_tables(state, changes.values())
        state.execute("rollback")


def test_a_column_that_the_state_keeps_under_an_older_type_is_compared_by_its_values(
    every_layer: tuple[duckdb.DuckDBPyConnection, dict[str, applied.Replacement]],
) -> None:
    state, changes = every_layer
    state.execute(
        "alter table silver.things alter n type integer; alter table silver.things alter amount type decimal(9, 4)"
    )
    applied.check_tables(state, [changes["silver"]])
    state.execute("update silver.things set n = 9 where n = 2")
    with pytest.raises(Permanent, match="different values"):
        applied.check_tables(state, [changes["silver"]])


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
        with pytest.raises(Permanent, match="the tables and the ledger differ: orders 2026-01-0"):
            applied.check_ledger(connection, dates)


def test_other_dates_are_looked_at_only_when_all_are(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("delete from records.orders where record_date = date '2026-01-01'")
    applied.check_ledger(connection, "build.plan.touched")
    with pytest.raises(Permanent, match="2026-01-01"):
        applied.check_ledger(connection)


@pytest.mark.parametrize("days", [[], [None], [date(2026, 11, 2)], [date(2026, 11, 9), None, date(2026, 11, 2)]])
@pytest.mark.parametrize("expression", ["day", "cast(hour as date)", "cast(hour + interval 6 days as date)"])
def test_a_condition_on_dates_selects_them_and_reads_little_else(expression: str, days: list[date | None]) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create table hours as select timestamp '2026-01-01' + to_hours(n) as hour from range(500_000) t (n)"
        )
        connection.execute(
            "create table t as from (select hour, hour::date as day from hours union all select null, null) order by hour"
        )
        rows = connection.execute(f"select hour, {expression} from t order by all").fetchall()
        query = f"select hour from t where {applied.is_on(expression, days)} order by all"
        assert connection.execute(query).fetchall() == [(hour,) for hour, day in rows if day in days]
        explained = json.loads(connection.execute(f"explain (analyze, format json) {query}").fetchall()[0][1])
    if None not in days and "interval" not in expression:
        assert rows_scanned(explained) < 150_000, "row groups were not skipped"


def rows_scanned(operator: dict[str, Any]) -> int:
    children = operator.get("children", [])
    return int(operator.get("operator_rows_scanned", 0)) + sum(rows_scanned(child) for child in children)
