"""Measure what a dashboard waits for: every gold table's own question, asked of a published year.

python -m bench.dashboards --days 365 --orders 1000 --events 10000
python -m bench.dashboards --home DIR     the same questions, asked of a home that is there

Each is asked in a connection of its own, so the first answer is a cold one as far as DuckDB goes.
"""

import argparse
import statistics
import time
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from bench.processes import CLEARWELL, environment, run
from ingestion.home import Home
from warehouse.lineage import read_gold

LAST_DAY = date(2026, 11, 1)
ROUNDS = 5


def main() -> None:
    """Make the year, unless a home is given, and time every question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--orders", type=int, default=1_000, help="a day")
    parser.add_argument("--events", type=int, default=10_000, help="a day")
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    if arguments.home:
        ask_all(arguments.home)
        return
    with TemporaryDirectory(prefix="clearwell-bench-") as folder:
        make(Path(folder), arguments.days, arguments.orders, arguments.events)
        ask_all(Path(folder))


def make(home: Path, days: int, orders: int, events: int) -> None:
    """Let so many days pass in the shop, and take them to gold."""
    env = environment(CLEARWELL_HOME=str(home))
    span = ["--from", str(LAST_DAY - timedelta(days=days)), "--to", str(LAST_DAY)]
    sizes = ["--orders-per-day", str(orders), "--events-per-day", str(events)]
    try:
        print(f"simulate {run([CLEARWELL, 'shop', 'simulate', *span, *sizes], env)}", flush=True)
        print(f"run      {run([CLEARWELL, 'run', *span], env)}", flush=True)
    finally:
        run([CLEARWELL, "shop", "stop"], env)


def ask_all(home: Path) -> None:
    """Print the first and the median answer of every question, in seconds, and how many rows its table has."""
    published = Home(home, home / "landing").published
    print(f"{'gold table':<18} {'rows':>10} {'first':>8} {'median':>8}")
    for _, model in read_gold():
        table = model["name"].removeprefix("gold_")
        taken = [ask(published, model["config"]["meta"]["dashboard"]) for _ in range(ROUNDS)]
        with duckdb.connect(str(published), read_only=True) as connection:
            (rows,) = connection.sql(f"select count(*) from gold.{table}").fetchall()[0]
        print(f"{table:<18} {rows:>10,} {taken[0]:>8.3f} {statistics.median(taken):>8.3f}", flush=True)


def ask(published: Path, question: str) -> float:
    """Ask once, in a connection of its own; return the seconds."""
    start = time.monotonic()
    with duckdb.connect(str(published), read_only=True) as connection:
        connection.sql(question).fetchall()
    return time.monotonic() - start


if __name__ == "__main__":
    main()
