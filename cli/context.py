"""The time of a command, and the user who types it."""

import getpass
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingestion.home import Home
from operations.clocks import Clock
from operations.output import tell

if TYPE_CHECKING:
    from operations.decide import By

NEXT = "Next: clearwell build"


def now() -> datetime:
    """Read the clock: here, and in dags/, and nowhere else."""
    return datetime.now(UTC)


class NewFile(click.Path):
    """The path of a file to write."""

    name = "file"

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        if not Path(os.fsdecode(path)).name or "\0" in str(path):
            self.fail("name a file", param, ctx)
        return path


def tell_held(home: Home) -> None:
    """Say what is held, below numbers that do not count it."""
    from operations import listings

    for row in listings.held(home):
        batches = f"{row['batches']:,} batch{'es' if row['batches'] > 1 else ''}"
        tell(
            f"Not counted here: {row['records']:,} records of {row['dataset']} in {batches} that are held: clearwell status"
        )


def clock() -> Clock:
    """Read the clock, and what cannot be set: the time since the machine started."""
    boottime = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        boot = ""
    return Clock(now(), time.clock_gettime(boottime), boot)


def by(reason: str) -> "By":
    """Return the author of a decision: the logged-in user, now."""
    from operations.decide import By

    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return By(name, now(), reason)
