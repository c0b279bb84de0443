"""Any process can be killed at any instant, and any call can fail: running the command again ends in the same state.

The steps are the calls that change something outside the process. At a sample of them, or at the first, a middle
and the last of each place in the code, a child process is killed and a call is made to fail.
"""

import errno
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from types import FrameType

import duckdb
import pyarrow.parquet as pq
import pytest

from ingestion import bronze, database, sources
from ingestion.database import write_ahead
from ingestion.errors import ClearwellError
from ingestion.home import Home
from ingestion.window import Window
from operations import hashes, ledger
from tests.pipeline.children import children
from tests.pipeline.copies import copied
from warehouse import build as warehouse
from warehouse import state

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = Window.parse("2026-11-01", "2026-11-02")
TRACES = {
    "execute",
    "close",
    "replace",
    "rename",
    "fsync",
    "link",
    "unlink",
    "mkdir",
    "rmdir",
    "write",
    "sendfile",
    "open",
}
SOME, EACH = 5, 0
FAULTS = (errno.ENOSPC, errno.EIO, errno.EACCES)


@contextmanager
def watching(act: Callable[[int, FrameType, object], None]) -> Iterator[None]:
    """Call `act` before each trace that is left meanwhile, with its number, from 1."""
    seen = 0

    def count(frame: FrameType, event: str, called: object) -> None:
        nonlocal seen
        if event == "c_call" and getattr(called, "__name__", "") in TRACES:
            seen += 1
            act(seen, frame, called)

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)


def die_at(step: int, report: Path, work: Callable[..., object], *arguments: object) -> None:
    """Do the work, and be killed when it leaves its trace number `step`. At step 0, report the place of each trace."""
    places = []

    def act(number: int, frame: FrameType, called: object) -> None:
        if not step:
            places.append(place_of(frame, called))
        elif number == step:
            os.kill(os.getpid(), signal.SIGKILL)

    with watching(act):
        work(*arguments)
    report.write_text(json.dumps(places))


def place_of(frame: FrameType | None, called: object) -> str:
    """Return the lines of our own code, innermost first, from which a trace is left."""
    lines = [str(getattr(called, "__name__", ""))]
    while frame:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in ("ingestion", "warehouse"):
            lines.append(f"{path.name}:{frame.f_lineno}")
        frame = frame.f_back
    return " ".join(lines)


def fail_at(step: int, code: int, work: Callable[..., object], *arguments: object) -> None:
    """Do the work, and let the call that would leave its trace number `step` fail instead."""

    def act(number: int, frame: FrameType, called: object) -> None:
        if number == step and called is not os.close:  # the system closes the file even where it reports an error
            raise OSError(code, os.strerror(code))

    with suppress(OSError, ClearwellError, duckdb.Error), watching(act):
        work(*arguments)


def in_child(step: int, report: Path, work: Callable[..., object], *arguments: object) -> int | None:
    """Do the work in a child process; return its exit code, which is minus the signal that killed it."""
    child = children.Process(target=die_at, args=(step, report, work, *arguments))
    child.start()
    child.join(120)
    return child.exitcode


def kill_once_written(path: Path, work: Callable[..., object], *arguments: object) -> None:
    """Do the work in a child process, and kill it while it writes this file; again if the file was gone before the kill."""
    for _ in range(10):
        child = children.Process(target=work, args=arguments)
        child.start()
        for _ in range(6000):
            if is_written(path):
                break
            time.sleep(0.01)
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        if is_written(path):
            return
    pytest.fail(f"no kill left {path.name} behind")


def is_written(path: Path) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_size > 0
    return False


