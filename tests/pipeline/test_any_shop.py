"""A shop with an unchecked encoding, odd column names and invalid times and numbers is landed, and its accounts balance."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from psycopg import sql

from demo import postgres
from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from operations import decide, ledger, listings, suggest, trace
from operations.decide import By
from warehouse.build import Request, build

DAY = Window.parse("2026-11-01", "2026-11-02")
FIRST, SECOND = datetime(2026, 11, 3, 1, tzinfo=UTC), datetime(2026, 11, 3, 2, tzinfo=UTC)
NAMES = ["Status", "batch_id", "landed_at", "window_date", "record_no", "bronze_file", "reasons", "raw", "is_deleted"]
NAMES += ["{{ x }}", "select", 'a "b"', "it's", "🙂", " "]
# Per order: customer, amount, ordered, updated, and why it is refused. Each order has one line of 10 EUR.
ODD: dict[str, tuple[bytes, str, str, str, list[str]]] = {
    "\ufeffmark": (b"c1", "10", "2026-11-01T10:00Z", "2026-11-01T10:00Z", []),
    "endless": (b"c1", "10", "infinity", "2026-11-01T10:00Z", ["infinite:ordered_at"]),
    "caesar": (b"c1", "10", "0044-03-15 BC", "2026-11-01T10:00Z", ["out_of_range:ordered_at"]),
    "ahead": (b"c1", "10", "2026-11-01T10:00Z", "2062-01-05T10:00Z", ["in_future:updated_at"]),
    "latin": (b"caf\xe9", "10", "2026-11-01T10:00Z", "2026-11-01T10:00Z", ["invalid_utf8:customer_id"]),
    "nan": (b"c1", "NaN", "2026-11-01T10:00Z", "2026-11-01T10:00Z", ["not_a_number:total_amount"]),
}
GOOD = 1000


@pytest.fixture(scope="module")
def other(shop: Home) -> Home:
    """Return a home whose shop's database has the encoding SQL_ASCII, which accepts and returns any bytes."""
    with psycopg.connect(shop.database_url(), autocommit=True) as connection:
        connection.execute("create database other encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'")
    home = Home(shop.root, shop.landing, shop.database_url().rpartition("/")[0] + "/other")
    with connected(home) as connection:
        postgres.make_tables(connection)
        add = sql.SQL("alter table shop.orders add column {} text default {}")
        for name in NAMES:
            connection.execute(add.format(sql.Identifier(name), sql.Literal(f"of {name}")).as_bytes(None))
        connection.execute(
            "insert into shop.orders select 'o' || n, 'c1', 'paid', 'EUR', 'card', 'DE', 10, '2026-11-01T10:00Z', null"
            f" from generate_series(1, {GOOD}) as n"
        )
        for name, (customer, amount, ordered, updated, _) in ODD.items():
            connection.execute(
                b"insert into shop.orders values (%s, '" + customer + b"', 'paid', 'EUR', 'card', 'DE', %s, %s, %s)",
                (name, amount, ordered, updated),
            )
        connection.execute("insert into shop.order_items select order_id, 1, 'p1', 1, 10, 0, null from shop.orders")
    return home


def connected(home: Home) -> psycopg.Connection[Any]:
    return psycopg.connect(home.database_url(), autocommit=True, client_encoding="SQL_ASCII")


def ask(home: Home, question: str) -> list[tuple]:
    with duckdb.connect(str(home.state), read_only=True) as state:
        return state.sql(question).fetchall()


def test_what_is_odd_costs_its_own_record_and_is_told(other: Home, tmp_path: Path) -> None:
    said: list[str] = []
    sources.ingest("orders", DAY, other, FIRST, said.append)
    assert "shop.orders: order_id latin: customer_id is not utf-8" in said
    verdict = build(other, Request(), FIRST).verdict
    assert verdict and ledger.recount(other) == ([], True)
    letters = ask(other, "select record_date, reasons, raw from silver.dead_letters where dataset = 'orders'")
    rows = {json.loads(raw)["order_id"]: (day, reasons, json.loads(raw)) for day, reasons, raw in letters}
    assert {name: reasons for name, (_, reasons, _) in rows.items()} == {
        name: reasons for name, (*_, reasons) in ODD.items() if reasons
    }
    assert {str(day) for day, _, _ in rows.values()} == {"2026-11-01"}
    assert {name: rows["latin"][2][name] for name in NAMES} == {name: f"of {name}" for name in NAMES}
    assert ask(other, "select net_amount from gold.daily_revenue") == [((GOOD + 1) * 10,)]
    told = next(one for one in verdict.warnings if one.check_name.startswith("columns_are_in_contract"))
    assert told.failed_rows == len(NAMES)
    assert {name for (name,) in ask(other, "select column_name from ops.columns where not is_in_contract")} == set(
        NAMES
    )
    assert {row["reasons"] for row in listings.dead_letters(other)} == {
        reasons[0] for *_, reasons in ODD.values() if reasons
    }
    assert len(suggest.suggestions(other)) == 5
    (found,) = [one for one in trace.record(other, "latin") if one["dataset"] == "orders"]
    assert found["bytes of customer_id"] == repr(b"caf\xe9")


def test_what_was_odd_is_put_right_at_the_shop_or_by_hand(other: Home, tmp_path: Path) -> None:
    with connected(other) as connection:
        connection.execute(
            "update shop.orders set status = 'cancelled', updated_at = '2026-11-01T23:00Z' where order_id = 'ahead'"
        )
    sources.ingest("orders", DAY, other, SECOND)
    (letter,) = listings.dead_letter_records(other, reason="invalid_utf8:customer_id")
    file = tmp_path / "fixed.json"
    file.write_text(json.dumps([letter | {"raw": letter["raw"].replace("\\\\xe9", "é")}], default=str))
    decide.resubmit(other, file, By("me", SECOND, "Latin-1"))
    build(other, Request(), SECOND)
    assert ledger.recount(other) == ([], True)
    found = ask(
        other, "select order_id, customer_id, status from silver.orders where order_id in ('ahead', 'latin') order by 1"
    )
    assert found == [("ahead", "c1", "cancelled"), ("latin", "café", "paid")]
    assert ask(other, "select net_amount from gold.daily_revenue") == [((GOOD + 2) * 10,)]
