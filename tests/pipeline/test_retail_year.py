"""A year of a retailer's orders, as messy as real ones, without clickstream: every line is accounted for, money is exact.

Text codes, returns, negative prices, missing customers, unknown products, lines repeated within an order, invoices
of one line and of hundreds, no total, no change time. The truth is plain Python over the rows that were inserted.
"""

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import duckdb
import psycopg

from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from operations import ledger
from warehouse.build import Request, build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
START = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
LINES = 12_000
COUNTRIES = ["GB"] * 90 + ["FR", "DE", "IE", "ES", "NL", "AU", "JP", None, None]
CODES = ["POST", "DOT", "M", "D", "BANK CHARGES", "AMAZONFEE", "B", "gift_0001_20", "15056BL", "85123A", "79323p"]


def year(lines: int) -> tuple[list[tuple], list[tuple]]:
    """Return orders and their lines."""
    pick = random.Random(7)
    orders, items = [], []
    while len(items) < lines:
        number = 536_365 + len(orders)
        is_return, is_adjustment = pick.random() < 0.15, pick.random() < 0.002
        order_id = f"{'C' if is_return else 'A' if is_adjustment else ''}{number}"
        at = START + timedelta(minutes=525_000 * len(items) // lines)
        customer = None if pick.random() < 0.25 else str(pick.randint(12_346, 18_287))
        country = pick.choice(COUNTRIES)
        total = None if pick.random() < 0.5 else Decimal("0")
        changed = at if pick.random() < 0.9 else None
        orders.append((order_id, customer, "completed", "GBP", None, country, total, at, changed))
        for line_number in range(1, 1 + min(pick.choice([1, 1, 2, 5, 20, 30, 60]), lines - len(items))):
            code = pick.choice(CODES) if pick.random() < 0.02 else str(pick.randint(20_000, 22_500))
            quantity = pick.choice([1, 1, 2, 6, 12, 24, 80_995, 3]) * (-1 if is_return or pick.random() < 0.002 else 1)
            price = Decimal(pick.choice(["0", "0.001", "0.42", "2.55", "38970", "1.25", "16.95"]))
            price = Decimal("-11062.06") if is_adjustment else price
            items.append((order_id, line_number, code, quantity, price, Decimal(0), changed))
    return orders, items


def load(home: Home, orders: list[tuple], items: list[tuple]) -> None:
    with psycopg.connect(home.database_url()) as shop:
        cursor = shop.cursor()
        for table, rows in (("orders", orders), ("order_items", items)):
            with cursor.copy(f"copy shop.{table} from stdin") as copy:
                for row in rows:
                    copy.write_row(row)
        cursor.execute(
            "insert into shop.customers (customer_id) select distinct customer_id from shop.orders where customer_id ~ '[02468]$'"
        )
        cursor.execute(
            "insert into shop.products (product_id, name) select distinct product_id, nullif(product_id, 'M') from shop.order_items where product_id ~ '[13579p]$'"
        )


def revenue(orders: list[tuple], items: list[tuple]) -> dict[tuple, tuple]:
    """Return (orders, units, gross, refunded) by date, country and currency."""
    of = {order[0]: (order[7].date(), order[5] or "ZZ", order[3]) for order in orders}
    distinct, units, gross, refunded = defaultdict(set), Counter(), defaultdict(Decimal), defaultdict(Decimal)
    for order_id, _, _, quantity, price, discount, _ in items:
        cell, amount = of[order_id], quantity * price - discount
        distinct[cell].add(order_id)
        units[cell] += quantity
        if quantity > 0:
            gross[cell] += amount
        else:
            refunded[cell] -= amount
    return {cell: (len(ids), units[cell], gross[cell], refunded[cell]) for cell, ids in distinct.items()}


def test_a_year_of_a_retailers_orders(shop: Home) -> None:
    orders, items = year(LINES)
    load(shop, orders, items)
    window = Window.parse("2010-12-01", "2011-12-31")
    sources.ingest("orders", window, shop, NOW)
    sources.source_counts("orders", window, shop, NOW)
    build(shop, Request(), NOW)
    with duckdb.connect(str(shop.published), read_only=True) as published:
        rows = published.sql(
            "select order_date, country, currency, orders, units, gross_amount, refunded_amount from gold.daily_revenue"
        ).fetchall()
        odd = published.sql(
            "select sum(abs(source_difference) + abs(gold_difference)), sum(abs(gold_amount_difference)) from ops.reconciliation"
        ).fetchone()
    assert {tuple(row[:3]): tuple(row[3:]) for row in rows} == revenue(orders, items)
    assert odd == (0, 0)
    accounts = {row["dataset"]: row for row in ledger.read(shop)[0]}
    assert accounts["orders"]["current"] == len(orders)
    assert accounts["order_items"]["current"] == accounts["order_items"]["bronze"] == len(items)
    assert ledger.recount(shop) == ([], True)
