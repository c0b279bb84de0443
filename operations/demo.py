"""The demo: a simulated shop, whose data a real Airflow takes to gold. No other module here knows that it is simulated."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from demo import live, postgres, rates, simulate
from ingestion import atomic, locks
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Report
from ingestion.sources.postgres import opened
from operations import airflow, control_room, ledger, page, processes
from operations.output import show, tell, with_first
from operations.processes import Leader, Starting
from warehouse import state

_DAYS = 3
_STOP_SECONDS = 20.0
# In each table, the columns that matter most come first: a narrow terminal leaves out the last ones.
_LAYERS = """
    select * from (
        select schema_name as layer, table_name as "table", estimated_size as rows from duckdb_tables()
        where database_name = current_database() and schema_name in ('records', 'silver', 'gold')
        union all
        select 'silver', 'clickstream', count(*) from silver.clickstream  -- a view
    )
    order by array_position(['records', 'silver', 'gold'], layer), "table"
"""
_RECONCILIATION = """
    select
        dataset, record_date, source_records as source, bronze_records as bronze, current_records as current,
        gold_records as gold, source_difference as "source diff", gold_difference as "gold diff",
        gold_amount_difference as "money diff", superseded_records + duplicate_records as "set aside",
        dead_letter_records as "dead letters", cancelled_records + unmatched_records as "left out"
    from ops.reconciliation
    where dataset in ('orders', 'order_items', 'clickstream') and record_date between $1 and $2
    order by dataset, record_date
"""
_REVENUE = """
    select order_date, currency, sum(orders)::bigint as orders, sum(net_amount) as net_amount, sum(net_usd) as net_usd,
        sum(gross_amount) as gross_amount, sum(refunded_amount) as refunded_amount, sum(units)::bigint as units
    from gold.daily_revenue
    group by order_date, currency
    order by order_date desc, currency
    limit 12
