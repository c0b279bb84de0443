"""What a window takes from a file for all days: every row is taken, later, left or undated, and the counts add up."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.contract import read_contracts
from ingestion.home import Home
from ingestion.land import Run
from ingestion.sources.csv_records import Record
from ingestion.sources.shares import Left, Share
from ingestion.window import Window

WINDOW = Window.parse("2026-11-10", "2026-11-11")
CONTRACT = replace(read_contracts()["orders"], lateness=timedelta(days=2))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.none() | st.integers(-9, 9), max_size=30))
def test_every_row_is_taken_or_accounted_for(tmp_path: Path, days: list[int | None]) -> None:
    share = Share(Run(WINDOW, Home(tmp_path, tmp_path), {}, WINDOW.end), CONTRACT)
    taken = []
    for number, day in enumerate(days):
        moment = None if day is None else WINDOW.start + timedelta(days=day)
        taken.append(share.takes(Record(number + 2, b"", ("x",)), moment, [(str(number),)]))
    assert taken == [None if day is None else -2 <= day < 1 for day in days]
    # nothing has landed yet, so the undated rows land with this window
    assert share.settle()
    landed = sum(1 for one in taken if one is not False)
    reading = share.reading(len(days), landed)
    assert (reading.later, reading.left) == (
        sum(1 for day in days if day is not None and day >= 1),
        sum(1 for day in days if day is not None and day < -2),
    )
    assert reading.landed + reading.later + reading.left + reading.landed_before == len(days)


def test_what_is_left_is_said_with_its_dates_and_first_line() -> None:
    left = Left()
    for day, line in ((3, 7), (1, 9)):
        left.add(2, datetime(2026, 11, day).date(), line)
    assert str(left) == "4 rows of 2026-11-01 to 2026-11-03 (as line 7)"
