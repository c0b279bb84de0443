"""What a command takes from its surroundings: the time and who types it."""

import getpass
from datetime import UTC, datetime

from operations.decide import By

NEXT = "Next: clearwell build"


def now() -> datetime:
    """Read the clock: here, and in dags/, and nowhere else."""
    return datetime.now(UTC)


def by(reason: str) -> By:
    """Say who decides: whoever is logged in."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return By(name, now(), reason)
