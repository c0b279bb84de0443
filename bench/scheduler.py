"""Take a day from its sources to gold through Airflow in `CLEARWELL_HOME`, and print seconds, CPU seconds and peak in MB as JSON.

CLEARWELL_HOME=... python -m bench.scheduler 2026-11-01

Counted is the time from the request of the runs until the last batch is published. Airflow is started before, but is counted
with its processes: their CPU seconds from the request on, and their memory.
"""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from threading import Event, Thread

import psutil

from bench.processes import sample
from ingestion.home import Home
from operations import airflow
from warehouse.build import pending

_PATIENCE_SECONDS = 3600.0


def main() -> None:
    """Start Airflow, request the day, wait for it, and stop Airflow."""
    home, day = Home.from_environment(), date.fromisoformat(sys.argv[1])
    try:
        leaders = [psutil.Process(part.pid) for part in airflow.start(home).parts.values()]
        airflow.backfill(home, "sweep_sources", day, day + timedelta(days=1))
        start, cpu, ended, most = time.perf_counter(), _cpu(leaders), Event(), [0]
        watch = Thread(target=sample, args=(leaders, ended, most))
        watch.start()
        try:
            _run(home, day)
        finally:
            ended.set()
            watch.join()
        print(json.dumps([time.perf_counter() - start, _cpu(leaders) - cpu, most[0] / 1e6]))
    finally:
        airflow.stop(home)


def _run(home: Home, day: date) -> None:
    """Let the day land, then build it in one build, as `clearwell demo` does. Exit if anything of it is left."""
    before = day + timedelta(days=1)
    airflow.unpause(home, ["sweep_sources"])
    airflow.wait(home, before=before, builds=False, patience=_PATIENCE_SECONDS)
    airflow.unpause(home, ["build_warehouse"])
    airflow.wait(home, before=before, patience=_PATIENCE_SECONDS)
    if pending(home):
        sys.exit("batches were left")


def _cpu(leaders: Sequence[psutil.Process]) -> float:
    """Return the CPU seconds of processes, those they started, and those of these that have ended."""
    used = 0.0
    for leader in leaders:
        for one in (leader, *leader.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                used += times.user + times.system + times.children_user + times.children_system
    return used


if __name__ == "__main__":
    main()
