"""Every check can fail: a good build's tables are damaged in several ways, and each check must notice one of them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pytest

from demo import simulate
from ingestion import sources
from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.window import Window
from warehouse import build, compiled, dbt, expectations
from warehouse.plan import Build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = Window.parse("2026-11-01", "2026-11-02")
SPOILT = {
    "VARCHAR": "'spoilt'",
    "VARCHAR[]": "[]",
    "BIGINT": "-77",
    "INTEGER": "-77",
    "DECIMAL(18,4)": "1",
    "DECIMAL(38,4)": "1",
    "DECIMAL(18,8)": "1",
    "DECIMAL(28,10)": "1",
    "DECIMAL(6,4)": "0.1",
    "BOOLEAN": "not coalesce({0}, false)",
}
# Views, each with the table that its rows are in.
VIEWS = {"silver.clickstream": "records.clickstream"}
# Rows that a good build does not have, and that damaging all rows alike does not create.
ROWS = [
    "insert into silver.order_items (order_date, currency, is_counted) values (date '2026-11-01', 'EUR', true)",
    "insert into gold.daily_funnel (country, sessions, purchase_sessions, conversion_rate) values ('DE', 1, 5, 5)",
    "insert into gold.daily_sessions (country, events, sessions, visitors) values ('DE', 1, 5, 7)",
    "insert into gold.cohorts (cohort_customers, customers) values (1, 5)",
    "insert into gold.search_terms (term, searches, clicked_searches, click_rate) values ('cup', 1, 5, 5)",
    "insert into gold.visitor_features (visitor_id, events_last_hour, events_7_days) values ('v', 5, 1)",
    "insert into gold.daily_traffic values (date '2026-11-01', 'click', 1, 5)",
    "insert into plan.batches (dataset, source, batch_id, columns, records_written, is_entering) values ('orders', 'orders', 'b', [], 5, true)",
    "insert into ops.differences (dataset, batch_id, is_alert, is_accepted) values ('orders', 'b', true, false)",
    "insert into records.orders (order_id, batch_id, record_no, is_deleted, fate) values ('o', 'b', 1, true, 'current')",
    "insert into records.clickstream (batch_id, record_no, record_date, is_deleted, fate) values ('b', 1, date '2026-11-01', false, 'current')",
    "insert into records.refused (dataset, batch_id, record_no, fate) values ('orders', 'b', 2, 'dead_letter')",
    "insert into records.decisions (subject, target_dataset, target_batch_id, fate) values ('hold', 'orders', 'b', 'spoilt')",
    "insert into ops.held (dataset, batch_id, broken_batch_id, is_open) values ('orders', 'b', 'b', true)",
    "insert into plan.held (dataset, batch_id, is_given) values ('orders', 'b', true)",
    "insert into ops.anomalies (anomaly, dataset, is_alert, is_accepted, period_start) values ('a', 'orders', true, false, '2026-11-01'), ('a', 'orders', true, false, '2026-11-01')",
    "insert into gold.order_risk (order_id) values ('o'), ('o')",
    "insert into ops.restatements (gold_table, gold_date, is_late) values ('daily_revenue', date '2026-11-01', true)",
]


@pytest.fixture(scope="module")
def good(shop: Home) -> Build:
    """Return a build that has been transformed but not applied."""
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 2), orders_per_day=80, events_per_day=2500)
    for source in sources.SOURCES:
        sources.ingest(source, DAY, shop, NOW)
        sources.source_counts(source, DAY, shop, NOW)
    planned = build.plan(shop, build.Request(), NOW)
    assert planned
    build.transform(shop, planned.build_id)
    made = Build(shop, planned.build_id)
    shutil.copyfile(made.file, made.folder / "good.duckdb")
    return made


def checks(made: Build) -> dict[str, dict]:
    """Return dbt's tests by name, as its manifest has them."""
    nodes = json.loads((made.target / "manifest.json").read_text())["nodes"]
    return {node["name"]: node for node in nodes.values() if node["resource_type"] == "test"}


def by_row(made: Build) -> dict[str, str]:
    """Return the row-level tests, each with the table it checks."""
    nodes = json.loads((made.target / "manifest.json").read_text())["nodes"]
    return {
        name: f"{nodes[node['attached_node']]['schema']}.{nodes[node['attached_node']]['alias']}"
        for name, node in checks(made).items()
        if (node.get("test_metadata") or {}).get("name") in dbt._BY_ROW
    }


@dataclass
class Looked:
    """Results of dbt's tests on the good build and on each damaged one, and the SQL of each test that ran."""

    failed: set[str]
    skipped: set[str]
    noticed: set[str]
    sql: dict[str, str]
    messages: dict[str, str]


@pytest.fixture(scope="module")
def looked(good: Build) -> Looked:
    well = dbt.run_tests(good)
    found = Looked(
        {one.name for one in well if one.status == "fail"},
        checks(good).keys() - {one.name for one in well},
        set(),
        {one.name: one.sql for one in well},
        {},
    )
    for how in ("double", "empty", "alter"):
        spoil(good, how)
        results = dbt.run_tests(good)
        found.sql |= {one.name: one.sql for one in results}
        found.noticed |= {one.name for one in results if one.status not in ("pass", "success")}
        found.messages |= {one.name: one.message for one in results if one.status in ("fail", "warn")}
        found.noticed |= {one.name for one in expectations.check(good) if not one.success}
    shutil.copyfile(good.folder / "good.duckdb", good.file)
    return found


