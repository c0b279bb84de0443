"""Kill commands at random moments, each kill followed by another command: the final state is always the same.

Each command runs in its own process, and is killed at a random moment within the time it takes undisturbed.
"""

import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from pathlib import Path

import duckdb
import pytest

from ingestion import bronze, sources
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import silent
from ingestion.manifest import Manifest
from ingestion.window import Window
from operations import damage, decide, hashes, heal, ledger, maintain, repair
from operations.decide import By
from tests.pipeline.children import children
from warehouse import build as warehouse
from warehouse import publish, state
from warehouse.plan import Build, Request

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
WINDOWS = [Window.parse(start, end) for start, end in pairwise(DAYS)]
LIMIT_SECONDS = 600


def ingest_first(home: Home, now: datetime) -> None:
    for source in sources.SOURCES:
        sources.ingest(source, WINDOWS[0], home, now)


def ingest_second(home: Home, now: datetime) -> None:
    for source in sources.SOURCES:
        sources.ingest(source, WINDOWS[1], home, now)


def build(home: Home, now: datetime) -> None:
    warehouse.build(home, Request(), now)


def build_full(home: Home, now: datetime) -> None:
    warehouse.build(home, Request(full=True, reason="test"), now)


def build_range(home: Home, now: datetime) -> None:
    warehouse.build(home, Request(date(2026, 11, 1), date(2026, 11, 2), reason="test"), now)


def recount(home: Home, now: datetime) -> None:
    ledger.recount(home)
    warehouse.rebuild_aside(home, now)


COMMANDS: list[Callable[[Home, datetime], None]] = [
    ingest_first,
    build,
    ingest_second,
    build,
    build_full,
    build_range,
    recount,
]


def retract(home: Home, now: datetime) -> None:
    """Retract the first non-empty batch of the first day's clicks: the same batch, at the same time, in every home."""
    first = next(one for one in clicks_of_first_day(home) if one.records_written)
    decide.retract(home, first.batch_id, By("test", NOW, "test"))


def clicks_of_first_day(home: Home) -> list[Manifest]:
    refs = bronze.list_batches(home, "clickstream", WINDOWS[0].date)
    return sorted((bronze.read_manifest(home, ref) for ref in refs), key=lambda one: one.window)


def mend(home: Home, now: datetime) -> None:
    assert not heal.heal(home, heal.needed(home, WINDOWS[1].end), now, silent)
    warehouse.build(home, Request(), now)


def sweep(home: Home, now: datetime) -> None:
    for source in sources.SOURCES:
        sources.sweep(source, WINDOWS[0], home, now)


def look_for_damage(home: Home, now: datetime) -> None:
    assert repair.repair(home, damage.search(home), now, silent) == []


def give_an_older_state(home: Home, now: datetime) -> None:
    publish.pin(home, publish.kept_states(home)[-1].stem, "test", "test", now)
    publish.unpin(home)


def tidy_up(home: Home, now: datetime) -> None:
    maintain.maintain(home, now + timedelta(days=365))


AT_ONCE = (
    *(recount, build_full, ingest_second, build, build_range),
    *(retract, mend, sweep, look_for_damage, give_an_older_state, tidy_up),
)


@dataclass(frozen=True)
class Ended:
    """How a command ended: after how many seconds of work, and whether it was killed."""

    seconds: float
    is_killed: bool


def timed(home: Home) -> dict[str, float]:
    """Run all commands undisturbed, and return how many seconds each worked."""
    took: dict[str, float] = {}
    for number, command in enumerate(COMMANDS):
        ended = run(command, home, NOW + timedelta(minutes=number))
        took[command.__name__] = max(ended.seconds, took.get(command.__name__, 0))
    return took


def run(command: Callable[[Home, datetime], None], home: Home, now: datetime, kill_after: float | None = None) -> Ended:
    """Run a command in its own process, and kill it if it works for longer than `kill_after` seconds."""
    told, begins = children.Pipe(duplex=False)
    child = children.Process(target=begin, args=(begins, command, home, now))
    child.start()
    assert told.poll(LIMIT_SECONDS) and told.recv()
    began = time.monotonic()
    child.join(LIMIT_SECONDS if kill_after is None else kill_after)
    if kill_after is not None and child.is_alive():
        child.kill()
        child.join(LIMIT_SECONDS)
    assert child.exitcode in ((0,) if kill_after is None else (0, -signal.SIGKILL)), command.__name__
    return Ended(time.monotonic() - began, child.exitcode != 0)


def begin(begins: Connection, command: Callable[[Home, datetime], None], home: Home, now: datetime) -> None:
    begins.send(True)
    command(home, now)


