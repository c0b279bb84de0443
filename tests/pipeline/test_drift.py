"""A source changes without notice: nothing crashes, nothing is lost, and a finding reports it."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest
import yaml

from demo import simulate
from ingestion import sources
from ingestion.contract import PROJECT, read_contracts
from ingestion.home import Home
from ingestion.window import Window
from operations import contracts, ledger, status
from warehouse import dbt
from warehouse.build import Request, build

DAYS = [("2026-11-01", "2026-11-02"), ("2026-11-02", "2026-11-03"), ("2026-11-03", "2026-11-04")]
clock = iter(datetime(2026, 11, 20, tzinfo=UTC) + timedelta(minutes=n) for n in range(1000))


@pytest.fixture(scope="module")
def home(shop: Home) -> Home:
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 4), orders_per_day=120, events_per_day=2000)
    land(shop, DAYS[0])
    return shop


def land(home: Home, day: tuple[str, str]) -> dict[str, list[dict]]:
    """Land and build one day; return the examples of each finding that did not pass, by check."""
    for source in sources.SOURCES:
        sources.ingest(source, Window.parse(*day), home, next(clock))
    verdict = build(home, Request(), next(clock)).verdict
    assert verdict and ledger.recount(home) == ([], True)
    return {one.check_name: yaml.safe_load(one.examples) for one in verdict.findings if one.result != "pass"}


def alter(home: Home, *statements: str) -> None:
    with psycopg.connect(home.database_url()) as shop:
        for statement in statements:
            shop.execute(statement)


def ask(home: Home, question: str) -> list[tuple]:
    with duckdb.connect(str(home.state), read_only=True) as state:
        return state.sql(question).fetchall()


def test_a_new_column_is_told_once_and_comes_to_silver_from_its_first_batch(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter(home, "alter table shop.orders add column channel text default 'web'")
    told = land(home, DAYS[1])
    check = next(name for name in told if name.startswith("columns_are_in_contract"))
    assert [(row["dataset"], row["column_name"]) for row in told[check]] == [("orders", "channel")]
    first = told[check][0]["first_batch_id"]
    # the third day has it too, and it is not reported again; an optional column that disappears is reported
    alter(home, "alter table shop.orders drop column payment_method")
    told = land(home, DAYS[2])
    assert check not in told
    assert {(row["dataset"], row["column_name"]) for row in told["columns_are_missing"]} == {
        ("orders", "payment_method")
    }
    assert (
        ask(home, "select count(*) from silver.orders where payment_method is null and order_date = '2026-11-03'")[0][0]
        > 100
    )
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    take(project, "orders", "channel")
    assert status.read(home, next(clock))["stale"] == []
    monkeypatch.setattr(dbt, "PROJECT", project)
    monkeypatch.setattr(ledger, "read_contracts", lambda: read_contracts(project))
    everything = stale(home)
    assert {("orders", date(2026, 11, day)) for day in (1, 2, 3)} <= everything
    # a rebuilt range is no longer stale, although none of its records changed its fate
    build(home, Request(date(2026, 11, 3), date(2026, 11, 4), reason="channel"), next(clock))
    assert ("orders", date(2026, 11, 3)) not in stale(home) and stale(home) < everything
    assert ask(home, "select count(*) from silver.orders where order_date = '2026-11-03' and channel is null") == [(0,)]
    assert ledger.recount(home) == ([], True)
    build(home, Request(full=True, reason="channel"), next(clock))
    assert stale(home) == set()
    assert ledger.recount(home) == ([], True)
    dates = ask(home, f"select min(order_date) from silver.orders where channel = 'web' and batch_id = '{first}'")
    assert dates == [(date(2026, 11, 1),)], "orders of the first day that changed on the second have it"
    assert ask(home, "select count(*) > 0 from silver.orders where channel is null") == [(True,)]


def stale(home: Home) -> set[tuple[str, date]]:
    """List the dates that were built under another version than the current one."""
    return {
        (row["dataset"], row["from_date"] + timedelta(days=n))
        for row in status.read(home, next(clock))["stale"]
        for n in range(row["dates"])
    }


def take(project: Path, dataset: str, column: str) -> None:
    """Add a column to contract, records and silver, as an analytics engineer would."""
    entry = {"name": column, "data_type": "varchar", "description": "A new column."}
    for layer in ("staging", "records", "silver"):
        path = project / "models" / layer / f"{layer}_{dataset}.yml"
        body = yaml.safe_load(path.read_text())
        body["models"][0]["columns"].append(entry)
        if layer == "staging":
            body["sources"][0]["tables"][0]["columns"].append(entry)
        path.write_text(yaml.safe_dump(body, sort_keys=False))
    silver = project / "models" / "silver" / f"silver_{dataset}.sql"
    silver.write_text(
        silver.read_text().replace("orders.total_amount,", f"orders.total_amount,\n        orders.{column},")
    )


def test_one_datasets_break_stops_its_tables_and_not_the_others(home: Home) -> None:
    before = ask(home, "select count(*) from silver.orders") + ask(home, "select count(*) from silver.order_items")
    alter(
        home,
        "alter table shop.order_items alter column unit_price type text using 'about ' || unit_price",
        "update shop.order_items set updated_at = '2026-11-04 10:00+00'",
        "update shop.products set name = 'renamed', updated_at = '2026-11-04 10:00+00'",
    )
    sources.ingest("orders", Window.parse("2026-11-04", "2026-11-05"), home, next(clock))
    build(home, Request(), next(clock))
    after = ask(home, "select count(*) from silver.orders") + ask(home, "select count(*) from silver.order_items")
    assert before == after
    assert ask(home, "select distinct name from silver.products") == [("renamed",)]
    found = status.read(home, next(clock))
    assert not found["healthy"] and {row["dataset"] for row in found["held"]} == {"order_items"}


def test_a_proposed_contract_is_tried_on_the_past(home: Home, tmp_path: Path) -> None:
    body = yaml.safe_load((PROJECT / "models" / "staging" / "staging_clickstream.yml").read_text())
    columns = {column["name"]: column for column in body["sources"][0]["tables"][0]["columns"]}
    columns["visitor_id"]["config"]["meta"]["required"] = False
    columns["event_type"]["config"]["meta"]["allowed"].remove("click")
    file = tmp_path / "proposal.yml"
    file.write_text(yaml.safe_dump({"sources": body["sources"]}))
    before = ask(home, "select count(*) from records.refused")
    rows = contracts.propose(home, file, date(2026, 11, 1), date(2026, 11, 4), next(clock))
    clicks = ask(home, "select count(*) from records.clickstream where event_type = 'click'")[0][0]
    nameless = ask(
        home,
        "select count(*) from silver.dead_letters where reasons = ['missing:visitor_id'] and raw not like '%\"click\"%'",
    )[0][0]
    assert sum(row["records"] for row in rows if row["change"] == "refused") == clicks > 0
    assert sum(row["records"] for row in rows if row["change"] == "rescued") == nameless > 0
    assert {row["reasons"] for row in rows} == {"not_allowed:event_type", "missing:visitor_id"}
    assert ask(home, "select count(*) from records.refused") == before
    assert not [path for path in home.staging.iterdir() if path.is_dir()]


def test_a_proposal_says_the_money_behind_its_records(home: Home, tmp_path: Path) -> None:
    body = yaml.safe_load((PROJECT / "models" / "staging" / "staging_orders.yml").read_text())
    columns = {column["name"]: column for column in body["sources"][0]["tables"][0]["columns"]}
    columns["status"]["config"]["meta"]["allowed"].remove("cancelled")
    file = tmp_path / "proposal.yml"
    file.write_text(yaml.safe_dump({"sources": body["sources"]}))
    rows = contracts.propose(home, file, date(2026, 11, 1), date(2026, 11, 4), next(clock))
    lost = (
        "select currency, count(*), sum(total_amount) from records.orders where status = 'cancelled' group by currency"
    )
    assert {(row["currency"], row["records"], row["amount"]) for row in rows} == set(ask(home, lost))
