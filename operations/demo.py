"""The demo: a simulated shop, taken to gold by a real Airflow. The only module here that knows the shop is simulated."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta

from demo import live, postgres, rates, simulate
from ingestion.home import Home
from ingestion.landing import Report
from operations import airflow, ledger, page
from operations.output import show, tell
from warehouse import state

_LAYERS = """
    select schema_name as layer, table_name as "table", estimated_size as rows from duckdb_tables()
    where database_name = current_database() and schema_name in ('records', 'silver', 'gold')
    order by array_position(['records', 'silver', 'gold'], schema_name), table_name
"""
_RECONCILIATION = """
    select
        dataset, record_date, source_records as source, bronze_records as bronze, current_records as current,
        superseded_records + duplicate_records as "set aside", dead_letter_records as "dead letters",
        gold_records as gold, cancelled_records + unmatched_records as "left out", source_difference as "source diff",
        gold_difference as "gold diff", gold_amount_difference as "money diff"
    from ops.reconciliation
    where dataset in ('orders', 'order_items', 'clickstream') and record_date between $1 and $2
    order by dataset, record_date
"""
_REVENUE = """
    select order_date, currency, sum(orders)::bigint as orders, sum(units)::bigint as units, sum(gross_amount) as gross_amount,
        sum(refunded_amount) as refunded_amount, sum(net_amount) as net_amount, sum(net_usd) as net_usd
    from gold.daily_revenue
    group by order_date, currency
    order by order_date desc, currency
    limit 12
"""


def run(home: Home, now: datetime, days: int, report: Report) -> None:
    """Take some days of the shop to gold, print what came out, and stop everything that was started."""
    had_airflow = airflow.read(home) is not None
    had_shop = bool(home.shop_url) or postgres.is_running(home)
    try:
        _take(home, now.date(), days, report)
    finally:
        if not had_airflow:
            report("stopping Airflow")
            airflow.stop(home)
        if not had_shop:
            report("stopping the shop's Postgres")
            postgres.stop(home)
    print_results(home)
    tell("       make up                             the same, left running, with Airflow's UI")


def up(home: Home, now: Callable[[], datetime], report: Report) -> None:
    """Do the same, and leave it running, with the shop producing as time passes."""
    _take(home, now().date(), 3, report)
    _start_shop(home, now(), report)
    airflow.unpause(home)
    print_results(home)
    running = airflow.read(home)
    tell(f"Airflow: {running.url if running else '?'} (user {airflow.USER}, password in {airflow.passwords(home)})")
    tell("The shop goes on producing. Stop it all: make down")


def down(home: Home, report: Report) -> None:
    """Stop the shop, its Postgres and Airflow. All data stays."""
    report("stopping the shop, Airflow and the shop's Postgres")
    pid_file = home.shop / "live.pid"
    if pid_file.exists():
        try:
            os.killpg(int(pid_file.read_text()), signal.SIGTERM)
        except (ProcessLookupError, ValueError):
            report("the shop had stopped already")
        pid_file.unlink()
    airflow.stop(home)
    postgres.stop(home)


def _take(home: Home, today: date, days: int, report: Report) -> None:
    first = today - timedelta(days=days)
    if not home.shop_url:
        report("starting the shop's Postgres")
        postgres.start(home)
    report(f"simulating the shop from {first} to {today}")
    simulate.simulate(home, first, today, bulk_orders=True)
    # Those that ship with a package may have ended before these days. Whoever names a file is asking for that one.
    os.environ.setdefault("EXCHANGE_RATES", str(rates.write(home, first, today)))
    airflow.start(home, report)
    report(f"backfilling sweep_sources from {first} to {today - timedelta(days=1)}, through Airflow's API")
    airflow.backfill(home, "sweep_sources", first, today)
    # Not before: a scheduler that makes its own run of the last day at the same moment dies of it.
    airflow.unpause(home, ["sweep_sources"])
    airflow.wait(home, report, before=today, builds=False)
    # One build for all the days: each arrival would wake its own.
    report("the days are landed; now the build")
    airflow.unpause(home, ["build_warehouse"])
    airflow.wait(home, report, before=today)


def _start_shop(home: Home, present: datetime, report: Report) -> None:
    """Bring the shop to the present, since an hour without a click is a failure; then leave it producing."""
    report("letting the shop produce")
    live.catch_up(home, present)
    with (home.shop / "live.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "shop", "live"],
            env={**os.environ, "CLEARWELL_HOME": str(home.root), "CLICKSTREAM_LANDING": str(home.landing)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (home.shop / "live.pid").write_text(str(process.pid))


def print_results(home: Home) -> None:
    """Print rows by layer, fates, the reconciliation, revenue, and what to type next."""
    layers = state.read(home.state, "ops.ledger", _LAYERS)
    show(layers, as_json=False, title="rows by layer")
    show(ledger.read(home)[0], as_json=False, title="what became of every record")
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
    tell(
        "Next:  clearwell status                    is all well?\n"
        "       clearwell dead-letters list         what was refused, and why\n"
        "       clearwell sql 'from gold.daily_traffic'"
    )
