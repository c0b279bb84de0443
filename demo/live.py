"""The shop as time passes: what `clearwell up` leaves running."""

from collections.abc import Callable
from datetime import datetime

from demo.simulate import Day, advance, open_days
from ingestion.home import Home
from ingestion.landing import Report, silent

_PAUSE_SECONDS = 60.0


def run(home: Home, now: Callable[[], datetime], sleep: Callable[[float], None], report: Report = silent) -> None:
    """Bring the shop to the present each minute, until interrupted: orders as they come, clicks by whole hours."""
    while True:
        present = now()
        open_days(home, [Day(present.date())])
        advance(home, present)
        report(f"the shop is at {present:%Y-%m-%d %H:%M}")
        sleep(_PAUSE_SECONDS)
