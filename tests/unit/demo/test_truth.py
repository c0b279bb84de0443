"""The truth of a shop of a few rows, worked out by hand."""

import json
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import duckdb
import psycopg
import pytest

from demo import truth
from ingestion.home import Home

UNTIL = datetime(2026, 11, 3, tzinfo=UTC)
# What was planted in each event, the dates of its folder and of itself, its type and its visitor.
ARRIVALS = """
    (null, '2026-11-01', '2026-11-01', 'click', 'v1'), (null, '2026-11-02', '2026-11-01', 'click', 'v1'),
    ('twice', '2026-11-01', '2026-11-01', 'click', 'v2'), ('twice_late', '2026-11-01', '2026-11-01', 'search', 'v2'),
    ('conflict', '2026-11-02', '2026-11-02', 'click', 'v3'), ('broken_json', '2026-11-02', '2026-11-01', 'click', 'v4'),
    ('invalid_utf8', '2026-11-02', '2026-11-01', 'click', 'v4'), ('missing:event_id', '2026-11-02', '2026-11-01', 'click', 'v4'),
    ('not_parsed:event_time', '2026-11-02', '2026-11-01', 'click', 'v4'), ('missing:event_id', '2026-11-01', '2026-11-01', 'click', 'v5')
"""
SHOP = """
    insert into shop.customers (customer_id) values ('c1'), ('c2'), ('orders nothing');
    insert into shop.products (product_id) values ('p1'), ('is never ordered');
    insert into shop.orders (order_id, customer_id, status, currency, shipping_country, ordered_at) values
        ('o1', 'c1', 'paid', 'EUR', 'DE', '2026-11-01 23:30:00-01'), ('o2', 'c2', 'refunded', 'EUR', 'DE', '2026-11-02 10:00Z'),
        ('o3', 'c2', 'paid', 'JPY', null, '2026-11-02 11:00Z'), ('o4', 'c2', 'cancelled', 'EUR', 'DE', '2026-11-02 12:00Z');
    insert into shop.order_items (order_id, line_number, product_id, quantity, unit_price, discount_amount, updated_at) values
        ('o1', 1, 'p1', 2, 10.5, 1, '2026-11-01 23:30:00-01'), ('o1', 2, 'p1', -1, 4, null, '2026-11-03 10:00Z'),
        ('o2', 1, 'p1', 1, 0.0001, 0, '2026-11-02 10:00Z'), ('o2', 2, 'unknown', 1, 'NaN', 0, '2026-11-02 10:00Z'),
        ('o3', 1, 'p1', 3, 100, 0, '2026-11-02 11:00Z'), ('o4', 1, 'p1', 1, 99, 0, '2026-11-02 12:00Z');
"""


@pytest.fixture(scope="module")
def found(shop: Home) -> dict[str, Any]:
    with duckdb.connect() as laboratory, psycopg.connect(shop.database_url()) as connection:
        laboratory.execute(f"""
            create table arrivals as
            select plant, folder_date::date as folder_date, event_date::date as event_date, event_type, visitor_id
            from (values {ARRIVALS}) as arrivals (plant, folder_date, event_date, event_type, visitor_id)
        """)
        connection.execute(SHOP)
        path = truth.write(shop, laboratory, connection, [SimpleNamespace(day=date(2026, 11, 1))], UNTIL)
    assert [one.name for one in shop.shop.glob("truth*")] == [path.name]
    return json.loads(path.read_text())


def rows(found: dict[str, Any], what: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in found[what]]


def test_it_says_for_which_days_and_until_when(found: dict[str, Any]) -> None:
    assert (found["until"], found["days"]) == ("2026-11-03T00:00:00+00:00", ["2026-11-01"])


def test_an_event_counts_for_its_date_or_for_its_folder_if_that_cannot_be_read(found: dict[str, Any]) -> None:
    assert [row for row in rows(found, "fates") if row[0] == "clickstream"] == [
        ("clickstream", "2026-11-01", "current", 4),
        ("clickstream", "2026-11-01", "dead_letter", 2),
        ("clickstream", "2026-11-01", "duplicate", 2),
        ("clickstream", "2026-11-02", "current", 1),
        ("clickstream", "2026-11-02", "dead_letter", 3),
        ("clickstream", "2026-11-02", "superseded", 1),
    ]
    assert rows(found, "traffic") == [
        ("2026-11-01", "click", 3, 2),
        ("2026-11-01", "search", 1, 1),
        ("2026-11-02", "click", 1, 1),
    ]


def test_rows_of_the_shop_count_for_their_date_in_utc(found: dict[str, Any]) -> None:
    assert [row for row in rows(found, "fates") if row[0] != "clickstream"] == [
        ("order_items", "2026-11-02", "current", 4),
        ("order_items", "2026-11-02", "dead_letter", 1),
        ("order_items", "2026-11-03", "current", 1),
        ("orders", "2026-11-02", "current", 4),
    ]


def test_each_refused_record_has_its_reason(found: dict[str, Any]) -> None:
    assert rows(found, "dead_letters") == [
        ("clickstream", "2026-11-01", "missing:event_id", 2),
        ("clickstream", "2026-11-02", "broken_json", 1),
        ("clickstream", "2026-11-02", "invalid_utf8", 1),
        ("clickstream", "2026-11-02", "not_parsed:event_time", 1),
        ("order_items", "2026-11-02", "not_a_number:unit_price", 1),
    ]


def test_revenue_leaves_out_cancelled_orders_and_refused_lines(found: dict[str, Any]) -> None:
    assert rows(found, "revenue") == [
        ("2026-11-02", "DE", "EUR", 2, 2, "20.0001", "4.0000", "16.0001"),
        ("2026-11-02", "ZZ", "JPY", 1, 3, "300.0000", "0.0000", "300.0000"),
    ]


def test_only_what_was_ordered_and_who_ordered_are_counted(found: dict[str, Any]) -> None:
    assert rows(found, "undated") == [("customers", 2), ("products", 1)]
