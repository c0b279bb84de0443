"""Let time pass in the shop: orders in its Postgres, clicks in the landing folder.

Each day is a pure function of the day, the seed and the sizes, so days may be simulated at once or one by one. What
is seen of a day grows with time: an order goes through its versions, and a late click arrives up to two days after.
"""

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import duckdb
import psycopg
import zstandard

from demo import truth
from ingestion.home import Home
from ingestion.landing import Report, silent

_HERE = Path(__file__).parent
_SUFFIXES = ("jsonl", "jsonl.gz", "jsonl.zst")
_ORDER_REACH = timedelta(days=3)
_CLICK_REACH = timedelta(days=3)
_INVALID = "␀".encode()
PRODUCTS = 500


@dataclass(frozen=True)
class Day:
    """One simulated day and its sizes. `is_begun`: some of it is in the shop."""

    day: date
    seed: int = 1
    orders_per_day: int = 400
    events_per_day: int = 20_000
    is_begun: bool = False


def simulate(
    home: Home,
    from_date: date,
    to_date: date,
    *,
    seed: int = 1,
    orders_per_day: int = 400,
    events_per_day: int = 20_000,
    report: Report = silent,
) -> Path:
    """Simulate whole days, up to midnight before `to_date`; return the file of truth. Days that exist stay as they are."""
    wanted = [from_date + timedelta(days=n) for n in range((to_date - from_date).days)]
    open_days(home, [Day(day, seed, orders_per_day, events_per_day) for day in wanted])
    return advance(home, datetime.combine(to_date, time(), UTC), report=report)


def open_days(home: Home, days: Sequence[Day]) -> None:
    """Let days exist; time has still to pass. Those that exist stay as they are."""
    with psycopg.connect(home.database_url()) as shop:
        _prepare(shop)
        shop.cursor().executemany(
            "insert into simulation.days values (%s, %s, %s, %s) on conflict do nothing",
            [(one.day, one.seed, one.orders_per_day, one.events_per_day) for one in days],
        )


def advance(home: Home, until: datetime, *, report: Report = silent) -> Path:
    """Let time pass up to `until`, which is not included; clicks arrive by whole hours. Time never goes back."""
    with psycopg.connect(home.database_url()) as shop, _laboratory() as laboratory:
        _prepare(shop)
        days = [Day(*row) for row in shop.execute("select * from simulation.days order by day").fetchall()]
        clock = shop.execute("select until from simulation.clock").fetchone()
        until = max(until, clock[0]) if clock else until
        for day in days:
            if datetime.combine(day.day, time(), UTC) < until:
                _sell(laboratory, shop, home, day, until)
                report(f"shop {day.day}: {day.orders_per_day} orders as of {until:%Y-%m-%d %H:%M}")
        shop.execute("delete from simulation.clock")
        shop.execute("insert into simulation.clock values (%s)", [until])
        shop.commit()
        for day in days:
            _click(laboratory, home, days, day, until)
            report(f"clicks {day.day}: about {day.events_per_day} events")
        return truth.write(home, laboratory, shop, days, until)


def _prepare(shop: psycopg.Connection) -> None:
    shop.execute((_HERE / "schema.sql").read_text())
    shop.execute(_PRODUCTS, {"products": PRODUCTS})
    shop.commit()


@contextmanager
def _laboratory() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB in memory with the draws that everything hangs on."""
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
    connection.execute(
        "create table arrivals (day date, event_type varchar, visitor_id varchar, plant varchar, "
        "event_date date, folder_date date)"
    )
    try:
        yield connection
    finally:
        connection.close()


def _draw(laboratory: duckdb.DuckDBPyConnection, script: str, day: Day, size: int) -> None:
    laboratory.execute(f"create or replace macro day() as date '{day.day}'")
    laboratory.execute(f"create or replace macro size() as {size}")
    laboratory.execute(
        f"create or replace macro u(i, what) as (hash(i, what, '{day.day}', {day.seed}) % 1000000007) / 1000000007.0"
    )
    laboratory.execute((_HERE / script).read_text())


def _sell(
    laboratory: duckdb.DuckDBPyConnection, shop: psycopg.Connection, home: Home, day: Day, until: datetime
) -> None:
    """Bring a day's orders to what they are by then. A day whose orders are all settled is left alone."""
    settled = datetime.combine(day.day, time(), UTC) + timedelta(days=1) + _ORDER_REACH
    clock = shop.execute("select until from simulation.clock").fetchone()
    if clock and clock[0] >= settled and day.is_begun:
        return
    _draw(laboratory, "orders.sql", day, day.orders_per_day)
    for table, query in _ROWS.items():
        rows = home.shop / f".{table}.csv"
        rows.parent.mkdir(parents=True, exist_ok=True)
        laboratory.execute(f"copy ({query.format(until=until.isoformat())}) to '{rows}' (format csv, header false)")
        shop.execute(f"create temp table incoming (like shop.{table}) on commit drop")
        with shop.cursor().copy("copy incoming from stdin (format csv)") as copy, rows.open("rb") as file:
            while piece := file.read(1 << 20):
                copy.write(piece)
        shop.execute(_UPSERT[table])
        shop.execute("drop table incoming")
        rows.unlink()
    shop.execute("update simulation.days set is_begun = true where day = %s", [day.day])


