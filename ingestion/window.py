"""The half-open UTC interval that an ingest run owns."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ingestion.errors import Permanent

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# A year outside is a typing error: reading such a window would take hours and find nothing.
_YEARS = (1900, 2200)
_LONGEST = timedelta(days=50 * 366)


@dataclass(frozen=True, order=True)
class Window:
    """Hold `[start, end)`, both aware and in UTC. Anything else is Permanent."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for moment in (self.start, self.end):
            if moment.tzinfo is None:
                raise Permanent(f"a window needs times with a UTC offset, not {moment.isoformat()}")
        object.__setattr__(self, "start", _plain(self.start))
        object.__setattr__(self, "end", _plain(self.end))
        if self.start >= self.end:
            raise Permanent(
                f"the window {iso(self.start)} to {iso(self.end)} is empty",
                todo="give an end after the start; the end itself is not part of the window",
            )

    @classmethod
    def parse(cls, text_from: str, text_to: str) -> "Window":
        """Read two dates or ISO timestamps; without an offset they are UTC. Over 50 years are Permanent."""
        window = cls(parse_time(text_from), parse_time(text_to))
        if window.length > _LONGEST:
            raise Permanent(
                f"the window {window} is over 50 years long",
                todo="correct the dates, or split the window into shorter ones",
            )
        return window

    @classmethod
    def around(cls, moment: datetime, length: timedelta) -> "Window":
        """Return the window of `length` that contains a moment, counted from midnight UTC. A day is a multiple of `length`."""
        moment = _plain(moment)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        start = midnight + (moment - midnight) // length * length
        return cls(start, start + length)

    @property
    def date(self) -> date:
        return self.start.date()

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def hours(self) -> list["Window"]:
        """List the whole clock hours the window touches."""
        return _cut(self.start.replace(minute=0, second=0, microsecond=0), self.end, HOUR)

    def days(self) -> list["Window"]:
        """List the whole UTC days the window touches."""
        return _cut(self.start.replace(hour=0, minute=0, second=0, microsecond=0), self.end, DAY)

    def within(self, span: "Window") -> "Window":
        """Return the part of the window that lies in a span; there must be one."""
        return Window(max(self.start, span.start), min(self.end, span.end))

    def without(self, others: Iterable["Window"]) -> list["Window"]:
        """List the parts of the window that lie in none of the others."""
        left, start = [], self.start
        for other in sorted(others):
            if other.end > start and other.start < self.end:
                if other.start > start:
                    left.append(Window(start, other.start))
                start = other.end
        return [*left, Window(start, self.end)] if start < self.end else left

    @property
    def options(self) -> str:
        """Return the window as a command's options: as dates if it is of whole days."""
        whole = all(one == one.replace(hour=0, minute=0, second=0, microsecond=0) for one in (self.start, self.end))
        start, end = (one.date().isoformat() if whole else iso(one) for one in (self.start, self.end))
        return f"--from {start} --to {end}"

    def __str__(self) -> str:
        return f"{iso(self.start)}/{iso(self.end)}"


def iso(moment: datetime) -> str:
    """Write an aware time in UTC, ISO 8601 with a Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read a date or an ISO timestamp of the years 1900 to 2200; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Permanent(
            f"{text!r} is not a date or an ISO timestamp", todo="write 2026-11-01 or 2026-11-01T10:00Z"
        ) from None
    if not _YEARS[0] <= moment.year < _YEARS[1]:
        raise Permanent(f"{text!r} is not in the years {_YEARS[0]} to {_YEARS[1]}", todo="correct the year")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _plain(moment: datetime) -> datetime:
    """Return the moment in UTC, of Python's own type: Airflow's subclass loses its offset in arithmetic."""
    utc = moment.astimezone(UTC)
    return datetime.combine(utc.date(), utc.time(), UTC)


def _cut(start: datetime, end: datetime, step: timedelta) -> list[Window]:
    pieces = []
    while start < end:
        pieces.append(Window(start, start + step))
        start += step
    return pieces


def joined(windows: Iterable[Window]) -> list[Window]:
    """Merge windows that touch or overlap: the result covers the same time, with a gap between any two."""
    found: list[Window] = []
    for window in sorted(windows):
        if found and window.start <= found[-1].end:
            found[-1] = Window(found[-1].start, max(found[-1].end, window.end))
        else:
            found.append(window)
    return found
