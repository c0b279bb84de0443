"""Tell a clock that stands still, or jumps, by what does not depend on it: the time since the machine started.

A clock that is wrong makes stale data look fresh, so it is an alert of its own.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from ingestion import atomic
from ingestion.fields import say_age
from ingestion.home import Home

# What a time server corrects is less.
_TOLERANCE = timedelta(minutes=5)
# Two passes this close together say nothing about the speed of a clock.
_LEAST = timedelta(seconds=30)
# After that long, a clock that was set back is believed.
_BELIEVED = timedelta(days=1)


@dataclass(frozen=True)
class Clock:
    """The time, in UTC; the seconds since the machine started, which nobody can set; and which start that was."""

    now: datetime
    steady: float
    boot: str = ""


@dataclass(frozen=True)
class Seen:
    """The clock at the last pass, the latest time at any pass, and since when the clock has been behind that.

    `awaited` are the datasets of which nothing has been published yet, each with the first pass that missed it.
    """

    clock: Clock
    latest: datetime
    behind_since: float | None = None
    awaited: Mapping[str, datetime] = field(default_factory=dict)


def odd_clock(clock: Clock, seen: Seen | None, newest_landing: datetime | None) -> str:
    """Say in words what is odd about a clock; empty if nothing is."""
    if seen:
        if seen.latest - clock.now > _TOLERANCE:
            return f"the clock went back by {say_age(seen.latest - clock.now)}: it was {seen.latest:%Y-%m-%d %H:%M} UTC before"
        moved, passed = clock.now - seen.clock.now, _passed(clock, seen)
        if moved == timedelta(0) or (passed is not None and passed > _LEAST and moved < passed / 2):
            more = f" while {say_age(passed)} passed" if passed else ""
            return f"the clock stands still: it moved by {moved.total_seconds():.0f} s since the last pass{more}"
        if passed is not None and moved > passed + _TOLERANCE:
            return f"the clock jumped forward by {say_age(moved - passed)} since the last pass"
    if newest_landing and newest_landing - clock.now > _TOLERANCE:
        return f"the clock is behind: data landed at {newest_landing:%Y-%m-%d %H:%M} UTC, which is still to come"
    return ""


def _passed(clock: Clock, seen: Seen) -> timedelta | None:
    """Return how long ago the last pass was, if the machine has not started again since."""
    if not clock.boot or clock.boot != seen.clock.boot or clock.steady < seen.clock.steady:
        return None
    return timedelta(seconds=clock.steady - seen.clock.steady)


def remember(clock: Clock, seen: Seen | None) -> Seen:
    """Return what the next pass compares with. A clock that has been behind for a day is believed."""
    if seen is None or seen.latest - clock.now <= _TOLERANCE:
        return Seen(clock, max(clock.now, seen.latest) if seen else clock.now)
    since = seen.behind_since if seen.behind_since is not None and seen.clock.boot == clock.boot else clock.steady
    if timedelta(seconds=clock.steady - since) >= _BELIEVED:
        return Seen(clock, clock.now)
    return Seen(clock, seen.latest, since)


def read(home: Home) -> Seen | None:
    """Read what the last pass saw; None if there was none, or its file cannot be read."""
    with suppress(AttributeError, OSError, KeyError, TypeError, ValueError):
        row = json.loads(_path(home).read_text())
        clock = Clock(moment(row["clock"]["now"]), float(row["clock"]["steady"]), str(row["clock"]["boot"]))
        behind = None if row["behind_since"] is None else float(row["behind_since"])
        # an earlier version did not keep these
        awaited = {str(name): moment(since) for name, since in row.get("awaited", {}).items()}
        return Seen(clock, moment(row["latest"]), behind, awaited)
    return None


def moment(text: str) -> datetime:
    """Read a time that was kept. One without a zone is a ValueError: it can be compared with none."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without a zone can be compared with none")
    return found


def write(home: Home, seen: Seen) -> None:
    """Keep the clock for the next pass, in `watch.json` in the home."""
    atomic.write(_path(home), json.dumps(asdict(seen), default=str))


def _path(home: Home) -> Path:
    return home.root / "watch.json"
