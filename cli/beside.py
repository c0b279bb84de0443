"""Land a large source in a process of its own, while this one lands the others."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType

import click

from ingestion import log
from ingestion.contract import kind_by_source, read_contracts
from ingestion.home import Home
from ingestion.sources import clickstream
from ingestion.window import Window
from operations import processes
from operations.output import say

# To start a process takes 0.8 CPU seconds; to land files of this size takes 1.5 if they are plain, and more if they are packed.
LARGE_BYTES = 500 << 20
# How long an interrupted landing may take to delete what it has staged.
_PATIENCE_SECONDS = 10.0
# What ends this process at once ends the other one as well.
_ENDING = (signal.SIGTERM, signal.SIGHUP)


def large(home: Home, names: Sequence[str], window: Window) -> str:
    """Return the source to land beside the others: one with large files, where others wait for a database meanwhile. Empty if none."""
    kinds = kind_by_source(read_contracts())
    of_files = next((one for one in names if kinds[one] == "hours"), "")
    is_large = any(kinds[one] == "table" for one in names) and clickstream.size(home, window) > LARGE_BYTES
    return of_files if is_large else ""


@contextmanager
def landing(source: str, start: str, end: str, *, debug: bool) -> Iterator[Callable[[], bool]]:
    """Land a source in another process. What is given waits for it, prints what it said, and returns whether it landed.

    The other process ends with this one: it is interrupted if this one fails or is interrupted, and takes the signals that end it.
    After kill -9 it goes on, to the end of its landing or until it has something to say, which is harmless.
    """
    command = ["-m", "cli", *(["--debug"] if debug else []), "ingest", source, "--from", start, "--to", end]
    with (
        subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | {log.RUN: log.ids()["run_id"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C reaches only this process, which passes it on: a second one could come while the first one is handled.
            process_group=0,
        ) as process,
        _ending_with(process),
    ):
        yield partial(_landed, process, source)


def _landed(process: "subprocess.Popen[bytes]", source: str) -> bool:
    told, said = process.communicate()
    click.echo(said, nl=False, err=True)
    click.echo(told, nl=False)
    if process.returncode < 0:
        say(f"error: the process that landed {source} was ended by signal {-process.returncode}")
    return process.returncode == 0


@contextmanager
def _ending_with(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """End a process with this one, and where this is left before it has ended."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    ours = [number for number in _ENDING if signal.getsignal(number) == signal.SIG_DFL]
    try:
        for number in ours:
            signal.signal(number, pass_on)
        yield
    finally:
        if process.poll() is None:
            processes.end(process.pid, _PATIENCE_SECONDS)
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
