"""Recompute every cell of gold in plain Python from nothing but the raw records that its trace lists."""

import json
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from ingestion import bronze
from ingestion.errors import Permanent
from ingestion.home import Home
from operations import ledger, listings, trace
from warehouse import state


@pytest.fixture(scope="module")
def raw(both_days: Home) -> dict[str, dict]:
    """Return every raw record of bronze as text, by its identity."""
    found = {}
    for manifest in bronze.committed(both_days):
        for path in bronze.parquet_files(both_days, manifest):
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
def test_revenue(both_days: Home, raw: dict[str, dict], table: str) -> None:
    behind = trace.gold(both_days, table, "true")
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


def test_products(both_days: Home, raw: dict[str, dict]) -> None:
    behind = trace.gold(both_days, "gold.daily_products", "orders > 0")
    grouped = cells(behind, ["activity_date", "product_id"])
    assert len(behind.cells) == len(grouped) > 100
    for cell in behind.cells:
        lines = [line(raw, row) for row in grouped[cell["activity_date"], cell["product_id"]]]
        assert cell["units"] == sum(quantity for _, quantity, _ in lines)
        assert cell["returned_units"] == -sum(quantity for _, quantity, _ in lines if quantity < 0)
        assert cell["orders"] == len({order["order_id"] for order, _, _ in lines})
    assert behind.differences == []


def test_traffic(both_days: Home, raw: dict[str, dict]) -> None:
    behind = trace.gold(both_days, "daily_traffic", "true")
    grouped = cells(behind, ["event_date", "event_type"])
    for cell in behind.cells:
        events = [json.loads(raw[row["record"]]["raw"]) for row in grouped[cell["event_date"], cell["event_type"]]]
        assert {event["event_type"] for event in events} == {cell["event_type"]}
        assert (cell["events"], cell["visitors"]) == (len(events), len({event["visitor_id"] for event in events}))
    assert behind.differences == []


def test_customers_and_risks(both_days: Home, raw: dict[str, dict]) -> None:
    behind = trace.gold(both_days, "customers", "true")
    grouped = cells(behind, ["customer_id"])
    for cell in behind.cells:
        orders = [raw[row["record"]] for row in grouped[cell["customer_id"],]]
        assert {(order["customer_id"], order["status"] == "cancelled") for order in orders} == {
            (cell["customer_id"], False)
        }
        assert cell["orders"] == len({order["order_id"] for order in orders})
    assert behind.differences == []


@pytest.mark.parametrize(("table", "name"), [("order_risk", "order_id"), ("product_search", "product_id")])
def test_what_is_shown_as_it_is(both_days: Home, raw: dict[str, dict], table: str, name: str) -> None:
    shown = trace.gold(both_days, table, "true")
    assert sorted(raw[row["record"]][name] for row in shown.records) == sorted(cell[name] for cell in shown.cells)
    assert shown.cells and shown.differences == []


def test_campaigns(both_days: Home, raw: dict[str, dict]) -> None:
    behind = trace.gold(both_days, "campaigns", "campaign <> ''")
    grouped = cells(behind, ["event_date", "campaign"])
    assert len(behind.cells) > 2
    for cell in behind.cells:
        events = [json.loads(raw[row["record"]]["raw"]) for row in grouped[cell["event_date"], cell["campaign"]]]
        kinds = [event["event_type"] for event in events]
        assert (cell["ad_impressions"], cell["clicks"]) == (kinds.count("ad_impression"), kinds.count("click"))
        assert cell["visitors"] == len({event["visitor_id"] for event in events})
    assert behind.differences == []


def test_an_order_tells_its_records_fates_and_gold(both_days: Home) -> None:
    with state.connect(both_days.state) as connection:
        order_id = connection.sql(
            "select order_id from records.orders where fate = 'duplicate' order by 1 limit 1"
        ).fetchone()[0]
    told = trace.record(both_days, order_id)
    orders = [one for one in told if one["dataset"] == "orders"]
    current = next(one for one in orders if one["fate"] == "current")
    assert any("gold.daily_revenue where order_date" in row for row in current["gold"])
    assert {one["lost_to"] for one in orders if one["fate"] != "current"} == {current["record"]}
    assert {one["dataset"] for one in told} == {"orders", "order_items"}
    assert json.loads(current["raw"])["order_id"] == order_id
    assert trace.record(both_days, current["record"]) == [current]


def test_a_dead_letter_tells_its_file_and_line(both_days: Home) -> None:
    letter = listings.dead_letter_records(both_days, "clickstream", "missing:visitor_id", limit=1)[0]
    told = trace.record(both_days, letter["record"])[0]
    assert (told["file"], told["line"], told["reasons"]) == (
        letter["source_file"],
        letter["source_line"],
        ["missing:visitor_id"],
    )
    lines = (both_days.landing / told["file"]).read_bytes() if told["file"].endswith(".jsonl") else None
    assert lines is None or lines.splitlines()[told["line"] - 1].decode() == told["raw"]
    assert trace.record(both_days, json.loads(told["raw"])["event_id"])[0]["record"] == told["record"]


def test_what_does_not_exist_is_said(both_days: Home) -> None:
    with pytest.raises(Permanent, match="nobody"):
        trace.record(both_days, "nobody")
    with pytest.raises(Permanent, match=r"name one of: .*daily_products"):
        trace.gold(both_days, "revenue", "true")
    with pytest.raises(Permanent, match="condition"):
        trace.gold(both_days, "daily_revenue", "colour = 'red'")


def test_money_is_conserved_from_raw_to_fates(both_days: Home, raw: dict[str, dict]) -> None:
    expected: dict[str | None, Decimal] = defaultdict(Decimal)
    for row in raw.values():
        if "total_amount" in row and row["total_amount"] is not None:
            expected[row["currency"]] += Decimal(row["total_amount"])
    with state.connect(both_days.state) as connection:
        query = (
            "select currency, sum(amount) from ops.ledger where dataset = 'orders' and is_amount_read group by currency"
        )
        found = dict(connection.sql(query).fetchall())
    assert found == dict(expected) and len(found) > 1
    rows, adds_up = ledger.money(both_days, "orders")
    assert adds_up and {row["currency"]: row["bronze"] for row in rows} == found
