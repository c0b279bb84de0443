"""The simulated shop: the same seed gives the same shop, however time passes in it."""

import gzip
import json
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
import zstandard

from demo import postgres, simulate
from ingestion.home import Home

SIZES = {"orders_per_day": 60, "events_per_day": 1500}


def lines(home: Home) -> list[bytes]:
    found = []
    for path in sorted(home.landing.rglob("*.jsonl*")):
        body = path.read_bytes()
        if path.suffix == ".gz":
            body = gzip.decompress(body)
        elif path.suffix == ".zst":
            body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        found += [(f"{path.relative_to(home.landing)}".encode() + b" " + line) for line in body.splitlines()]
    return found


def tables(home: Home) -> list[list[tuple[object, ...]]]:
    with psycopg.connect(home.database_url()) as shop:
        names = ("customers", "products", "orders", "order_items")
        return [shop.execute(f"select {name}::text from shop.{name} order by 1").fetchall() for name in names]


@pytest.fixture(scope="module")
def at_once(shop: Home) -> Home:
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 4), **SIZES)
    return shop


@pytest.fixture(scope="module")
def day_by_day(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("days")
    home = Home(root, root / "landing")
    postgres.start(home)
    for day in (1, 2, 3):
        simulate.simulate(home, date(2026, 11, day), date(2026, 11, day + 1), **SIZES)
    yield home
    postgres.stop(home)


def test_day_by_day_equals_all_at_once(at_once: Home, day_by_day: Home) -> None:
    assert tables(day_by_day) == tables(at_once)
    assert lines(day_by_day) == lines(at_once)
    truths = [json.loads((home.shop / "truth.json").read_text()) for home in (at_once, day_by_day)]
    assert truths[0] == truths[1]


def test_the_truth_agrees_with_a_slow_and_plain_count(at_once: Home) -> None:
    truth = json.loads((at_once.shop / "truth.json").read_text())
    assert len(lines(at_once)) == sum(row["records"] for row in truth["fates"] if row["dataset"] == "clickstream")
    unreadable = Counter()
    for line in lines(at_once):
        try:
            json.loads(line.split(b" ", 1)[1].decode())
        except UnicodeDecodeError:
            unreadable["invalid_utf8"] += 1
        except ValueError:
            unreadable["broken_json"] += 1
    told = Counter()
    for row in truth["dead_letters"]:
        told[row["reason"]] += row["records"]
    assert unreadable and unreadable == {reason: told[reason] for reason in unreadable}


def test_revenue_agrees_with_decimals_added_one_by_one(at_once: Home) -> None:
    with psycopg.connect(at_once.database_url()) as shop:
        orders = {row[0]: row[1:] for row in shop.execute("select order_id, status, currency from shop.orders")}
        items = shop.execute("select order_id, quantity, unit_price, discount_amount from shop.order_items").fetchall()
    net: dict[str, Decimal] = {}
    for order_id, quantity, price, discount in items:
        status, currency = orders[order_id]
        if status != "cancelled" and not price.is_nan():
            net[currency] = net.get(currency, Decimal(0)) + quantity * price - discount
    told: dict[str, Decimal] = {}
    for row in json.loads((at_once.shop / "truth.json").read_text())["revenue"]:
        told[row["currency"]] = told.get(row["currency"], Decimal(0)) + Decimal(row["net_amount"])
    assert net == told


def test_the_mess_is_there_and_below_one_percent_a_kind(at_once: Home) -> None:
    truth = json.loads((at_once.shop / "truth.json").read_text())
    total = len(lines(at_once))
    kinds = Counter()
    for row in truth["dead_letters"]:
        kinds[row["reason"]] += row["records"]
    assert len(kinds) >= 8
    assert all(0 < count < total / 100 for count in kinds.values())


def test_the_server_comes_back_after_being_killed(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "landing")
    postgres.start(home)
    pid = int((home.shop / "postgres" / "postmaster.pid").read_text().split()[0])
    import os
    import signal

    os.kill(pid, signal.SIGKILL)
    while postgres.is_running(home):
        pass
    postgres.start(home)
    assert postgres.is_running(home)
    postgres.stop(home)
    assert not postgres.is_running(home)
