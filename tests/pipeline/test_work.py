"""A build reads as much of a long history as of a short one. Rows that DuckDB reads are compared, not seconds."""

import json
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from demo import simulate
from ingestion import sources
from ingestion.contract import PROJECT
from ingestion.home import Home
from ingestion.window import Window
from warehouse import build as warehouse
from warehouse import compiled, dbt
from warehouse.plan import Build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIRST, SECOND, END = "2026-11-01", "2026-11-02", "2026-11-03"
# In a file with small row groups a few days are enough to tell a skipped part from a read one.
ROW_GROUP, COPIES = 2048, 60
# These grow with customers, products and currencies, not with records.
SMALL = {"records.customers", "records.products", "records.exchange_rates", "gold.customers", "gold.daily_products"}
# What else models read of all history, and no more than that.
WHOLE_HISTORY = {
    # the keys that new records may share with old ones
    ("plan_keys_orders", "records.orders"),
    ("plan_keys_order_items", "records.order_items"),
    # the orders of changed lines, and the flags of orders and lines whose customer or product was unknown
    ("plan_order_dates", "silver.orders"),
    ("plan_order_dates", "silver.order_items"),
    # the earlier and later orders of the customers of the touched dates: one narrow row per order
    ("gold_campaigns", "silver.order_context"),
    ("gold_cohorts", "silver.order_context"),
    ("gold_customers", "silver.order_context"),
    ("silver_order_context", "silver.order_context"),
    ("silver_order_features", "silver.order_context"),
}


@pytest.fixture(scope="module")
def made(shop: Home) -> Build:
    """The build of a day on top of another one's, with its tables made and nothing applied."""
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 3), orders_per_day=200, events_per_day=1000)
    for day in ((FIRST, SECOND), (SECOND, END)):
        for source in sources.SOURCES:
            sources.ingest(source, Window.parse(*day), shop, NOW)
        planned = warehouse.plan(shop, warehouse.Request(), NOW)
        assert planned
        warehouse.transform(shop, planned.build_id)
        if day[0] == FIRST:
            warehouse.audit(shop, planned.build_id, NOW)
            warehouse.publish(shop, planned.build_id)
    return Build(shop, planned.build_id)


def test_a_model_reads_no_more_of_a_long_history(made: Build, tmp_path: Path) -> None:
    short, long = (rows_read(made, tmp_path / f"{copies}.duckdb", copies) for copies in (0, COPIES))
    assert len(short) > 80, "the models were not explained"
    grown = {key for key, rows in long.items() if rows > 4 * ROW_GROUP and rows > COPIES / 4 * short[key]}
    assert not {key for key in grown - WHOLE_HISTORY if key[1] not in SMALL}
    assert ("plan_keys_orders", "records.orders") in grown, "the comparison does not see what is known to grow"


def rows_read(build: Build, state: Path, copies: int) -> Counter[tuple[str, str]]:
    """Run each model's query over a state with so many copies of its days before them; count the rows read, by model and table."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{build.home.state}' as original (read_only)")
        connection.execute(f"attach '{state}' as state (row_group_size {ROW_GROUP})")
        connection.execute("copy from database original to state")
        connection.execute("detach original")
        lengthen(connection, copies)
        connection.execute("checkpoint state")
        for name, file in (("build", build.file), ("scratch", build.scratch), ("previous", build.empty)):
            connection.execute(f"attach '{file}' as {name} (read_only)")
        read: Counter[tuple[str, str]] = Counter()
        for node in json.loads(build.made_by.read_text())["nodes"].values():
            if node["resource_type"] == "model" and not node["config"]["meta"].get("apply", {}).get("view"):
                compiled = build.target / "compiled" / node["package_name"] / node["original_file_path"]
                explained = connection.execute(f"explain (analyze, format json) {compiled.read_text()}").fetchall()
                for table, rows in scans(json.loads(explained[0][1])):
                    read[node["name"], table] += rows
        return read


def lengthen(connection: duckdb.DuckDBPyConnection, copies: int) -> None:
    """Add copies of all dated rows of the state, each 400 days before the one after it."""
    columns = connection.execute(
        "select schema_name, table_name, list((column_name, data_type) order by column_index) from duckdb_columns() "
        "inner join duckdb_tables() using (database_name, schema_name, table_name) where database_name = 'state' group by all"
    ).fetchall()
    for schema, table, named in columns:
        if any(kind == "DATE" for _, kind in named):
            moved = ", ".join(
                f"cast({name} - interval (400 * back) days as {kind}) as {name}"
                if kind in ("DATE", "TIMESTAMP")
                else name
                for name, kind in named
            )
            connection.execute(
                f"insert into state.{schema}.{table} "
                f"select {moved} from state.{schema}.{table}, range(1, {copies + 1}) as copies (back)"
            )


def scans(operator: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the tables of the state that an operator and those below it read, each with the number of rows."""
    table = str((operator.get("extra_info") or {}).get("Table") or "")
    found = [(table.removeprefix("state."), operator["operator_rows_scanned"])] if table.startswith("state.") else []
    return found + [scan for child in operator.get("children", []) for scan in scans(child)]


def test_most_models_are_compiled_once_for_all_builds_and_to_what_dbt_compiles(
    made: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their SQL was kept by the build of another day."""
    request = warehouse.Request(date(2026, 11, 1), date(2026, 11, 2), reason="another plan for the same models")
    planned = warehouse.plan(made.home, request, NOW)
    assert planned
    other = Build(made.home, planned.build_id)
    warehouse.transform(made.home, other.build_id)
    known = compiled.read(made.home, PROJECT, "models", dbt._columns_of_state(other))
    by_known = models_of(other)
    assert len(known) > len(by_known) / 2
    assert known.items() <= by_known.items()
    monkeypatch.setattr(compiled, "read", lambda *_: {})
    warehouse.transform(made.home, other.build_id)
    assert models_of(other) == by_known


def models_of(build: Build) -> dict[str, str]:
    """Return the SQL of each model of a build, as dbt ran it."""
    return {
        node["name"]: dbt.compiled_sql(build, node)
        for node in dbt.nodes_of(build).values()
        if node["resource_type"] == "model"
    }