def spoil(made: Build, how: str) -> None:
    shutil.copyfile(made.folder / "good.duckdb", made.file)
    with duckdb.connect(str(made.file)) as file:
        tables = file.sql(
            "select schema_name, table_name from duckdb_tables() where schema_name <> 'failures'"
        ).fetchall()
        for schema, name in tables:
            table = f"{schema}.{name}"
            columns = file.sql(
                f"select column_name, data_type, is_nullable from duckdb_columns() where schema_name = '{schema}' and table_name = '{name}'"
            ).fetchall()
            for column, _, nullable in columns:
                if not nullable:
                    file.execute(f"alter table {table} alter {column} drop not null")
            if how == "double":
                file.execute(f"insert into {table} select * from {table}")
            elif how == "empty":
                file.execute(f"update {table} set {', '.join(f'{column} = null' for column, _, _ in columns)}")
            else:
                values = [f"{column} = {SPOILT[kind].format(column)}" for column, kind, _ in columns if kind in SPOILT]
                if values:
                    file.execute(f"update {table} set {', '.join(values)}")
        for statement in ROWS:
            file.execute(statement)


# No contract of the demo says `unlisted: warn`. test_your_data.py has one that does, and sees this check warn.
ONLY_WHERE_A_CONTRACT_ASKS = {"values_are_unlisted"}


@pytest.mark.parametrize("how", ["double", "alter"])
def test_a_check_finds_the_same_in_dbt_and_by_its_known_sql(
    good: Build, looked: Looked, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    spoil(good, how)
    in_dbt: list[str] = []
    monkeypatch.setattr(dbt, "_invoke", _named(dbt._invoke, in_dbt))
    known = dbt.run_tests(good)
    assert in_dbt == [], "the SQL of every check is known by now"
    monkeypatch.setattr(compiled, "read", lambda *_: {})
    by_dbt = [replace(one, began=None, ended=None) for one in dbt.run_tests(good)]
    assert sorted(by_dbt, key=str) == sorted(known, key=str)
    assert {one.status for one in known} == {"pass", "fail", "warn"}
    shutil.copyfile(good.folder / "good.duckdb", good.file)


def _named(invoke: Callable[..., list[dbt.Result]], names: list[str]) -> Callable[..., list[dbt.Result]]:
    def wrapped(*arguments: Any, **named: Any) -> list[dbt.Result]:
        names.append(str(arguments[1]))
        return invoke(*arguments, **named)

    return wrapped


def test_every_check_can_fail(good: Build, looked: Looked) -> None:
    assert looked.failed == set()
    every = {*checks(good), *(one.name for one in expectations.check(good))}
    assert every - looked.noticed == ONLY_WHERE_A_CONTRACT_ASKS


def test_a_failed_check_says_what_its_rows_mean(good: Build, looked: Looked) -> None:
    own = {name for name, node in checks(good).items() if node["config"]["meta"].get("finding")}
    assert (
        {name for name, message in looked.messages.items() if message.startswith("Got ")}
        == checks(good).keys() - own
        == set()
    )


def test_what_is_left_out_for_want_of_rows_could_not_fail(good: Build, looked: Looked) -> None:
    tables = by_row(good)
    with duckdb.connect(str(good.file)) as file:
        file.execute(f"attach '{good.start_state()}' as state (read_only)")
        empty = {table for table in tables.values() if not file.sql(f"from {table} limit 1").fetchall()}
        assert looked.skipped == {name for name, table in tables.items() if table in empty} != set()
        for name, table in tables.items():
            file.execute(f"begin; delete from {VIEWS.get(table, table)}")
            assert file.sql(looked.sql[name]).fetchall() == [], name
            file.execute("rollback")
        # every other test runs whatever its table holds
        assert len(tables) < len(checks(good)) == len(looked.sql)


def test_the_rows_kept_of_an_incomplete_table_name_nobody(good: Build, looked: Looked) -> None:
    personal = {column.name for one in read_contracts().values() for column in one.columns if column.personal}
    assert personal >= {"email", "full_name"}
    seen = set()
    with duckdb.connect(str(good.file), read_only=True) as file:
        for name, node in checks(good).items():
            if (node.get("test_metadata") or {}).get("name") == "complete":
                shown = {column for column, *_ in file.sql(f"describe {looked.sql[name]}").fetchall()}
                assert not shown & personal - set(node["test_metadata"]["kwargs"]["columns"]), name
                held = {column for column, *_ in file.sql(f"describe {by_row(good)[name]}").fetchall()}
                seen |= held & personal
                assert shown >= held - personal - {"raw"}, name
    assert seen >= {"email", "full_name"}, "the checked tables include some with personal columns"


def test_tables_of_a_transform_that_broke_off_are_not_audited(good: Build) -> None:
    """A person may mark the task as successful in Airflow; the audit would then blame the batches for what is missing."""
    good.made.unlink()
    with pytest.raises(Permanent, match="were not built"):
        build.audit(good.home, good.build_id, NOW)
    with pytest.raises(Permanent, match="was not audited"):
        build.publish(good.home, good.build_id)
    for step in (build.transform, build.publish, lambda home, build_id: build.audit(home, build_id, NOW)):
        with pytest.raises(Permanent, match="no build was planned"):
            step(good.home, "")
    good.made.touch()


def test_a_refusal_leaves_no_trace_but_its_findings(good: Build) -> None:
    spoil(good, "alter")
    with pytest.raises(build.Refused):
        build.audit(good.home, good.build_id, NOW)
    # even if the audit's task is marked as successful in Airflow
    with pytest.raises(build.Refused):
        build.publish(good.home, good.build_id)
    assert not good.home.published.exists() and (good.folder / "findings.json").exists()
