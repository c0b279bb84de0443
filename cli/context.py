"""The time of a command, and the user who types it."""

import getpass
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ingestion.home import Home
from operations.clocks import Clock
from operations.output import tell

if TYPE_CHECKING:
    from operations.decide import By

NEXT = "Next: clearwell build"


def now() -> datetime:
    """Read the clock: here, and in dags/, and nowhere else."""
    return datetime.now(UTC)


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
