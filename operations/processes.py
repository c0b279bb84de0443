"""Processes that outlive the command which started them, identified by process id and start time, as ids are reused."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ingestion.errors import Permanent
from ingestion.land import Report

# The system's clock may be set between two readings of the same start time.
_SAME_BIRTH_SECONDS = 30.0
_TELL_EVERY_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 0.1
_KILLED_SECONDS = 60.0


@dataclass(frozen=True)
class Leader:
    """The first process of a session, its start time (epoch seconds), and the machine's boot in which it started."""

    pid: int
    born: float
    boot: str = ""

    @property
    def is_alive(self) -> bool:
        return self._has_its_number and _lives(self.pid)

    def members(self) -> list[int]:
        """List the running processes of the session, also if its leader is dead. After a reboot there are none."""
        if self.boot != boot() or (psutil.pid_exists(self.pid) and not self._has_its_number):
            return []
        return [pid for pid in psutil.pids() if _session(pid) == self.pid and _lives(pid)]

    @property
    def _has_its_number(self) -> bool:
        try:
            born = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return False
        return self.boot == boot() and abs(born - self.born) < _SAME_BIRTH_SECONDS


class Starting:
    """A process that waits; it starts its work at `go`, and ends if this process dies before that.

    So its id can be recorded first: no process starts work unrecorded.
    """

    def __init__(self, command: Sequence[str], environ: dict[str, str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sh", *command],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                # a signal to the leader alone would orphan its children, which keep the port
                start_new_session=True,
            )
        self.leader = Leader(self._process.pid, psutil.Process(self._process.pid).create_time(), boot())

    def go(self) -> None:
        assert self._process.stdin
        with suppress(BrokenPipeError):
            self._process.stdin.write(b"go\n")
            self._process.stdin.close()


def stop(leaders: Sequence[Leader], patience: float) -> None:
    """End every process of these sessions. Those that have not ended after `patience` seconds are killed."""
    number, until = signal.SIGTERM, time.monotonic() + patience
    asked: set[int] = set()
    while living := [pid for leader in leaders for pid in leader.members()]:
        if time.monotonic() > until:
            if number == signal.SIGKILL:
                raise Permanent(
                    f"the processes {', '.join(map(str, living))} cannot be killed",
                    todo="check what they wait for (often a disk), then run the same command again",
                )
            number, until, asked = signal.SIGKILL, time.monotonic() + _KILLED_SECONDS, set()
        for pid in living:
            if pid not in asked or number == signal.SIGKILL:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            asked.add(pid)
        time.sleep(_LOOK_EVERY_SECONDS)
    for leader in leaders:
        with suppress(ChildProcessError):
            os.waitpid(leader.pid, os.WNOHANG)


def end(pid: int, patience: float) -> None:
    """Interrupt one process as Ctrl-C does, and wait until it has ended; kill it after `patience` seconds."""
    try:
        process = psutil.Process(pid)
        process.send_signal(signal.SIGINT)
        process.wait(patience)
    except psutil.TimeoutExpired:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(_KILLED_SECONDS)
    except psutil.NoSuchProcess:
        return


def boot() -> str:
    """Return the id of the machine's current boot; empty if the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class Telling:
    """Report what is waited for, and for how long at most: when it changes, and once a minute."""

    def __init__(self, report: Report, patience: float) -> None:
        self._report, self._until = report, time.monotonic() + patience
        self._said, self._at = "", 0.0

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._until

    def tell(self, what: str) -> None:
        now = time.monotonic()
        if what != self._said or now - self._at > _TELL_EVERY_SECONDS:
            self._report(f"{what}; {max(self._until - now, 0):.0f} s more at most")
            self._said, self._at = what, now


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return -1
