"""Measure what the accounting costs: the same batches transformed and tested with it and without it, turn by turn.

python -m bench.accounting --events 10000000 --orders 200000 --rounds 2

With: every model and test. Without: none of those tagged `accounting` (the ledger, counts where records are parsed,
reconciliation, completeness, restatements) and none of the tests that read them.
"""

import argparse
import os
import statistics
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from demo import postgres, simulate
from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from warehouse import build, dbt
from warehouse.plan import Build

DAY = date(2026, 11, 1)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
ACCOUNTING = "accounting"


def main() -> None:
    """Make and land the day, plan its build once, and time it both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--orders", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="clearwell-bench-") as folder:
        home = Home(Path(folder), Path(folder) / "landing" / "clickstream")
        postgres.start(home)
        try:
            land(home, arguments.events, arguments.orders)
        finally:
            postgres.stop(home)
        planned = build.plan(home, build.Request(), NOW)
        assert planned
        made = Build(home, planned.build_id)
        taken: dict[str, list[float]] = {"with": [], "without": []}
        for number in range(arguments.rounds):
            for what in sorted(taken, reverse=bool(number % 2)):
                taken[what].append(measure(made, with_accounting=what == "with"))
                print(f"{what:<8} {taken[what][-1]:>7.1f} s", flush=True)
        on, off = (statistics.median(taken[what]) for what in ("with", "without"))
        print(f"accounting: {on:.1f} s against {off:.1f} s, {100 * (on / off - 1):.1f} % more")


def land(home: Home, events: int, orders: int) -> None:
    """Let one day pass in the shop, and land it."""
    window = Window.parse(DAY.isoformat(), (DAY + timedelta(days=1)).isoformat())
    simulate.simulate(home, DAY, DAY + timedelta(days=1), orders_per_day=orders, events_per_day=events)
    for source in sources.SOURCES:
        sources.ingest(source, window, home, NOW)


def measure(made: Build, *, with_accounting: bool) -> float:
    """Transform and test the build once; return the seconds."""
    build.prepare(made)
    os.sync()
    start = time.monotonic()
    dbt.run_models(made, choose=[] if with_accounting else ["--exclude", f"tag:{ACCOUNTING}"])
    dbt.run_tests(made, without_tag="" if with_accounting else ACCOUNTING)
    return time.monotonic() - start


if __name__ == "__main__":
    main()
