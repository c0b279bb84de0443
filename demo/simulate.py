"""Simulate the passing of time in the shop: orders in its Postgres, clicks in the landing folder.

Each day is a pure function of the day, the seed and the sizes, so days may be simulated at once or one by one. What
is visible of a day grows with time: an order goes through its versions, and a late click arrives up to two days later.
"""

import gzip
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import sleep
from typing import IO

import duckdb
import psycopg
import zstandard

from demo import postgres, truth
from ingestion import database
from ingestion.errors import Transient
from ingestion.home import Home
from ingestion.land import Report, silent
from ingestion.sources.postgres import opened

_HERE = Path(__file__).parent
_SUFFIXES = ("jsonl", "jsonl.gz", "jsonl.zst")
_ORDER_REACH = timedelta(days=3)
_CLICK_REACH = timedelta(days=3)
_INVALID = "␀".encode()
_BLOCK = 20_000
PRODUCTS = 500
_TURN_SECONDS = 600


@dataclass(frozen=True)
class Day:
    """One simulated day and its sizes. `is_begun`: some of it is in the shop. With a bulk order, one is far larger than all others."""

    day: date
    seed: int = 1
    orders_per_day: int = 400
    events_per_day: int = 20_000
    is_begun: bool = False
    has_bulk_order: bool = False


def simulate(
    home: Home,
    from_date: date,
    to_date: date,
    *,
    seed: int = 1,
    orders_per_day: int = 400,
    events_per_day: int = 20_000,
    bulk_orders: bool = False,
    report: Report = silent,
) -> Path:
    """Simulate whole days, up to midnight before `to_date`; return the file of truth. Days that exist stay as they are."""
    wanted = [from_date + timedelta(days=n) for n in range((to_date - from_date).days)]
    open_days(home, [Day(day, seed, orders_per_day, events_per_day, has_bulk_order=bulk_orders) for day in wanted])
    return advance(home, datetime.combine(to_date, time(), UTC), report=report)


def open_days(home: Home, days: Sequence[Day]) -> None:
    """Create days, in which no time has passed yet. Existing days stay unchanged."""
    with opened(home.database_url()) as shop:
        _prepare(shop)
        shop.cursor().executemany(
            "insert into simulation.days values (%s, %s, %s, %s, false, %s) on conflict do nothing",
            [(one.day, one.seed, one.orders_per_day, one.events_per_day, one.has_bulk_order) for one in days],
        )


def last_day(home: Home) -> date | None:
    """Return the last day that exists."""
    with opened(home.database_url()) as shop:
        _prepare(shop)
        row = shop.execute("select max(day) from simulation.days").fetchone()
        return row[0] if row else None


def advance(home: Home, until: datetime, *, report: Report = silent) -> Path:
    """Advance time up to `until`, not included; clicks arrive by whole hours. Time never goes back."""
    with opened(home.database_url()) as shop, _laboratory(home) as laboratory:
        _prepare(shop, report)
        days = [Day(*row) for row in shop.execute("select * from simulation.days order by day").fetchall()]
        clock = shop.execute("select until from simulation.clock").fetchone()
        until = max(until, clock[0]) if clock else until
        for day in days:
            if _sell(laboratory, shop, home, day, clock[0] if clock else None, until):
                report(f"shop {day.day}: {day.orders_per_day} orders as of {until:%Y-%m-%d %H:%M}")
        shop.execute("delete from simulation.clock")
        shop.execute("insert into simulation.clock values (%s)", [until])
        shop.commit()
        for day in days:
            if _click(laboratory, home, days, day, until):
                report(f"clicks {day.day}: about {day.events_per_day} events")
        _recall_arrived(laboratory, home, days)
        return truth.write(home, laboratory, shop, days, until)