def is_whole(published: Path) -> bool:
    """Return whether the published file, if there is one, is one complete version."""
    if not published.exists():
        return True
    with duckdb.connect(str(published), read_only=True) as connection:
        found = connection.sql("""
            select (select sum(orders) from gold.daily_revenue) is not distinct from (select sum(orders) from gold.hourly_revenue)
            and (select sum(records) from ops.ledger) = (select sum(records_written) from ops.batches)
        """).fetchone()
    return bool(found and found[0])


@pytest.mark.parametrize("kills", [6, pytest.param(100, marks=pytest.mark.long)])
def test_any_chain_of_kills_ends_in_the_same_state(first_day: Home, tmp_path: Path, kills: int) -> None:
    undisturbed = Home(tmp_path / "undisturbed", first_day.landing, first_day.database_url())
    took = timed(undisturbed)
    expected = hashes.read(undisturbed)

    home, chance, now = Home(tmp_path / "home", first_day.landing, first_day.database_url()), random.Random(kills), NOW
    last, hit = None, 0
    for _ in range(3 * kills):
        command = chance.choice([one for one in COMMANDS if one is not last])
        ended = run(command, home, now, kill_after=chance.uniform(0, took[command.__name__]))
        if not ended.is_killed:  # it had less to do than before: the next kill comes earlier
            took[command.__name__] = ended.seconds
        hit += ended.is_killed
        assert is_whole(home.published)
        last, now = command, now + timedelta(minutes=1)
        if hit == kills:
            break
    assert hit == kills
    for command in (ingest_second, build_full, ingest_first, build):
        run(command, home, now)
        now += timedelta(minutes=1)
    assert hashes.read(home) == expected
    assert ledger.recount(home) == ([], True) and ledger.recompute(home, now) == []
    run(build_full, home, now)
    assert hashes.read(home) == expected
    assert leftovers(home) == []


def test_all_commands_at_once_end_in_the_same_state(first_day: Home, tmp_path: Path) -> None:
    """Each waits for its turn, none fails, and readers see whole versions meanwhile."""
    one_by_one, home = (
        Home(tmp_path / name, first_day.landing, first_day.database_url()) for name in ("one by one", "at once")
    )
    for command in (ingest_first, build):
        run(command, one_by_one, NOW)
    shutil.copytree(one_by_one.root, home.root)
    for number, command in enumerate((ingest_second, retract, build)):
        run(command, one_by_one, NOW + timedelta(minutes=number + 1))

    busy = [
        children.Process(target=command, args=(home, NOW + timedelta(minutes=number + 1)))
        for number, command in enumerate(AT_ONCE)
    ]
    for child in busy:
        child.start()
    while at_work := [child.sentinel for child in busy if child.is_alive()]:
        assert is_whole(home.published)
        assert state.read(home.state, "ops.batches", "select 1 from ops.batches limit 1")
        wait(at_work, 0.2)
    assert [child.exitcode for child in busy] == [0] * len(busy)
    run(build, home, NOW + timedelta(minutes=30))
    assert hashes.read(home) == hashes.read(one_by_one)
    assert ledger.recount(home) == ([], True)
    assert leftovers(home) == []


def test_a_build_that_was_overtaken_ends_before_its_work(first_day: Home, tmp_path: Path) -> None:
    home = Home(tmp_path, first_day.landing, first_day.database_url())
    ingest_first(home, NOW)
    slow = warehouse.plan(home, Request(), NOW)
    assert slow
    outcome = warehouse.build(home, Request(), NOW + timedelta(minutes=1))
    assert outcome.plan
    made = Build(home, slow.build_id).file
    for step in (warehouse.transform, warehouse.publish):
        with pytest.raises(Permanent, match=r"was planned|was not audited"):
            step(home, slow.build_id)
    with pytest.raises(Permanent, match=f"build {outcome.plan.build_id} has changed the state"):
        warehouse.audit(home, slow.build_id, NOW)
    assert not made.exists()
    # the steps of a build that has been applied may be repeated: nothing is left to do
    warehouse.transform(home, outcome.plan.build_id)
    assert warehouse.audit(home, outcome.plan.build_id, NOW) == outcome.verdict
    warehouse.publish(home, outcome.plan.build_id)
    assert not Build(home, outcome.plan.build_id).file.exists()


def leftovers(home: Home) -> list[str]:
    """List the files and folders that killed processes left behind."""
    strays = [*home.root.rglob("*.wal"), *home.root.rglob(".next.duckdb*")]
    strays += (path for path in home.staging.iterdir() if path.is_dir())
    strays += home.builds.glob("*/*.duckdb*")
    return sorted(str(path.relative_to(home.root)) for path in strays)
