"""Run demo, up, down and crashes in any order on a busy machine: the same system runs afterwards, with the right data.

`CLEARWELL_ROUNDS` is the number of rounds, `CLEARWELL_SEED` decides their order, and `CLEARWELL_SPINNERS` is the number
of processes that keep the machine busy.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from demo.server import Server
from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from operations import airflow, demo, hashes, ledger, status
from warehouse.build import Request, build

ROUNDS = int(os.environ.get("CLEARWELL_ROUNDS", "20"))
SEED = int(os.environ.get("CLEARWELL_SEED", "1"))
LIMIT_SECONDS = 1800
SPINNERS = int(os.environ.get("CLEARWELL_SPINNERS", "3"))
ROOT = Path(__file__).parents[2]


def type_in(home: Home, *words: str, limit: float | None = None) -> int | None:
    """Run a command and return its exit code; after `limit` seconds, kill it and all it started and return None."""
    log = (home.root.parent / "typed.log").open("a")
    log.write(f"--- {datetime.now(UTC):%H:%M:%S} {' '.join(words)} {'' if limit is None else f'for {limit:.1f} s'}\n")
    log.flush()
    typed = subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        cwd=home.root.parent,
        env={**os.environ, "CLEARWELL_HOME": str(home.root), "PYTHONPATH": str(ROOT), "HOME": str(home.root.parent)},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        return typed.wait(LIMIT_SECONDS if limit is None else limit)
    except subprocess.TimeoutExpired:
        assert limit is not None, f"{words} did not end"
        crash(home, typed.pid)
        typed.wait()
        return None


def crash(home: Home, *more: int) -> None:
    """Kill all processes of a home at once, as a power failure would."""
    doomed = {child.pid for pid in more for child in psutil.Process(pid).children(recursive=True)} | set(more)
    if running := airflow.read(home):
        doomed |= {pid for leader in running.parts.values() for pid in leader.members()}
    if shop := demo._live(home):
        doomed |= set(shop.members())
    for server in servers(home):
        if server._lives():
            postmaster = psutil.Process(server._postmaster()[0])
            doomed |= {postmaster.pid, *(child.pid for child in postmaster.children(recursive=True))}
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 60
    while any(psutil.pid_exists(pid) and not is_dead(pid) for pid in doomed):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not any(server.is_running() for server in servers(home))


def servers(home: Home) -> tuple[Server, ...]:
    return demo.postgres._server(home), airflow._server(home)


def is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def leave_stale_files(home: Home) -> None:
    """Set the process ids in the files to those of unrelated living processes, as after a reboot."""
    stranger = str(os.getpid())
    for folder in (home.shop, home.airflow):
        pid_file = folder / "postgres" / "postmaster.pid"
        if pid_file.exists():
            pid_file.write_text("\n".join([stranger, *pid_file.read_text().splitlines()[1:]]) + "\n")
    for record in (home.airflow / "running.json", home.shop / "live.json"):
        if record.exists() and (found := demo._live(home) if record.parent == home.shop else airflow.read(home)):
            leader = found if isinstance(found, demo.Leader) else next(iter(found.parts.values()), None)
            if leader:
                record.write_text(record.read_text().replace(f'"pid": {leader.pid}', f'"pid": {stranger}'))


@pytest.fixture
def busy() -> Iterator[None]:
    """Keep the machine busy."""
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(SPINNERS)]
    yield
    for one in spinners:
        one.kill()
        one.wait()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home", tmp_path / "home" / "landing" / "clickstream")
    yield home
    demo.down(home, print)


def runs(home: Home) -> set[str]:
    """List every run that Airflow knows."""
    return {f"{run['dag_id']} {run['dag_run_id']}" for run in airflow.Api(home).all("/dags/~/dagRuns", "dag_runs")}


@pytest.mark.long
def test_any_order_of_demo_up_down_and_crash_leads_to_the_same_running_system(home: Home, busy: None) -> None:
    chance = random.Random(SEED)
    steps: dict[str, Callable[[], object]] = {
        "demo": lambda: type_in(home, "demo"),
        "up": lambda: type_in(home, "up"),
        "down": lambda: type_in(home, "down"),
        "crash": lambda: crash(home),
        "crash in up": lambda: type_in(home, "up", limit=chance.uniform(1, 150)),
        "crash in demo": lambda: type_in(home, "demo", limit=chance.uniform(1, 150)),
        "crash in down": lambda: type_in(home, "down", limit=chance.uniform(0.5, 8)),
        "reboot": lambda: (crash(home), leave_stale_files(home)),
    }
    seen: set[str] = set()
    for number in range(ROUNDS):
        said = [chance.choice(list(steps)) for _ in range(chance.randint(1, 3))]
        print(f"round {number}: {', '.join(said)}, up", flush=True)
        for one in said:
            done = steps[one]()
            assert not isinstance(done, int) or done == 0, f"round {number}: {one} failed"
        assert type_in(home, "up") == 0, f"round {number}: up failed after {said}"
        assert_runs(home)
        before, seen = seen, runs(home)
        assert before <= seen, "a run is gone"
    assert type_in(home, "down") == 0
    assert not [one for one in psutil.process_iter() if str(home.root) in " ".join(cmdline(one))]
    assert sorted(one.name for one in home.root.parent.iterdir()) == ["home", "typed.log"], (
        "nothing is written outside the home"
    )
    assert_truth(home)


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def assert_runs(home: Home) -> None:
    assert airflow.is_running(home)
    shop = demo._live(home)
    assert shop and shop.is_alive and len(shop.members()) == 1
    api = airflow.Api(home)
    assert [dag["dag_id"] for dag in api.ask("GET", "/dags?limit=100")["dags"] if dag["is_paused"]] == []
    assert status.read(home, datetime.now(UTC))["healthy"]


def assert_truth(home: Home) -> None:
    """Compare with a home that lands the same days and hours once, from the shop as it is now."""
    demo.postgres.start(home)
    now = datetime.now(UTC)
    demo.live.catch_up(home, now)
    hour = now.replace(minute=0, second=0, microsecond=0)
    window = Window(hour.replace(hour=0) - timedelta(days=4), hour)
    other = Home(home.root.parent / "other", home.landing, home.database_url())
    os.environ["EXCHANGE_RATES"] = str(demo.rates.published(home))
    try:
        for one in (home, other):
            for source in sources.SOURCES:
                sources.ingest(source, window, one, now)
            build(one, Request(), now)
    finally:
        del os.environ["EXCHANGE_RATES"]
    assert ledger.recount(home) == ([], True)
    assert hashes.read(home) == hashes.read(other)