def _prepare(shop: psycopg.Connection, report: Report = silent) -> None:
    """Take the lock for advancing time, which one connection holds until it ends; then create missing tables and rows."""
    for second in range(_TURN_SECONDS):
        # Poll instead of waiting for the lock: on a busy machine others hold it longer than the database's lock timeout.
        if shop.execute("select 1 where pg_try_advisory_lock(hashtext('simulation'))").fetchone():
            break
        shop.commit()
        if second % 60 == 0:
            report(f"waiting for another process that simulates the shop; {_TURN_SECONDS - second} s more at most")
        sleep(1)
    else:
        raise Transient(
            f"waited {_TURN_SECONDS} s for another process that simulates the shop",
            where="the shop's Postgres",
            todo="run the same command later; or stop the other process with clearwell down",
        )
    postgres.make_tables(shop)
    shop.execute(_PRODUCTS, {"products": PRODUCTS})
    shop.commit()


@contextmanager
def _laboratory(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the DuckDB in which days are generated: in bounded memory."""
    home.shop.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(
        config={"threads": 2, "memory_limit": "700MB", "temp_directory": str(home.shop / "spill")}
    )
    connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
    connection.execute(
        "create table arriving (event_type varchar, visitor_id varchar, plant varchar, event_date date, folder_date date)"
    )
    try:
        yield connection
    finally:
        connection.close()


def _draw(laboratory: duckdb.DuckDBPyConnection, script: str, day: Day, size: int) -> None:
    laboratory.execute(f"create or replace macro day() as date '{day.day}'")
    laboratory.execute(f"create or replace macro size() as {size}")
    laboratory.execute(f"create or replace macro bulk() as {day.has_bulk_order}")
    laboratory.execute(
        f"create or replace macro u(i, what) as (hash(i, what, '{day.day}', {day.seed}) % 1000000007) / 1000000007.0"
    )
    laboratory.execute((_HERE / script).read_text())


def _sell(
    laboratory: duckdb.DuckDBPyConnection,
    shop: psycopg.Connection,
    home: Home,
    day: Day,
    since: datetime | None,
    until: datetime,
) -> bool:
    """Update a day's orders to the present time; return whether they could change. A settled day is skipped."""
    start = datetime.combine(day.day, time(), UTC)
    settled = start + timedelta(days=1) + _ORDER_REACH
    if start >= until or (since and since >= settled and day.is_begun):
        return False
    _draw(laboratory, "orders.sql", day, day.orders_per_day)
    for table, query in _ROWS.items():
        rows = home.shop / f".{table}.csv"
        laboratory.sql(query.format(until=until.isoformat())).write_csv(str(rows), header=False)
        shop.execute(f"create temp table incoming (like shop.{table}) on commit drop")
        with shop.cursor().copy("copy incoming from stdin (format csv)") as copy, rows.open("rb") as file:
            while piece := file.read(1 << 20):
                copy.write(piece)
        shop.execute(_UPSERT[table])
        shop.execute("drop table incoming")
        rows.unlink()
    shop.execute("update simulation.days set is_begun = true where day = %s", [day.day])
    return True


def _click(laboratory: duckdb.DuckDBPyConnection, home: Home, days: Sequence[Day], day: Day, until: datetime) -> bool:
    """Write the files of a day's past hours, from its own clicks and late ones of earlier days.

    A past day that is written stays unchanged; the arrivals are kept for the truth. Return whether there was work to do.
    """
    start = datetime.combine(day.day, time(), UTC)
    arrived = home.shop / "arrived" / f"{day.day}.parquet"
    if start >= until or (arrived.exists() and (home.landing / str(day.day)).exists()):
        return False
    stage = home.shop / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    for other in days:
        if day.day - _CLICK_REACH <= other.day <= day.day:
            _draw(laboratory, "events.sql", other, other.events_per_day)
            (stage / str(other.day)).mkdir(parents=True)
            lines = laboratory.sql(_STAGE.format(day=day.day, until=f"{until:%Y-%m-%d %H:00}"))
            lines.write_parquet(str(stage / str(other.day)), partition_by=["hour", "part"], overwrite=True)
    for hour in range(24):
        if start + timedelta(hours=hour + 1) <= until:
            _write_hour(laboratory, home, start + timedelta(hours=hour), stage)
    _keep_arrived(laboratory, stage, day.day, arrived if start + timedelta(days=1) <= until else None)
    shutil.rmtree(stage)
    return True


def _write_hour(laboratory: duckdb.DuckDBPyConnection, home: Home, start: datetime, stage: Path) -> None:
    folder = home.landing / f"{start:%Y-%m-%d}" / f"{start:%H}"
    for part, suffix in enumerate(_SUFFIXES):
        target = folder / f"clicks-{part}.{suffix}"
        rows = f"*/hour={start.hour}/part={part}/*.parquet"
        if target.exists() or not any(stage.glob(rows)):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f".{target.name}.tmp"
        with _pack(aside, suffix) as file:
            for block in laboratory.execute(_FILE, [f"{stage}/{rows}"]).to_arrow_reader(_BLOCK):
                file.write("".join(block.column(0).to_pylist()).encode().replace(_INVALID, b"\xff\xfe"))
        aside.rename(target)


def _keep_arrived(laboratory: duckdb.DuckDBPyConnection, stage: Path, day: date, target: Path | None) -> None:
    """Record the content of a day's files in `target`; without one the day is not over, and only this run remembers it."""
    rows = "*/*/*/*.parquet"
    if not any(stage.glob(rows)):
        return
    query = f"{_ARRIVED.format(day=day)} from read_parquet($1) where copy = 0"
    if not target:
        laboratory.execute(f"insert into arriving {query}", [f"{stage}/{rows}"])
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_suffix(".new")
    laboratory.sql(query, params=[f"{stage}/{rows}"]).write_parquet(str(aside), compression="zstd")
    aside.rename(target)


def _recall_arrived(laboratory: duckdb.DuckDBPyConnection, home: Home, days: Sequence[Day]) -> None:
    """Create the view `arrivals` of everything that ever arrived."""
    kept = [home.shop / "arrived" / f"{day.day}.parquet" for day in days]
    files = ", ".join(database.literal(path) for path in kept if path.exists())
    more = f"union all by name from read_parquet([{files}])" if files else ""
    laboratory.execute(f"create temp view arrivals as from arriving {more}")


@contextmanager
def _pack(path: Path, suffix: str) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with path.open("wb") as file:
        if suffix.endswith("gz"):
            # no name or time in the gzip header, so that the same clicks give the same bytes
            with gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
                yield packed
        elif suffix.endswith("zst"):
            with zstandard.open(file, "wb", closefd=False) as packed:
                yield packed
        else:
            yield file


# On disk and by file, so that memory does not grow with the size of a day.
_STAGE = """
    select
        i, event_type, visitor_id, plant, event_date, cast(date_part('hour', arrived_at) as int) as hour,
        unnest(
            case when second_line is null then [{{'copy': 0, 'line': line, 'part': part}}]
            else [{{'copy': 0, 'line': line, 'part': part}}, {{'copy': 1, 'line': second_line, 'part': second_part}}] end,
            recursive := true
        )
    from written
    where arrived_at >= date '{day}' and arrived_at < date '{day}' + 1 and arrived_at < timestamp '{until}'
"""

_ARRIVED = "select event_type, visitor_id, plant, event_date, date '{day}' as folder_date"

_FILE = "select line from read_parquet($1) order by copy, i, line"

_PRODUCTS = """
    insert into shop.products
    select
        'p-' || lpad(n::text, 4, '0'),
        (array['Walnut', 'Red', 'Linen', 'Blue', 'Copper', 'Garden', 'Travel'])[1 + n %% 7] || ' '
        || (array['shoes', 'lamp', 'table', 'cup'])[1 + n %% 4] || ' no. ' || n,
        (array['shoes', 'lamps', 'tables', 'cups'])[1 + n %% 4],
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
            customer_since as created_at, created_at as updated_at
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
