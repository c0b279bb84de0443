"""A real scheduler runs backfills of the messy shop up to the published file, while a reader polls it."""

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import duckdb
import psycopg
import pytest

from demo import simulate
from ingestion import bronze, sources
from ingestion.home import Home
from ingestion.window import Window
from operations import airflow, hashes, ledger
from tests.pipeline import truth
from warehouse.build import Request, build

LIMIT_SECONDS = 600
README = Path(__file__).parents[2] / "README.md"


class Reader(threading.Thread):
    """Poll the published file for numbers that agree in every complete version."""

    QUESTION = """
        select
            (select max(build_number) from ops.builds),
            (select sum(orders) from gold.daily_revenue) = (select sum(orders) from gold.hourly_revenue),
            (select sum(records) from ops.ledger) = (select sum(records_written) from ops.batches),
            (select sum(events) from gold.daily_traffic)
                is not distinct from (select sum(records) from ops.ledger where dataset = 'clickstream' and fate = 'current')
    """

    def __init__(self, home: Home) -> None:
        super().__init__(daemon=True)
        self.home, self.over = home, threading.Event()
        self.wrong: list[str] = []
        self.builds: list[int] = []

    def run(self) -> None:
        seen, unread = None, 0
        while not self.over.wait(0.02):
            # opening the file takes CPU that the builds need: it is read when it changes, and once a second
            unread += 1
            if not self.home.published.exists() or ((now := self.version()) == seen and unread < 50):
                continue
            seen, unread = now, 0
            try:
                with duckdb.connect(str(self.home.published), read_only=True) as published:
                    row = published.sql(self.QUESTION).fetchone()
            except duckdb.Error as error:
                self.wrong.append(str(error))
                continue
            if row is None or not all(row[1:]):
                self.wrong.append(str(row))
            else:
                self.builds.append(row[0])

    def version(self) -> tuple[int, int, int]:
        """Return what differs once the file is another one, or has been written to."""
        found = self.home.published.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size


def typed(first: date, last: date) -> list[str]:
    """Return the README's backfill command, with other days."""
    command = re.search(r"^clearwell airflow (backfill create .*)$", README.read_text(), re.MULTILINE)
    assert command
    return command[1].replace("2026-01-01", first.isoformat()).replace("2026-01-31", last.isoformat()).split()


def test_backfills_through_the_scheduler_end_in_the_truth(shop: Home) -> None:
    # The scheduler also runs yesterday by itself, so the shop needs that day too.
    now = datetime.now(UTC)
    today = now.date()
    first, last = today - timedelta(days=2), today - timedelta(days=1)
    simulate.simulate(shop, first, today, orders_per_day=100, events_per_day=2000)
    for source in sources.SOURCES:
        sources.ingest(source, Window.parse(first.isoformat(), last.isoformat()), shop, now)
    build(shop, Request(), now)
    reader = Reader(shop)
    reader.start()
    try:
        airflow.start(shop)
        clear_before_the_deadline(shop)
        assert airflow.command(shop, typed(first, last)) == 0
        airflow.unpause(shop, ["sweep_sources", "build_warehouse"])
        airflow.wait(shop, before=today, patience=400)
        once = hashes.read(shop)
        airflow.backfill(shop, "sweep_sources", first, today)
        airflow.wait(shop, before=today, patience=400)
    finally:
        airflow.stop(shop)
        reader.over.set()
        reader.join()
    assert truth.differences(shop) == []
    assert ledger.recount(shop) == ([], True)
    assert hashes.read(shop) == once
    assert reader.wrong == []
    assert reader.builds == sorted(reader.builds) and len(set(reader.builds)) > 1
    assert airflow.read(shop) is None


def clear_before_the_deadline(home: Home) -> None:
    """Clear a task of a run that has a deadline, as after a failure: some references of deadlines have Airflow refuse it."""
    api = airflow.Api(home)
    run = api.ask(
        "POST", "/dags/build_warehouse/dagRuns", {"logical_date": None, "conf": {}}
    )  # queued: the DAG is paused
    with psycopg.connect(airflow._server(home).url) as database:
        query = "select deadline_time from deadline join dag_run on dag_run.id = dagrun_id where run_id = %s"
        deadlines = database.execute(query, [run["dag_run_id"]]).fetchall()
    assert deadlines == [(datetime.fromisoformat(run["queued_at"]) + timedelta(hours=3),)]
    asked = {"dry_run": False, "dag_run_id": run["dag_run_id"], "task_ids": ["plan"], "only_failed": False}
    assert api.ask_once("POST", "/dags/build_warehouse/clearTaskInstances", asked)["total_entries"] == 1
    api.ask("DELETE", f"/dags/build_warehouse/dagRuns/{quote(run['dag_run_id'])}")


@pytest.mark.long
def test_a_machine_that_dies_in_mid_backfill_goes_on_when_it_is_started_again(shop: Home, tmp_path: Path) -> None:
    """Airflow, its database and all they run are killed and started again; nothing is requested a second time."""
    home = Home(tmp_path / "home", shop.landing, shop.database_url())
    today = datetime.now(UTC).date()
    first = today - timedelta(days=3)
    simulate.simulate(shop, first, today, orders_per_day=100, events_per_day=2000)
    try:
        airflow.start(home)
        airflow.backfill(home, "sweep_sources", first, today)
        airflow.unpause(home, ["sweep_sources", "build_warehouse"])
        # kill during the landing of the first days, and during a build
        for has_come in (home.bronze.exists, lambda: len(bronze.list_batches(home)) > 8, home.state.exists):
            wait_until(has_come)
            kill(home)
            airflow.start(home)
        airflow.wait(home, before=today, patience=1200)
    finally:
        airflow.stop(home)
    shutil.copytree(shop.shop, home.shop, ignore=shutil.ignore_patterns("postgres*"))
    assert truth.differences(home) == []
    assert ledger.recount(home) == ([], True)


def kill(home: Home) -> None:
    running = airflow.read(home)
    assert running
    for pid in (pid for leader in running.parts.values() for pid in leader.members()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server = airflow._server(home)
    os.kill(int((server.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    wait_until(lambda: not server.is_running())


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)
