import gzip
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
import zstandard

from ingestion import bronze
from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.sources import source_counts
from ingestion.window import Window
from tests.unit.ingestion.conftest import SHOP

Count = Callable[..., Landing]
NOW = datetime(2026, 11, 9, tzinfo=UTC)


@pytest.fixture
def count(contracts: dict[str, Contract]) -> Count:
    def run(source: str, home: Home, start: str, end: str, at: datetime = NOW) -> Landing:
        return source_counts(source, Window.parse(start, end), home, at, contracts=contracts)

    return run


def rows(home: Home, landing: Landing) -> list[tuple[Any, ...]]:
    """Return the counted rows of each day: what the source counts, then what landed, then the note."""
    found = [
        tuple(row.values())[1:]
        for manifest in landing.manifests
        if manifest.dataset == "source_counts"
        for path in bronze.parquet_files(home, manifest)
        for row in pq.read_table(path).to_pylist()
        if row["dataset"] not in ("customers", "products")
    ]
    assert {row[-1] for row in found} == {"2026-11-09T00:00:00Z"}
    return [row[:-1] for row in found]


def test_orders_and_lines_are_counted_by_the_orders_date(shop: psycopg.Connection[Any], shop_home: Home, count: Count):
    shop.execute("""
        insert into shop.orders (order_id, currency, ordered_at) values
            ('a', 'EUR', '2026-11-01T23:59Z'), ('b', 'USD', '2026-11-01T00:00Z'), ('c', null, '2026-11-02T00:00Z'),
            ('d', 'EUR', '2026-11-03T00:00Z'), ('after', 'EUR', '2026-11-04T00:00Z'), ('never', 'EUR', null),
            ('endless', 'EUR', 'infinity'), ('ancient', 'EUR', '2026-11-01 10:00:00+00 BC');
        insert into shop.order_items (order_id, line_number, quantity, unit_price, discount_amount, updated_at) values
            ('a', 1, 2, 1.25, null, '2026-11-05'), ('a', 2, -1, 1.25, 0.5, null),
            ('b', 1, 1, 12345678901234.5678, 0, null), ('b', 2, 1, 'NaN', 0, null),
            ('c', 1, 1, 1, 0, null), ('nowhere', 1, 1, 1, 0, '2026-11-01');
        update shop.orders set total_amount = 1.5 where order_id = 'a';
    """)
    assert rows(shop_home, count("orders", shop_home, "2026-11-01T10:00", "2026-11-03T10:00")) == [
        ("orders", "2026-11-01", "EUR", "1", "1.5000", "1", "1.5000", None),
        ("orders", "2026-11-01", "USD", "1", "0.0000", "1", "0.0000", None),
        ("orders", "2026-11-02", None, "1", "0.0000", "1", "0.0000", None),
        ("orders", "2026-11-03", "EUR", "1", "0.0000", "1", "0.0000", None),
        ("order_items", "2026-11-01", "EUR", "2", "0.7500", "2", "0.7500", None),
        ("order_items", "2026-11-01", "USD", "2", "12345678901234.5678", "2", "12345678901234.5678", None),
        ("order_items", "2026-11-02", None, "1", "1.0000", "1", "1.0000", None),
        ("order_items", "2026-11-03", None, "0", None, "0", None, None),
    ]


@pytest.mark.parametrize(
    ("encoding", "currency", "shown"),
    [
        ("SQL_ASCII", b"E\xe9R", "E\\xe9R"),
        ("SQL_ASCII", b"\xff", "\\xff"),
        ("SQL_ASCII", "é".encode(), "é"),
        ("LATIN1", b"E\xe9R", "EéR"),
        ("LATIN1", b"E", "E"),
        ("UTF8", b"", ""),
    ],
)
def test_bytes_of_a_currency_that_are_no_text_are_counted_as_they_landed(
    postgres: str, home: Home, count: Count, encoding: str, currency: bytes, shown: str
):
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute("drop database if exists odd")
        server.execute(f"create database odd encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'")
    url = postgres.rpartition("/")[0] + "/odd"
    with psycopg.connect(url, client_encoding=encoding, autocommit=True) as shop:
        shop.execute(SHOP)
        shop.execute(
            b"insert into shop.orders (order_id, currency, ordered_at) values ('a', '%s', '2026-11-01')" % currency
        )
        shop.execute(
            "insert into shop.orders (order_id, currency, ordered_at) values ('b', 'EUR', '2026-11-01'), ('c', null, '2026-11-01')"
        )
        shop.execute(
            "insert into shop.order_items (order_id, line_number, quantity, unit_price) values ('a', 1, 1, 2), ('b', 1, 1, 3), ('c', 1, 1, 4)"
        )
    there = Home(home.root, home.landing, url)
    found = rows(there, count("orders", there, "2026-11-01", "2026-11-02"))
    assert sorted(found, key=str) == sorted([
        *(("orders", "2026-11-01", name, "1", "0.0000", "1", "0.0000", None) for name in (None, "EUR", shown)),
        ("order_items", "2026-11-01", None, "1", "4.0000", "1", "4.0000", None),
        ("order_items", "2026-11-01", "EUR", "1", "3.0000", "1", "3.0000", None),
        ("order_items", "2026-11-01", shown, "1", "2.0000", "1", "2.0000", None),
    ], key=str)  # fmt: skip


