"""A large source lands in a process of its own, says the same as ever, and ends with the command. The shop is missing here."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cli import beside
from ingestion import bronze
from ingestion.home import Home
from ingestion.locks import hold
from ingestion.window import Window

ROOT = Path(__file__).parents[3]
WINDOW = ("--from", "2026-11-01T03:00", "--to", "2026-11-01T04:00")
BOUND_SECONDS = 60
# `clearwell` without the build, with a limit of its own for what is large, and not under the `nohup` that the tests may run under.
COMMAND = """
import signal, sys, click, cli.beside, cli.sources
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from cli.main import main
cli.beside.LARGE_BYTES = int(sys.argv.pop(1))
cli.sources.build = click.Command("build", callback=lambda: click.echo("built"))
main(prog_name="clearwell")
"""
ALWAYS, NEVER = -1, 1 << 40


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home", tmp_path / "landing")
    for hour in ("02", "03"):
        folder = home.landing / "2026-11-01" / hour
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_text("{}\n" * 3)
    return home


def start(home: Home, large: int, **env: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("SHOP_DATABASE_URL", "CLEARWELL_LOG")}
    there = {"CLEARWELL_HOME": str(home.root), "CLICKSTREAM_LANDING": str(home.landing), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(large), "run", *WINDOW],
        env=kept | there | {"CLEARWELL_SOURCES": "clickstream, orders"} | env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(home: Home, large: int, **env: str) -> tuple[int, list[str], list[str]]:
    """Return the exit status and the lines of stdout and stderr, without the home; which source says its first is open."""
    with start(home, large, **env) as process:
        told, said = process.communicate(timeout=BOUND_SECONDS)
    return process.returncode, sorted(told.splitlines()), sorted(said.replace(str(home.root), "").splitlines())


def batches(home: Home) -> list[str]:
    return [one.batch_id for one in bronze.list_batches(home)]


def landing_of(process: "subprocess.Popen[str]") -> psutil.Process:
    """Return the process that lands beside another, once it waits for the lock."""
    until = time.monotonic() + BOUND_SECONDS
    while time.monotonic() < until:
        for one in psutil.Process(process.pid).children():
            if any(file.path.endswith("clickstream.lock") for file in one.open_files()):
                return one
        time.sleep(0.05)
    raise AssertionError("no process lands beside")


@contextmanager
def waiting(home: Home) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Give a command, and the process beside it, which waits for a lock that is held here."""
    with (
        hold(home.staging / "clickstream.lock", "tests", print),
        start(home, ALWAYS) as process,
    ):
        try:
            yield process, landing_of(process)
        finally:
            process.kill()


def test_what_is_large_lands_beside_a_database_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window.parse("2026-11-01T03:00", "2026-11-01T05:00")
    names = ("clickstream", "exchange_rates", "orders")
    monkeypatch.setattr(beside, "LARGE_BYTES", 8)
    assert beside.large(home, names, window) == "clickstream"
    assert beside.large(home, names[:2], window) == beside.large(home, names[1:], window) == ""
    monkeypatch.setattr(beside, "LARGE_BYTES", 9)
    assert beside.large(home, names, window) == ""


def test_it_lands_and_says_the_same(home: Home) -> None:
    other = Home(home.root.parent / "other", home.landing)
    beside_it, after_it = run(home, ALWAYS), run(other, NEVER)
    assert beside_it == after_it
    assert beside_it[0] == 1 and "built" in beside_it[1] and any("not landed: orders." in one for one in beside_it[2])
    assert batches(home) == batches(other) and len(batches(home)) == 2


def test_its_failure_is_that_of_its_source(home: Home) -> None:
    home = Home(home.root, home.landing / "nothing")
    failed = run(home, ALWAYS)
    assert failed == run(home, NEVER)
    assert failed[0] == 1 and failed[1] == [] and any("not landed: orders, clickstream." in one for one in failed[2])
    assert any("error: the landing folder of the clickstream does not exist" in one for one in failed[2])


def test_its_log_is_of_the_same_run(home: Home) -> None:
    lines = [json.loads(line) for line in run(home, ALWAYS, CLEARWELL_LOG="json")[2]]
    began = {line["source"]: line for line in lines if line["event"] == "ingest began"}
    assert began["clickstream"]["parent_run_id"] == began["orders"]["parent_run_id"]
    assert (began["clickstream"]["command"], began["orders"]["command"]) == ("ingest", "run")


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (signal.SIGINT, 130, "stopped; the same command goes on from here"),
        (signal.SIGTERM, -signal.SIGTERM, ""),
        (signal.SIGHUP, -signal.SIGHUP, ""),
    ],
)
def test_what_ends_the_command_ends_it(home: Home, number: int, status: int, said: str) -> None:
    with waiting(home) as (process, landing):
        process.send_signal(number)
        shown = process.communicate(timeout=BOUND_SECONDS)[1]
        landing.wait(BOUND_SECONDS)
        assert process.returncode == status
        assert shown.count("stopped") == bool(said) and said in shown
    assert batches(home) == []
    assert run(home, ALWAYS)[0] == 1 and len(batches(home)) == 2


def test_after_kill_9_it_comes_to_its_own_end(home: Home) -> None:
    with waiting(home) as (process, landing):
        process.kill()
        process.communicate(timeout=BOUND_SECONDS)
    landing.wait(BOUND_SECONDS)
    run(home, ALWAYS)
    assert len(batches(home)) == 2


def test_one_that_is_killed_is_told(home: Home) -> None:
    with waiting(home) as (process, landing):
        landing.kill()
        told, said = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 1 and told == ""
    assert "error: the process that landed clickstream was ended by signal 9\nnot landed: orders, clickstream." in said
