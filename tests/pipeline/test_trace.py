"""Recompute every cell of gold in plain Python from nothing but the raw records that its trace lists."""

import json
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from demo import simulate
from ingestion import bronze, sources
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.window import Window
from operations import ledger, listings, trace
from warehouse import state
from warehouse.build import Request, build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAYS = [("2026-11-01", "2026-11-02"), ("2026-11-02", "2026-11-03")]


@pytest.fixture(scope="module")
def built(shop: Home) -> Home:
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 3), orders_per_day=300, events_per_day=3000)
    for day in DAYS:
        for source in sources.SOURCES:
            sources.ingest(source, Window.parse(*day), shop, NOW)
    build(shop, Request(), NOW)
    return shop


@pytest.fixture(scope="module")
def raw(built: Home) -> dict[str, dict]:
    """Return every raw record of bronze as text, by its identity."""
    found = {}
    for manifest in bronze.committed(built):
        for path in bronze.parquet_files(built, manifest):
            for row in pq.read_table(path).to_pylist():
                found[f"{manifest.batch_id}:{row['record_no']}"] = row
    return found


def cells(behind: trace.Behind, grain: list[str]) -> dict[tuple, list[dict]]:
    grouped = defaultdict(list)
    for row in behind.records:
        grouped[tuple(row[name] for name in grain)].append(row)
    return grouped


def line(raw: dict[str, dict], row: dict) -> tuple[dict, int, Decimal]:
    item = raw[row["record"]]
    quantity = int(item["quantity"])
    return (
        raw[row["orders_record"]],
        quantity,
        quantity * Decimal(item["unit_price"]) - Decimal(item["discount_amount"] or 0),
    )


@pytest.mark.parametrize("table", ["daily_revenue", "hourly_revenue"])
def test_revenue(built: Home, raw: dict[str, dict], table: str) -> None:
    behind = trace.gold(built, table, "true")
    time = "order_date" if table == "daily_revenue" else "order_hour"
    grouped = cells(behind, [time, "country", "currency"])
    assert len(behind.cells) == len(grouped) > 10
    for cell in behind.cells:
        lines = [line(raw, row) for row in grouped[cell[time], cell["country"], cell["currency"]]]
        for order, _, _ in lines:
            ordered_at = datetime.fromisoformat(order["ordered_at"]).astimezone(UTC)
            moment = (
                ordered_at.date()
                if table == "daily_revenue"
                else ordered_at.replace(minute=0, second=0, microsecond=0, tzinfo=None)
            )
            assert (moment, order["shipping_country"] or "ZZ", order["currency"]) == (
                cell[time],
                cell["country"],
                cell["currency"],
            )
            assert order["status"] != "cancelled"
        assert cell["orders"] == len({order["order_id"] for order, _, _ in lines})
        assert cell["units"] == sum(quantity for _, quantity, _ in lines)
        assert cell["gross_amount"] == sum(amount for _, quantity, amount in lines if quantity > 0)
        assert cell["refunded_amount"] == -sum(amount for _, quantity, amount in lines if quantity < 0)
        assert cell["net_amount"] == sum(amount for _, _, amount in lines)
    assert behind.differences == []


def test_products(built: Home, raw: dict[str, dict]) -> None:
    behind = trace.gold(built, "gold.daily_products", "orders > 0")
    grouped = cells(behind, ["activity_date", "product_id"])
    assert len(behind.cells) == len(grouped) > 100
    for cell in behind.cells:
        lines = [line(raw, row) for row in grouped[cell["activity_date"], cell["product_id"]]]
        assert cell["units"] == sum(quantity for _, quantity, _ in lines)
        assert cell["returned_units"] == -sum(quantity for _, quantity, _ in lines if quantity < 0)
        assert cell["orders"] == len({order["order_id"] for order, _, _ in lines})
    assert behind.differences == []


def test_traffic(built: Home, raw: dict[str, dict]) -> None:
    behind = trace.gold(built, "daily_traffic", "true")
    grouped = cells(behind, ["event_date", "event_type"])
    for cell in behind.cells:
        events = [json.loads(raw[row["record"]]["raw"]) for row in grouped[cell["event_date"], cell["event_type"]]]
        assert {event["event_type"] for event in events} == {cell["event_type"]}
        assert (cell["events"], cell["visitors"]) == (len(events), len({event["visitor_id"] for event in events}))
    assert behind.differences == []


