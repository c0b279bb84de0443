"""Our processes are known by pid, start time and boot; a started process is recorded before it does anything."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ingestion import locks
from operations import processes
from operations.processes import Leader, Starting, Telling


def eventually(holds: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def sleeper(tmp_path: Path, script: str = "sleep 600 & sleep 600") -> Leader:
    starting = Starting(["/bin/sh", "-c", script], dict(os.environ), tmp_path / "log")
    starting.go()
    return starting.leader


def test_a_session_ends_whole_also_without_its_leader(tmp_path: Path) -> None:
    leader = sleeper(tmp_path)
    eventually(lambda: len(leader.members()) == 3)
    psutil.Process(leader.pid).kill()
    eventually(lambda: not leader.is_alive)
    assert len(leader.members()) == 2
    processes.stop([leader], 10)
    assert leader.members() == []


def test_what_does_not_go_when_asked_is_killed(tmp_path: Path) -> None:
    leader = sleeper(
        tmp_path, "trap '' TERM; touch trapped; while true; do sleep 1; done".replace("trapped", f"{tmp_path}/trapped")
    )
    eventually((tmp_path / "trapped").exists)
    processes.stop([leader], 0.3)
    assert not leader.is_alive and leader.members() == []


@pytest.mark.parametrize(
    "changed", [{"boot": "another life"}, {"born": 1.0}], ids=["after a reboot", "a number given out again"]
)
def test_a_stranger_is_neither_ours_nor_ended(tmp_path: Path, changed: dict[str, object]) -> None:
    leader = sleeper(tmp_path)
    try:
        stranger = replace(leader, **changed)  # type: ignore[arg-type]
        assert not stranger.is_alive and stranger.members() == []
        processes.stop([stranger], 1)
        assert leader.is_alive
    finally:
        processes.stop([leader], 10)


def test_nobody_starts_whom_nobody_has_written_down(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from operations.processes import Starting
starting = Starting(["/bin/sh", "-c", "touch {tmp_path}/began"], dict(os.environ), Path("{tmp_path}/log"))
print(starting.leader.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    root = str(Path(processes.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True
    )
    eventually(lambda: not psutil.pid_exists(int(done.stdout)))
    assert not (tmp_path / "began").exists()


def test_whoever_holds_a_lock_is_known_and_can_be_interrupted(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert locks.holder(lock) is None
    code = f"""
import time
from pathlib import Path
from ingestion import locks
with locks.hold(Path("{lock}"), "waits", print):
    time.sleep(600)
"""
    root = str(Path(processes.__file__).parents[1])
    child = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, stderr=subprocess.DEVNULL
    )
    eventually(lambda: (found := locks.holder(lock)) and found.process == child.pid)
    processes.end(child.pid, 30)
    child.wait()
    assert locks.holder(lock) is None


def test_what_is_waited_for_is_said_when_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    telling = Telling(said.append, 100)
    for what in ("the API", "the API", "the scheduler"):
        telling.tell(what)
    assert [line.split(";")[0] for line in said] == ["the API", "the scheduler"]
    assert all(line.endswith("s more at most") for line in said) and not telling.is_over
    assert Telling(said.append, -1).is_over
