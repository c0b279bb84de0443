"""Take a day from its sources to gold through Airflow in `CLEARWELL_HOME`, and print seconds, CPU seconds and peak in MB as JSON.

CLEARWELL_HOME=... python -m bench.scheduler 2026-11-01

Counted is the time from the request of the runs until the build is published. Airflow is started before, and has ended the run
of the sources that its own schedule asks for: one of yesterday, without data, which would share the machine with the day. Its
processes are counted: their CPU seconds from the request on, and their memory.
"""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread

import psutil

from bench.processes import sample
from ingestion.home import Home
from operations import airflow
from warehouse.build import pending

_PATIENCE_SECONDS = 3600.0
_POLL_SECONDS = 0.5
_SWEEP = "sweep_sources"
_EVER = date.min, date.max


def main() -> None:
    """Start Airflow, request the day, wait for it, and stop Airflow."""
    home, day = Home.from_environment(), date.fromisoformat(sys.argv[1])
    try:
        leaders = [psutil.Process(part.pid) for part in airflow.start(home).parts.values()]
        _end_the_scheduled_run(home)
        start, cpu, ended, most = datetime.now(UTC), _cpu(leaders), Event(), [0]
        watch = Thread(target=sample, args=(leaders, ended, most))
        watch.start()
        try:
            published = _run(home, day)
        finally:
            ended.set()
            watch.join()
        print(json.dumps([(published - start).total_seconds(), _cpu(leaders) - cpu, most[0] / 1e6]))
    finally:
        airflow.stop(home)


def _end_the_scheduled_run(home: Home) -> None:
    """Let the schedule ask for its run of the sources, and wait until it has ended, whatever its state."""
    airflow.unpause(home, [_SWEEP])
    api, until = airflow.Api(home), time.monotonic() + _PATIENCE_SECONDS
    while not api.runs_of(_SWEEP, *_EVER) or any(run["dag_id"] == _SWEEP for run in api.runs("queued", "running")):
        if time.monotonic() > until:
            sys.exit(f"the scheduled run of {_SWEEP} did not end")
        time.sleep(_POLL_SECONDS)
    api.pause(_SWEEP, True)


def _run(home: Home, day: date) -> datetime:
    """Let the day land, then build it in one build, as `clearwell demo` does; return when it was published. Exit if anything is left."""
    before = day + timedelta(days=1)
    airflow.backfill(home, _SWEEP, day, before)
    airflow.unpause(home, [_SWEEP])
    airflow.wait(home, before=before, builds=False, patience=_PATIENCE_SECONDS)
    airflow.unpause(home, ["build_warehouse"])
    airflow.wait(home, before=before, patience=_PATIENCE_SECONDS)
    if pending(home):
        sys.exit("batches were left")
    tasks = airflow.Api(home).all("/dags/build_warehouse/dagRuns/~/taskInstances", "task_instances", task_id="publish")
    return max(datetime.fromisoformat(one["end_date"]) for one in tasks if one["state"] == "success")


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