def test_customers_and_risks(built: Home, raw: dict[str, dict]) -> None:
    behind = trace.gold(built, "customers", "true")
    grouped = cells(behind, ["customer_id"])
    for cell in behind.cells:
        orders = [raw[row["record"]] for row in grouped[cell["customer_id"],]]
        assert {(order["customer_id"], order["status"] == "cancelled") for order in orders} == {
            (cell["customer_id"], False)
        }
        assert cell["orders"] == len({order["order_id"] for order in orders})
    assert behind.differences == []


@pytest.mark.parametrize(("table", "name"), [("order_risk", "order_id"), ("product_search", "product_id")])
def test_what_is_shown_as_it_is(built: Home, raw: dict[str, dict], table: str, name: str) -> None:
    shown = trace.gold(built, table, "true")
    assert sorted(raw[row["record"]][name] for row in shown.records) == sorted(cell[name] for cell in shown.cells)
    assert shown.cells and shown.differences == []


def test_campaigns(built: Home, raw: dict[str, dict]) -> None:
    behind = trace.gold(built, "campaigns", "campaign <> ''")
    grouped = cells(behind, ["event_date", "campaign"])
    assert len(behind.cells) > 2
    for cell in behind.cells:
        events = [json.loads(raw[row["record"]]["raw"]) for row in grouped[cell["event_date"], cell["campaign"]]]
        kinds = [event["event_type"] for event in events]
        assert (cell["ad_impressions"], cell["clicks"]) == (kinds.count("ad_impression"), kinds.count("click"))
        assert cell["visitors"] == len({event["visitor_id"] for event in events})
    assert behind.differences == []


def test_an_order_tells_its_records_fates_and_gold(built: Home) -> None:
    with state.connect(built.state) as connection:
        order_id = connection.sql(
            "select order_id from records.orders where fate = 'duplicate' order by 1 limit 1"
        ).fetchone()[0]
    told = trace.record(built, order_id)
    orders = [one for one in told if one["dataset"] == "orders"]
    current = next(one for one in orders if one["fate"] == "current")
    assert any("gold.daily_revenue where order_date" in row for row in current["gold"])
    assert {one["lost_to"] for one in orders if one["fate"] != "current"} == {current["record"]}
    assert {one["dataset"] for one in told} == {"orders", "order_items"}
    assert json.loads(current["raw"])["order_id"] == order_id
    assert trace.record(built, current["record"]) == [current]


def test_a_dead_letter_tells_its_file_and_line(built: Home) -> None:
    letter = listings.dead_letter_records(built, "clickstream", "missing:visitor_id", limit=1)[0]
    told = trace.record(built, letter["record"])[0]
    assert (told["file"], told["line"], told["reasons"]) == (
        letter["source_file"],
        letter["source_line"],
        ["missing:visitor_id"],
    )
    lines = (built.landing / told["file"]).read_bytes() if told["file"].endswith(".jsonl") else None
    assert lines is None or lines.splitlines()[told["line"] - 1].decode() == told["raw"]
    assert trace.record(built, json.loads(told["raw"])["event_id"])[0]["record"] == told["record"]


def test_what_does_not_exist_is_said(built: Home) -> None:
    with pytest.raises(Permanent, match="nobody"):
        trace.record(built, "nobody")
    with pytest.raises(Permanent, match=r"name one of: .*daily_products"):
        trace.gold(built, "revenue", "true")
    with pytest.raises(Permanent, match="condition"):
        trace.gold(built, "daily_revenue", "colour = 'red'")


def test_money_is_conserved_from_raw_to_fates(built: Home, raw: dict[str, dict]) -> None:
    expected: dict[str | None, Decimal] = defaultdict(Decimal)
    for row in raw.values():
        if "total_amount" in row and row["total_amount"] is not None:
            expected[row["currency"]] += Decimal(row["total_amount"])
    with state.connect(built.state) as connection:
        query = (
            "select currency, sum(amount) from ops.ledger where dataset = 'orders' and is_amount_read group by currency"
        )
        found = dict(connection.sql(query).fetchall())
    assert found == dict(expected) and len(found) > 1
    rows, adds_up = ledger.money(built, "orders")
    assert adds_up and {row["currency"]: row["bronze"] for row in rows} == found