def steps_of(spread: int, report: Path, work: Callable[..., object], *arguments: object) -> list[int]:
    """Do the work once, and return some of its steps: a spread of so many.

    For EACH, they are the first, a middle and the last step of each place in the code.
    """
    assert in_child(0, report, work, *arguments) == 0
    places = json.loads(report.read_text())
    if spread != EACH:
        return sorted({1 + (len(places) - 1) * part // (spread - 1) for part in range(spread)})
    steps: dict[str, list[int]] = {}
    for step, place in enumerate(places, 1):
        steps.setdefault(place, []).append(step)
    return sorted({same[at] for same in steps.values() for at in (0, len(same) // 2, -1)})


def versions(home: Home) -> tuple[object, ...]:
    """Return the published file's build number, and whether its numbers agree."""
    with duckdb.connect(str(home.published), read_only=True) as published:
        found = published.sql("""
            select
                (select max(build_number) from ops.builds),
                (select sum(orders) from gold.daily_revenue) = (select sum(orders) from gold.hourly_revenue),
                (select sum(records) from ops.ledger) = (select sum(records_written) from ops.batches)
        """).fetchone()
    assert found
    return found


@pytest.mark.parametrize("spread", [SOME, pytest.param(EACH, marks=pytest.mark.long)])
def test_an_ingest_killed_anywhere_lands_the_same_batches(first_day: Home, tmp_path: Path, spread: int) -> None:
    window, report = DAY, tmp_path / "steps"
    for source in sources.SOURCES:
        whole = Home(tmp_path / source, first_day.landing, first_day.database_url())
        steps = steps_of(spread, report, sources.ingest, source, window, whole, NOW)
        expected = contents(whole)
        assert expected
        for step in steps:
            home = Home(tmp_path / f"{source}-{step}", first_day.landing, first_day.database_url())
            assert in_child(step, report, sources.ingest, source, window, home, NOW) == -signal.SIGKILL
            assert set(contents(home).items()) <= set(expected.items()), "every batch in bronze is complete"
            sources.ingest(source, window, home, NOW)
            assert contents(home) == expected
            shutil.rmtree(home.root)
        for step, code in zip(steps, cycle(FAULTS), strict=False):
            home = Home(tmp_path / f"{source}-{step}-failed", first_day.landing, first_day.database_url())
            fail_at(step, code, sources.ingest, source, window, home, NOW)
            # a landing file that cannot be read waits for the next ingest, and the others of its hour do not wait for it
            assert records(home) <= records(whole), "every record in bronze is the source's"
            sources.ingest(source, window, home, NOW)
            assert records(home) == records(whole)
            if not any(manifest.waiting for manifest in bronze.committed(home)):
                assert contents(home) == expected
            shutil.rmtree(home.root)


def contents(home: Home) -> dict[str, tuple[object, ...]]:
    """Return each committed batch with the checksums of its files."""
    return {
        manifest.batch_id: tuple((file.name, file.sha256) for file in manifest.files)
        for manifest in bronze.committed(home, frozenset())
    }


def records(home: Home) -> Counter[str]:
    """Count the records of all committed batches by their content, and check each batch against its manifest."""
    found: Counter[str] = Counter()
    for manifest in bronze.committed(home, frozenset()):
        bronze.verify(home, manifest, anew=True)
        for path in bronze.parquet_files(home, manifest):
            for row in pq.read_table(path).to_pylist():
                found[str({name: value for name, value in row.items() if name != "record_no"})] += 1
    return found


@pytest.mark.parametrize("spread", [SOME, pytest.param(EACH, marks=pytest.mark.long)])
def test_a_publish_killed_anywhere_ends_in_the_same_state(second_day: Home, tmp_path: Path, spread: int) -> None:
    home, build_id = audited(second_day, tmp_path, warehouse.Request())
    expected = killed_and_failed(home, build_id, tmp_path, spread)
    hit = copied(home, tmp_path / "committed")
    dies_once_committed(hit, build_id)
    for number, request in enumerate((warehouse.Request(full=True, reason="test"), warehouse.Request())):
        follows = copied(hit, tmp_path / f"follows-{number}")
        warehouse.build(follows, request, NOW.replace(hour=14))
        assert hashes.read(follows) == expected
        assert ledger.recount(follows) == ([], True)
        assert not list(follows.root.rglob("*.wal"))


@pytest.mark.parametrize("spread", [SOME, pytest.param(EACH, marks=pytest.mark.long)])
def test_a_full_build_killed_anywhere_while_it_becomes_the_state_ends_in_the_same_state(
    second_day: Home, tmp_path: Path, spread: int
) -> None:
    home, build_id = audited(second_day, tmp_path, warehouse.Request(full=True, reason="test"))
    killed_and_failed(home, build_id, tmp_path, spread)


def audited(second_day: Home, tmp_path: Path, request: warehouse.Request) -> tuple[Home, str]:
    """Return a home with a published day, and an audited build of the next, whose transform and audit were killed once each."""
    home = copied(second_day, tmp_path / "home")
    planned = warehouse.plan(home, request, NOW.replace(hour=13))
    assert planned
    kill_once_written(home.builds / planned.build_id / "build.duckdb.wal", warehouse.transform, home, planned.build_id)
    warehouse.transform(home, planned.build_id)
    kill_once_written(home.builds / planned.build_id / "build.duckdb.wal", warehouse.audit, home, planned.build_id, NOW)
    warehouse.audit(home, planned.build_id, NOW)
    return home, planned.build_id


def killed_and_failed(home: Home, build_id: str, tmp_path: Path, spread: int) -> list[state.Row]:
    """Publish a copy of the home per step, killed or failing at that step, and again; return the hashes that all end with."""
    whole, report = copied(home, tmp_path / "whole"), tmp_path / "steps"
    steps = steps_of(spread, report, warehouse.publish, whole, build_id)
    expected = hashes.read(whole)
    assert expected != hashes.read(home)
    for step in steps:
        hit = copied(home, tmp_path / f"step-{step}")
        assert in_child(step, report, warehouse.publish, hit, build_id) == -signal.SIGKILL
        ends_as(expected, hit, build_id)
    for step, code in zip(steps, cycle(FAULTS), strict=False):
        hit = copied(home, tmp_path / f"failed-{step}")
        fail_at(step, code, warehouse.publish, hit, build_id)
        ends_as(expected, hit, build_id)
    return expected


def ends_as(expected: list[state.Row], hit: Home, build_id: str) -> None:
    """Publish again: readers see the old version or the new one before it, and the new one after it. Removes the home."""
    assert versions(hit) in ((1, True, True), (2, True, True))
    warehouse.publish(hit, build_id)
    assert hashes.read(hit) == expected
    assert versions(hit) == (2, True, True)
    history = state.read(hit.state, "ops.builds", "select build_number from ops.builds order by all")
    assert [row["build_number"] for row in history] == [1, 2]
    shutil.rmtree(hit.root)


def dies_once_committed(home: Home, build_id: str) -> None:
    """Kill a publish once the state has committed the build, while the change is only in the write-ahead file."""
    child = children.Process(target=die_once_committed, args=(home, build_id))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert write_ahead(home.state).stat().st_size


def die_once_committed(home: Home, build_id: str) -> None:
    class Dying:
        def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
            self.connection = connection

        def __getattr__(self, name: str) -> object:
            return getattr(self.connection, name)

        def execute(self, query: str, *more: object) -> object:
            found = self.connection.execute(query, *more)
            if query == "commit":
                os.kill(os.getpid(), signal.SIGKILL)
            return found

    @contextmanager
    def writing(path: Path) -> Iterator[Dying]:
        with database.writing(path) as connection:
            yield Dying(connection)

    state.writing = writing  # type: ignore[assignment]
    warehouse.publish(home, build_id)
