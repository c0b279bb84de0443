"""Too few open files, or a full disk at any stage: one clear error, and the same command later ends in the same hash."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from demo import simulate
from ingestion import faults, sources
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.window import Window
from operations import hashes
from warehouse import applied, state
from warehouse import build as warehouse
from warehouse import publish as publishing

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 2, tzinfo=UTC)
DAY = Window.parse("2026-11-01", "2026-11-02")
# CLEARWELL_MEMORY, and what the README names beside it, with some room
PEAK_KB = 950_000
EVENT = '{{"event_id": "{0}", "event_type": "click", "event_time": "2026-11-01T{1:02}:00:00Z", "visitor_id": "v{0}"}}\n'


def make_landing(root: Path) -> Home:
    """Make a home without a shop: 60 files of clicks in three hours."""
    home = Home(root / "home", root / "landing")
    for number in range(60):
        folder = home.landing / "2026-11-01" / f"{number % 3:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jsonl").write_text(EVENT.format(number, number % 3))
    return home


def land(home: Home) -> None:
    for source in ("clickstream", "exchange_rates"):
        sources.ingest(source, DAY, home, NOW)


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = make_landing(tmp_path_factory.mktemp("landed"))
    land(home)
    return home


@pytest.fixture(scope="module")
def audited(landed: Home) -> tuple[Home, str]:
    """Return the same home, with a build that is ready to be applied."""
    planned = warehouse.plan(landed, warehouse.Request(), NOW)
    assert planned
    warehouse.transform(landed, planned.build_id)
    warehouse.audit(landed, planned.build_id, NOW)
    return landed, planned.build_id


@pytest.fixture(scope="module")
def expected(audited: tuple[Home, str], tmp_path_factory: pytest.TempPathFactory) -> list[state.Row]:
    home = copied(audited[0], tmp_path_factory.mktemp("expected"))
    warehouse.publish(home, audited[1])
    return hashes.read(home)


def copied(home: Home, root: Path) -> Home:
    shutil.copytree(home.root, root / "home")
    return Home(root / "home", home.landing)


def type_in(home: Home, *words: str, **limits: int) -> subprocess.CompletedProcess[str]:
    """Run a command under process limits, named as in `resource`."""

    def limit() -> None:
        for name, value in limits.items():
            kind = getattr(resource, name)
            resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))

    env = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARWELL", "SHOP_", "CLICK"))}
    env |= {"PYTHONPATH": str(ROOT), "CLEARWELL_HOME": str(home.root), "CLICKSTREAM_LANDING": str(home.landing)}
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        env=env | {"CLEARWELL_SOURCES": "clickstream, exchange_rates"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )


def assert_one_clear_line(typed: subprocess.CompletedProcess[str], said: str) -> None:
    assert typed.returncode == 1 and "Traceback" not in typed.stderr + typed.stdout, typed.stderr
    assert said in typed.stderr.splitlines()[-1] and ". Next: " in typed.stderr.splitlines()[-1]


def test_thirty_open_files_are_enough_and_fewer_are_told(tmp_path: Path, expected: list[state.Row]) -> None:
    home = make_landing(tmp_path)
    days = ("--from", "2026-11-01", "--to", "2026-11-02")
    assert_one_clear_line(type_in(home, "run", *days, RLIMIT_NOFILE=8), "too many open files")
    ran = type_in(home, "run", *days, RLIMIT_NOFILE=30)
    assert ran.returncode == 0, ran.stderr
    assert hashes.read(home) == expected


@pytest.mark.long
def test_two_large_days_are_built_in_little_memory(shop: Home) -> None:
    """One build after the other, so that the second deletes and compares rows of a large state."""
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 3), orders_per_day=100_000, events_per_day=700_000)
    for day in (DAY, Window.parse("2026-11-02", "2026-11-03")):
        for source in sources.SOURCES:
            sources.ingest(source, day, shop, NOW.replace(day=20))
        build_in_little_memory(shop)


@pytest.mark.long
def test_a_day_of_a_million_visitors_is_built_in_little_memory(tmp_path: Path) -> None:
    """As of a site whose visitors keep no cookies: each event is of another visitor."""
    home = Home(tmp_path / "home", tmp_path / "landing" / "clickstream")
    for hour in range(24):
        file = home.landing / "2026-11-01" / f"{hour:02}" / "clicks.jsonl"
        file.parent.mkdir(parents=True)
        with file.open("w") as lines:
            for number in range(hour, 1_000_000, 24):
                at = f"2026-11-01T{hour:02}:{number // 24 % 60:02}:00Z"
                event = {
                    "event_id": f"e{number}",
                    "event_type": "page_view",
                    "event_time": at,
                    "visitor_id": f"visitor-{number}",
                }
                lines.write(json.dumps({**event, "product_id": f"p{number % 500}"}) + "\n")
        os.utime(file, (NOW.timestamp(), NOW.timestamp()))
    sources.ingest("clickstream", DAY, home, NOW)
    build_in_little_memory(home)
    with state.connect(home.state) as connection:
        assert connection.execute("select count(*), sum(events_7_days) from gold.visitor_features").fetchall() == [
            (1_000_000, 1_000_000)
        ]


def build_in_little_memory(home: Home) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "cli", "build"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CLEARWELL_HOME": str(home.root), "CLEARWELL_MEMORY": "250MB"},
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    assert used.ru_maxrss < PEAK_KB, f"a peak of {used.ru_maxrss} KB"


@pytest.mark.parametrize(("words", "largest"), [("ingest", 1_000), ("build", 20_000), ("build", 2_000_000)])
def test_a_file_that_may_not_grow_is_told_and_the_same_command_goes_on(
    words: str, largest: int, landed: Home, tmp_path: Path, expected: list[state.Row]
) -> None:
    home = make_landing(tmp_path) if words == "ingest" else copied(landed, tmp_path)
    line = [words] if words == "build" else [words, "clickstream", "--from", "2026-11-01", "--to", "2026-11-02"]
    assert_one_clear_line(type_in(home, *line, RLIMIT_FSIZE=largest), "a file would exceed the size limit")
    land(home)
    if largest == 2_000_000:  # comparing once is enough: the smaller limits leave nothing behind
        warehouse.build(home, warehouse.Request(), NOW)
        assert hashes.read(home) == expected


FULL = 'IO Error: Could not write file "x": No space left on device'
STAGES: dict[str, tuple[Any, str, Callable[[], Exception]]] = {
    "apply": (applied, "check_ledger", lambda: duckdb.IOException(FULL)),
    "commit": (applied, "check_ledger", lambda: duckdb.TransactionException(f"TransactionContext Error: {FULL}")),
    "publish": (publishing, "_copy", lambda: duckdb.IOException(FULL)),
    "rename": (state, "durable_rename", lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_at_the_apply_or_publish_is_told_and_the_same_command_goes_on(
    stage: str, audited: tuple[Home, str], expected: list[state.Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, build_id = copied(audited[0], tmp_path), audited[1]
    module, name, fault = STAGES[stage]

    def fail(*_arguments: object, **_named: object) -> None:
        raise fault()

    monkeypatch.setattr(module, name, fail)
    with pytest.raises(Permanent, match="the disk is full"), faults.named():
        warehouse.publish(home, build_id)
    monkeypatch.undo()
    warehouse.publish(home, build_id)
    assert hashes.read(home) == expected and state.last_build(home.published) == build_id