def _click(laboratory: duckdb.DuckDBPyConnection, home: Home, days: list[Day], day: Day, until: datetime) -> None:
    """Write the files of a day's hours that are over, from its own clicks and those that come late from days before."""
    if datetime.combine(day.day, time(), UTC) >= until:
        return
    laboratory.execute("drop table if exists today")
    for other in days:
        if day.day - _CLICK_REACH <= other.day <= day.day:
            _draw(laboratory, "events.sql", other, other.events_per_day)
            kept = f"select * from written where cast(arrived_at as date) = date '{day.day}' and arrived_at < '{until:%Y-%m-%d %H:00}'"
            exists = laboratory.execute("select count(*) from duckdb_tables() where table_name = 'today'").fetchone()
            laboratory.execute(
                f"insert into today {kept}" if exists and exists[0] else f"create temp table today as {kept}"
            )
    laboratory.execute(
        "insert into arrivals select cast(arrived_at as date), event_type, visitor_id, plant, event_date, "
        "cast(arrived_at as date) from today"
    )
    for hour in range(24):
        start = datetime.combine(day.day, time(hour), UTC)
        if start + timedelta(hours=1) <= until:
            _write_hour(laboratory, home, start)


def _write_hour(laboratory: duckdb.DuckDBPyConnection, home: Home, start: datetime) -> None:
    folder = home.landing / f"{start:%Y-%m-%d}" / f"{start:%H}"
    for part, suffix in enumerate(_SUFFIXES):
        target = folder / f"clicks-{part}.{suffix}"
        if target.exists():
            continue
        found = laboratory.execute(_FILE, [start.replace(tzinfo=None), part]).fetchone()
        if not found or found[0] is None:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        body = found[0].encode().replace(_INVALID, b"\xff\xfe")
        aside = folder / f".{target.name}.tmp"
        aside.write_bytes(_pack(body, suffix))
        aside.rename(target)


def _pack(body: bytes, suffix: str) -> bytes:
    if suffix.endswith("gz"):
        return gzip.compress(body, compresslevel=1, mtime=0)
    return zstandard.compress(body, 3) if suffix.endswith("zst") else body


_FILE = """
    with copies as (
        select i, line, 0 as copy from today where date_trunc('hour', arrived_at) = $1 and part = $2
        union all
        select i, second_line as line, 1 as copy from today
        where date_trunc('hour', arrived_at) = $1 and second_part = $2 and second_line is not null
    )

    select string_agg(line, '' order by copy, i, line) from copies
"""

_PRODUCTS = """
    insert into shop.products
    select
        'p-' || lpad(n::text, 4, '0'), 'Product ' || n, (array['shoes', 'lamps', 'tables', 'cups'])[1 + n %% 4],
        1 + (n * 37 %% 9000) / 100.0, 'EUR', n * 13 %% 700, timestamptz '2020-01-01 00:00+00'
    from generate_series(0, %(products)s - 1) as n
    on conflict do nothing
"""

_CURRENT = """
    select order_id, max_by(status, updated_at) as status, max_by(ordered_at, updated_at) as ordered_at, max(updated_at) as updated_at
    from versions
    where updated_at < '{until}'::timestamptz at time zone 'UTC'
    group by order_id
"""
_ROWS = {
    "customers": """
        select distinct
            customer_id, customer_id || '@example.org', 'Customer ' || customer_id, home_country,
            timestamp '2021-03-01' + to_days((customer * 7919 % 1500)::int) as created_at, created_at as updated_at
        from placed
        where customer_id is not null and customer_id not like 'c-unknown%'
            and placed_at < '{until}'::timestamptz at time zone 'UTC'
        qualify row_number() over (partition by customer_id order by i) = 1
    """,
    "orders": f"""
        with current as ({_CURRENT}),

        totals as (select order_id, sum(quantity * price - discount_amount) as total from lines group by order_id)

        select
            order_id, customer_id, current.status, currency, case i % 3 when 0 then 'card' when 1 then 'invoice' else 'wallet' end,
            shipping_country, case when i % 499 = 3 then total + 1 else total end, current.ordered_at, current.updated_at
        from placed
        inner join current using (order_id)
        inner join totals using (order_id)
    """,
    "order_items": """
        select
            order_id, line_number, product_id, quantity, case when is_nan then 'NaN' else price::varchar end, discount_amount, updated_at
        from lines
        where updated_at < '{until}'::timestamptz at time zone 'UTC'
    """,
}
_UPSERT = {
    "customers": "insert into shop.customers select * from incoming on conflict do nothing",
    "orders": """
        insert into shop.orders select * from incoming
        on conflict (order_id) do update
        set status = excluded.status, ordered_at = excluded.ordered_at, updated_at = excluded.updated_at
        where shop.orders.updated_at < excluded.updated_at
    """,
    "order_items": "insert into shop.order_items select * from incoming on conflict do nothing",
}
