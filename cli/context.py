"""The time of a command, and the user who types it."""

import getpass
from datetime import UTC, datetime

from operations.decide import By

NEXT = "Next: clearwell build"


def now() -> datetime:
    """Read the clock: here, and in dags/, and nowhere else."""
    return datetime.now(UTC)


def by(reason: str) -> By:
    """Return the author of a decision: the logged-in user, now."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return By(name, now(), reason)
