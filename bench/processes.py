"""Run a command in a process of its own, and measure its time and memory."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread

import psutil

ROOT = Path(__file__).parents[1]
CLEARWELL = str(Path(sys.executable).with_name("clearwell"))
# Variables that would lead a command to another shop, other sources, or other limits than those that are measured.
_OF_THE_USER = ("CLEARWELL_", "SHOP_", "CLICKSTREAM_", "EXCHANGE_")
_LOOK_SECONDS = 0.2
_SHOWN_LINES = 20


@dataclass(frozen=True)
class Used:
    """What a command took: seconds, CPU seconds, and the peak memory of all its processes together in MB."""

    seconds: float
    cpu: float
    peak: float

    def __str__(self) -> str:
        return f"{self.seconds:>7.1f} s {self.cpu:>7.1f} CPU s   peak {self.peak:>6.0f} MB"


def median(used: Sequence[Used]) -> Used:
    """Return the median of each measure."""
    return Used(
        *(statistics.median(values) for values in zip(*((u.seconds, u.cpu, u.peak) for u in used), strict=True))
    )


def total(used: Sequence[Used]) -> Used:
    """Return the sum of the times, and the greatest peak."""
    return Used(sum(one.seconds for one in used), sum(one.cpu for one in used), max(one.peak for one in used))


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without the user's settings of Clearwell, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_USER)}
    return {**kept, **more}


def run(command: Sequence[str], env: Mapping[str, str]) -> Used:
    """Run a command from the checkout and measure it. SystemExit, with what it said last, if it fails."""
    os.sync()  # what earlier commands wrote is not this one's work
    with TemporaryFile("w+") as said:
        start = time.monotonic()
        child = subprocess.Popen(command, env=dict(env), cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        ended, sampled = Event(), [0]
        watch = Thread(target=sample, args=([psutil.Process(child.pid)], ended, sampled))
        watch.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.terminate()
            child.wait()
            raise
        finally:
            ended.set()
            watch.join()
        seconds = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            last = "".join(said.readlines()[-_SHOWN_LINES:])
            sys.exit(f"{last}\n{' '.join(command)}: exit status {child.returncode}")
    return Used(seconds, usage.ru_utime + usage.ru_stime, max(_bytes(usage), sampled[0]) / 1e6)


def said(module: str, *arguments: str, env: Mapping[str, str]) -> str:
    """Run a module of the checkout in a process of its own, and return the last line that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=dict(env), text=True, stdout=subprocess.PIPE, check=True)
    return done.stdout.strip().splitlines()[-1]


def _bytes(usage: resource.struct_rusage) -> int:
    """Return the peak of the largest single process. macOS counts it in bytes, Linux in KiB."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def sample(parents: Sequence[psutil.Process], ended: Event, most: list[int]) -> None:
    """Keep in `most` the greatest sum of the memory of processes and their descendants, in bytes, until `ended` is set.

    A process counts from the second look on: the copy of a process that is about to start a command shares all memory of the first,
    which a Java does often. Peaks between two looks are missed; of a single process the system knows the peak itself.
    """
    before: set[psutil.Process] = set()
    while not ended.wait(_LOOK_SECONDS):
        together = 0
        found: set[psutil.Process] = set()
        for parent in parents:
            with suppress(psutil.NoSuchProcess):
                found |= {parent, *parent.children(recursive=True)}
        for one in found & before:
            with suppress(psutil.NoSuchProcess):
                together += one.memory_info().rss
        most[0], before = max(most[0], together), found
