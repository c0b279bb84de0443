"""Locks between processes, which the kernel releases when a process dies. Waiting is bounded and reports its reason."""

import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from ingestion.errors import Transient

# Long enough for a full build of a long history. A change of the state takes seconds.
PATIENCE_SECONDS = 3600.0
# A folder is locked while a name is chosen or a batch is staged.
_FOLDER_PATIENCE_SECONDS = 120.0
_LOOK_EVERY_SECONDS = 0.1
_TELL_EVERY_SECONDS = 60.0
# The name of a command.
_NAME = re.compile(r"[a-z-]{1,30}")


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock: what it does, its command and its process id."""

    does: str
    command: str
    process: int

    def __str__(self) -> str:
        return f"`{self.command}` (process {self.process}), which {self.does}"


@contextmanager
def hold(path: Path, does: str, report: Callable[[str], None], patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold an exclusive lock. Wait for it for at most `patience` seconds, then raise Transient."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        _wait(lambda: _is_taken(file, fcntl.LOCK_EX), lambda: str(_holder(path) or "another process"), report, patience)
        _sign(file, does)
        try:
            yield
        finally:
            file.truncate(0)


@contextmanager
def share(path: Path, report: Callable[[str], None], patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Keep `hold` of the same path waiting; others may share it. Wait for at most `patience` seconds, then raise Transient."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        _wait(lambda: _is_taken(file, fcntl.LOCK_SH), lambda: str(_holder(path) or "another process"), report, patience)
        yield


def holder(path: Path) -> Holder | None:
    """Return the process that holds a lock now; None if none does."""
    try:
        with path.open() as file:
            if _is_taken(file, fcntl.LOCK_SH):
                return None
    except FileNotFoundError:
        return None
    return _holder(path)


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a folder. Wait for at most two minutes, then raise Transient.

    Without `wait`, raise BlockingIOError if another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if wait:
            who = f"another process that holds {folder}"
            _wait(lambda: _is_taken(descriptor, fcntl.LOCK_EX), lambda: who, _silent, _FOLDER_PATIENCE_SECONDS)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def turn_to_write(path: Path, patience: float) -> Iterator[None]:
    """Wait until the current readers of a file have finished, and keep new readers waiting."""
    with _turnstile(path).open("a+") as file:
        _wait(lambda: _is_taken(file, fcntl.LOCK_EX), lambda: f"another process that writes {path}", _silent, patience)
        yield


def turn_to_read(path: Path, patience: float) -> None:
    """Wait until no process writes a file or waits to write it."""
    with suppress(FileNotFoundError, PermissionError), _turnstile(path).open() as file:
        _wait(lambda: _is_taken(file, fcntl.LOCK_SH), lambda: f"a process that writes {path}", _silent, patience)


def _turnstile(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _is_taken(file: IO[str] | int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(
    is_taken: Callable[[], bool], for_whom: Callable[[], str], report: Callable[[str], None], patience: float
) -> None:
    began = told = time.monotonic()
    first = True
    while not is_taken():
        now = time.monotonic()
        if now - began > patience:
            raise Transient(
                f"waited {patience:.0f} seconds for {for_whom()}",
                todo="wait until it has ended, then run the same command again",
            )
        if first or now - told > _TELL_EVERY_SECONDS:
            report(f"waiting for {for_whom()}; at most {patience - (now - began):.0f} seconds more")
            first, told = False, now
        time.sleep(_LOOK_EVERY_SECONDS)


def _sign(file: IO[str], does: str) -> None:
    """Write into a lock which process holds it, for those that wait. Of what was typed, only the first word: the rest may name a person."""
    typed = sys.argv[1:]
    first = next((one for one in typed if not one.startswith("-")), "")
    name = first if _NAME.fullmatch(first) else ""
    command = " ".join(filter(None, (Path(sys.argv[0]).name, name, "…" if typed and typed != [name] else "")))
    file.truncate(0)
    file.write(json.dumps(asdict(Holder(does, command, os.getpid()))))
    file.flush()


def _holder(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):  # the holder may be writing its name at this moment
        return None


def _silent(_line: str) -> None:
    """Report nothing."""
