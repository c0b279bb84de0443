"""Check once, before any source is read, whether a typed window makes sense."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta

from ingestion.contract import read_contracts, source_names
from ingestion.errors import ClearwellError, Permanent
from ingestion.home import Home
from ingestion.sources import database_tables
from ingestion.window import Window, iso
from operations import heal

# Up to a week away from landed data is a gap; more is another period, or a typing error.
_APART = timedelta(days=7)


def check_place(home: Home, window: Window, *, apart: bool = False) -> None:
    """Raise Permanent for a window before all data of the sources or, unless `apart`, far from landed data."""
    check_begun(window, _begins(home, window))
    if not apart:
        check_near(window, _landed(home))


def check_past(window: Window, now: datetime) -> None:
    """Refuse a window that is not over: it would count as complete once landed."""
    if window.end <= now:
        return
    hour = now.replace(minute=0, second=0, microsecond=0)
    over = f"the last complete hour ends at {iso(hour)}"
    if window.start >= hour:
        raise Permanent(f"the window {window} lies in the future: {over}", todo="choose --from and --to before that")
    raise Permanent(
        f"the window {window} is not over: {over}, and the end is not part of a window",
        todo=f"run the same command with --to {hour:%Y-%m-%dT%H:%M}Z",
    )


def check_begun(window: Window, begins: Mapping[str, datetime | None]) -> None:
    """Refuse a window that ends before any source's first record; None stands for a source without any records."""
    if not begins or any(one and one < window.end for one in begins.values()):
        return
    told = "; ".join(f"{source} {f'begins at {iso(at)}' if at else 'has none'}" for source, at in begins.items())
    raise Permanent(
        f"no source has records before {iso(window.end)}: {told}",
        todo="choose a later window, or check the address of the source",
    )


def check_near(window: Window, landed: Window | None) -> None:
    """Refuse a window that leaves a gap of more than a week to the landed data."""
    if not landed:
        return
    before, after = landed.start - window.end, window.start - landed.end
    if max(before, after) <= _APART:
        return
    hole = Window(window.end, landed.start) if before > after else Window(landed.end, window.start)
    whole = Window(min(window.start, landed.end), max(window.end, landed.start))
    raise Permanent(
        f"the window {window} would leave {hole.length.days} days without data, {hole}: landed so far is {landed}",
        todo=f"include the gap: --from {_typed(whole.start)} --to {_typed(whole.end)}; or add --apart, which leaves the gap",
    )


def _typed(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if moment.time() == time() else f"{moment:%Y-%m-%dT%H:%M}Z"


def _landed(home: Home) -> Window | None:
    windows = [window for landed in heal.landed(home).values() for window in landed]
    return Window(min(one.start for one in windows), max(one.end for one in windows)) if windows else None


def _begins(home: Home, window: Window) -> dict[str, datetime | None]:
    """Return the time of the first record of sources where that is cheap to find; skip a source that does not answer."""
    contracts = read_contracts()
    found = {}
    for source in source_names(contracts):
        of_source = [one for one in contracts.values() if one.source == source]
        with suppress(ClearwellError, OSError):
            if of_source[0].kind == "hours":
                found[source] = _first_hour(home)
            # a dataset without an event time may begin long before the events
            elif placed := [one for one in of_source if one.kind == "table" and one.settings.placed and one.event_time]:
                found[source] = database_tables.begins(placed[0], home, window)
    return found


def _first_hour(home: Home) -> datetime | None:
    days = []
    for folder in home.landing.iterdir():
        with suppress(ValueError):
            days.append(date.fromisoformat(folder.name))
    return datetime.combine(min(days), time(), UTC) if days else None
