"""Let the shop produce as time passes, which `clearwell up` leaves running."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from demo.simulate import Day, advance, last_day, open_days
from ingestion.errors import Transient
from ingestion.home import Home
from ingestion.land import Report, silent

_PAUSE_SECONDS = 60.0
_CATCH_UP = timedelta(days=7)


def run(home: Home, now: Callable[[], datetime], sleep: Callable[[float], None], report: Report = silent) -> None:
    """Simulate the shop up to now each minute, until interrupted: orders continuously, clicks by whole hours."""
    while True:
        present = now()
        try:
            catch_up(home, present)
            report(f"the shop is at {present:%Y-%m-%d %H:%M}")
        except Transient as error:
            # Postgres is restarting or stopped for a while. The days are pure functions: trying again loses nothing.
            report(str(error))
        sleep(_PAUSE_SECONDS)


def catch_up(home: Home, present: datetime) -> None:
    """Simulate the shop up to now, once."""
    open_days(home, [Day(day) for day in _missing(last_day(home), present.date())])
    advance(home, present)


def _missing(last: date | None, today: date) -> list[date]:
    """List the days to open up to today, a week back at most, including those on which nothing ran."""
    first = max(last + timedelta(days=1), today - _CATCH_UP) if last and last < today else today
    return [first + timedelta(days=n) for n in range((today - first).days + 1)]