def test_the_shop_is_counted_whatever_the_types_of_its_keys(
    shop: psycopg.Connection[Any], shop_home: Home, count: Count
):
    shop.execute("""
        alter table shop.order_items alter line_number type numeric, alter quantity type text, alter unit_price type float8;
        insert into shop.orders (order_id, currency, ordered_at) values ('a', 'EUR', '2026-11-01T10:00Z');
        insert into shop.order_items (order_id, line_number, quantity, unit_price) values ('a', 1.5, '2', 0.1), ('a', 2, 'two', 1);
    """)
    assert rows(shop_home, count("orders", shop_home, "2026-11-01", "2026-11-02")) == [
        ("orders", "2026-11-01", "EUR", "1", "0.0000", "1", "0.0000", None),
        ("order_items", "2026-11-01", "EUR", "2", "0.2000", "2", "0.2000", None),
    ]


def test_customers_are_counted_by_the_day_they_were_created_and_products_by_their_last_change(
    shop: psycopg.Connection[Any], shop_home: Home, contracts: dict[str, Contract]
):
    shop.execute("""
        insert into shop.customers (customer_id, created_at, updated_at) values
            ('a', '2026-11-01T23:59Z', '2026-11-05'), ('b', '2026-11-01T00:00Z', null), ('c', '2026-10-01', '2026-11-01T10:00Z');
        insert into shop.products (product_id, updated_at) values ('p', '2026-11-01T10:00Z'), ('q', '2026-11-02T10:00Z'), ('r', null);
    """)
    found = {name: replace(one, expect_records_every=None) for name, one in contracts.items()}
    landing = source_counts("orders", Window.parse("2026-11-01", "2026-11-02"), shop_home, NOW, contracts=found)
    (counted,) = (one for one in landing.manifests if one.dataset == "source_counts")
    rows = [row for path in bronze.parquet_files(shop_home, counted) for row in pq.read_table(path).to_pylist()]
    assert {row["dataset"]: list(row.values())[4:8:2] for row in rows} == {
        "orders": ["0", "0"], "order_items": ["0", "0"], "customers": ["2", "2"], "products": ["1", "1"]
    }  # fmt: skip


def test_lines_are_counted_by_their_folders_date(home: Home, deliver: Callable[..., Path], count: Count):
    deliver("2026-11-01/10/a.jsonl", b"1\n\n3\n")
    deliver("2026-11-01/10/b.jsonl.gz", gzip.compress(b"1\n") + gzip.compress(b"2"))
    frames = zstandard.ZstdCompressor().compress(b"1\n") + zstandard.ZstdCompressor().compress(b"2\n3\n")
    deliver("2026-11-01/11/c.jsonl.zst", frames)
    deliver("2026-11-01/11/truncated.jsonl.zst", frames[:-3])
    deliver("2026-11-01/11/truncated.jsonl.gz", gzip.compress(b"1\n2\n")[:-3])
    deliver("2026-11-01/11/half.jsonl.tmp", b"1\n")
    deliver("2026-11-01/11/.hidden.jsonl", b"1\n")
    assert rows(home, count("clickstream", home, "2026-11-01", "2026-11-02")) == [
        ("clickstream", "2026-11-01", None, "8", None, "8", None, None)
    ]


def test_only_a_change_is_landed_and_a_count_that_comes_back_too(
    home: Home, deliver: Callable[..., Path], count: Count
):
    window = ("2026-11-01", "2026-11-02")
    landed = []
    for hour, content in enumerate((b"1\n", b"1\n", b"1\n2\n", b"1\n", b"1\n")):
        deliver("2026-11-01/10/a.jsonl", content)
        landing = count("clickstream", home, *window, at=NOW + timedelta(hours=hour))
        new = [one for one in landing.manifests if one.batch_id in landing.new and one.dataset == "source_counts"]
        landed.append(len(new))
    assert landed == [1, 0, 1, 1, 0]


def test_an_unknown_source_is_named(home: Home, count: Count):
    with pytest.raises(Permanent, match=r"no source 'mail'.*orders, clickstream"):
        count("mail", home, "2026-11-01", "2026-11-02")


def test_odd_things_in_the_landing_folder_are_not_counted_and_stop_no_sweep(
    home: Home, deliver: Callable[..., Path], count: Count
):
    """A day's folder that is a link to itself, a pipe without a writer, and a sparse file of a terabyte."""
    (home.landing / "2026-11-02").symlink_to("2026-11-02")
    hour = deliver("2026-11-01/10/ok.jsonl", b'{"event_id": "1"}\n').parent
    os.mkfifo(hour / "pipe.jsonl")
    with deliver("2026-11-01/10/huge.jsonl", b"").open("r+b") as file:
        file.truncate(1 << 40)
    landing = count("clickstream", home, "2026-11-01", "2026-11-03")
    assert {left.path for left in landing.waiting} > {"2026-11-01/10/huge.jsonl", "2026-11-01/10/pipe.jsonl"}
    first, second = rows(home, landing)
    assert (first[1], first[3:6]) == ("2026-11-01", ("1", None, "1"))
    assert (second[1], second[3:6]) == ("2026-11-02", ("0", None, "0"))