"""


def run(home: Home, now: datetime, days: int, report: Report) -> None:
    """Take some days of the shop to gold, print the results, and stop everything that was started."""
    with _alone(home, report):
        had_airflow = airflow.is_running(home)
        had_shop = bool(home.shop_url) or postgres.is_running(home)
        try:
            _take(home, now, days, report)
        finally:
            if not had_airflow:
                report("stopping Airflow")
                airflow.stop(home)
            if not had_shop:
                report("stopping the shop's Postgres")
                postgres.stop(home)
    print_results(home)
    _print_next(now, ("make up", "the same, left running, with Airflow's UI"))


def up(home: Home, now: Callable[[], datetime], report: Report) -> None:
    """Do as `run` does and leave all running, with the shop producing as time passes. Running parts are not restarted."""
    with _alone(home, report):
        _take(home, now(), _DAYS, report)
        _start_shop(home, now(), report)
        airflow.unpause(home, report=report)
    print_results(home)
    running = airflow.read(home)
    tell(f"Airflow: {running.url if running else '?'} (user {airflow.USER}, password in {airflow.passwords(home)})")
    tell("The shop keeps producing; each hour is landed and built when it is over.")
    first, last = now() - timedelta(days=_DAYS), now() - timedelta(days=1)
    days = f"--from-date {first:%Y-%m-%d} --to-date {last:%Y-%m-%d}"
    again = f"clearwell airflow backfill create --dag-id sweep_sources {days} --reprocess-behavior completed"
    _print_next(now(), ("make down", "stop it all"), (again, ""))


def down(home: Home, report: Report) -> None:
    """Stop the shop, its Postgres and Airflow, and a `demo` or `up` in progress. All data stays."""
    if starting := locks.holder(_lock(home)):
        report(f"stopping {starting}; {_STOP_SECONDS:.0f} s at most")
        processes.end(starting.process, _STOP_SECONDS)
    report("stopping the shop, Airflow and the shop's Postgres; a minute at most")
    if shop := _live(home):
        processes.stop([shop], _STOP_SECONDS)
    airflow.stop(home)
    postgres.stop(home)
    _live_record(home).unlink(missing_ok=True)


@contextmanager
def _alone(home: Home, report: Report) -> Iterator[None]:
    """Let one process at a time start and stop things in a home."""
    with locks.hold(_lock(home), "starts the demo", report):
        yield


def _take(home: Home, now: datetime, days: int, report: Report) -> None:
    today = now.date()
    first = today - timedelta(days=days)
    if not home.shop_url:
        report("starting the shop's Postgres")
        postgres.start(home)
    _refuse_a_real_shop(home)
    report(f"simulating the shop from {first} to {today - timedelta(days=1)}")
    simulate.simulate(home, first, today, bulk_orders=True, report=report)
    # The rates that ship with a package may end before these days. A file named by the user is left as it is.
    os.environ.setdefault("EXCHANGE_RATES", str(rates.write(home, first, today)))
    airflow.start(home, report)
    has_asked = airflow.complete(home, "sweep_sources", first, today, report)
    # Not before: the scheduler crashes if it creates its own run of the last day at the same moment.
    airflow.unpause(home, ["sweep_sources"], report)
    airflow.wait(home, report, before=today, since=now, builds=False)
    # One build for all the days, instead of one for each arrival.
    airflow.unpause(home, ["build_warehouse"], report)
    if has_asked or not home.published.exists() or airflow.waits_for_build(home, today):
        report("the days have landed; building them")
        airflow.wait(home, report, before=today, since=now)
    else:
        report("the days are built")


def _refuse_a_real_shop(home: Home) -> None:
    with opened(home.database_url()) as shop:
        row = shop.execute(
            "select to_regclass('shop.orders') is not null and to_regclass('simulation.days') is null"
        ).fetchone()
    if row and row[0]:
        raise Permanent(
            "this is a real shop's database, and the demo would write simulated orders into it",
            where="SHOP_DATABASE_URL",
            todo="unset it to run the demo; for your own shop, run `clearwell run --from DATE --to DATE`",
        )


def _start_shop(home: Home, present: datetime, report: Report) -> None:
    """Simulate the shop up to now, since an hour without clicks is a failure; then leave it producing."""
    running = _live(home)
    if running and running.is_alive:
        report("the shop is producing already")
        return
    if running:
        processes.stop([running], _STOP_SECONDS)
    report("simulating the shop up to now")
    live.catch_up(home, present)
    command = [sys.executable, "-m", "cli", "shop", "live"]
    environ = {**os.environ, "CLEARWELL_HOME": str(home.root), "CLICKSTREAM_LANDING": str(home.landing)}
    starting = Starting(command, environ, home.shop / "live.log")
    atomic.write(_live_record(home), json.dumps(asdict(starting.leader)))
    starting.go()


def _live(home: Home) -> Leader | None:
    try:
        return Leader(**json.loads(_live_record(home).read_text()))
    except FileNotFoundError:
        return None


def _live_record(home: Home) -> Path:
    return home.shop / "live.json"


def _lock(home: Home) -> Path:
    return home.airflow / "up.lock"


def print_results(home: Home) -> None:
    """Print rows by layer, fates, the reconciliation, revenue, and what to type next."""
    layers = state.read(home.state, "ops.ledger", _LAYERS)
    show(layers, as_json=False, title="rows by layer")
    fates = with_first(ledger.read(home)[0], ledger.FIRST)
    show(fates, as_json=False, title="what became of every record")
    dates = state.read(
        home.published,
        "gold.daily_revenue",
        "select min(order_date) as a, max(order_date) as b from gold.daily_revenue",
    )[0]
    rows = state.read(home.published, "ops.reconciliation", _RECONCILIATION, [dates["a"], dates["b"]])
    show(rows, as_json=False, title="reconciliation: every two layers, by day")
    show(state.read(home.published, "gold.daily_revenue", _REVENUE), as_json=False, title="gold.daily_revenue")
    tell(f"published: {home.published}")
    tell(f"results:   {page.write(home)}    one page, to be opened in a browser")
    tell(f"control:   {home.root / control_room.NAME}    another: is everything fresh, complete and balanced?")


def _print_next(now: datetime, *more: tuple[str, str]) -> None:
    """Print the commands to try next, as they can be typed in this shell."""
    lines = [
        ("clearwell status", "is all well?"),
        ("clearwell dead-letters list", "what was refused, and why"),
        ("clearwell describe", "the tables, and what they mean"),
        ("clearwell show daily_revenue", "one of them, drawn"),
        ("clearwell sql 'from gold.daily_traffic'", "ask the tables"),
        (f"clearwell trace o-{now - timedelta(days=1):%Y%m%d}-000007", "where an order came from, and what it is in"),
        ("clearwell run --from yesterday --to today", "land a day again, and build"),
        *more,
    ]
    width = max(len(line) for line, why in lines if why)
    if not shutil.which("clearwell"):
        tell(f"First, once in a shell: {_activation()}")
    tell(
        "\n".join(
            f"{'Next:  ' if not n else '       '}{line:<{width}}  {why}".rstrip() for n, (line, why) in enumerate(lines)
        )
    )


def _activation() -> str:
    return f'export PATH="{Path(sys.executable).parent}:$PATH"'
