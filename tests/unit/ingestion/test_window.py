from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import Permanent
from ingestion.window import DAY, HOUR, Window, joined


def test_dates_and_timestamps_are_utc_unless_they_say_otherwise():
    window = Window.parse("2026-11-01", "2026-11-01T10:00+02:00")
    assert window == Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, 8, tzinfo=UTC))
    assert str(window) == "2026-11-01T00:00:00Z/2026-11-01T08:00:00Z"
    assert window.date == date(2026, 11, 1)


def test_one_instant_in_two_offsets_is_one_window():
    berlin = timezone(timedelta(hours=1))
    there = Window(datetime(2026, 11, 1, 1, tzinfo=berlin), datetime(2026, 11, 1, 2, tzinfo=berlin))
    assert str(there) == str(Window.parse("2026-11-01T00:00", "2026-11-01T01:00Z"))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-11-01", "2026-11-01"),
        ("2026-11-02", "2026-11-01"),
        ("x", "y"),
        ("0001-01-01T00:00+14:00", "2026-11-01"),
        ("2026-11-01", "9999-12-31T23:59:59-14:00"),
        ("1900-01-01", "2026-11-01"),
    ],
)
def test_an_empty_or_unreadable_window_is_refused(start: str, end: str):
    with pytest.raises(Permanent):
        Window.parse(start, end)


def test_a_time_without_offset_is_refused():
    with pytest.raises(Permanent, match="offset"):
        Window(datetime(2026, 11, 1), datetime(2026, 11, 2, tzinfo=UTC))


def test_hours_and_days_are_whole():
    window = Window.parse("2026-11-01T22:30", "2026-11-02T01:00")
    assert [str(hour) for hour in window.hours()] == [
        "2026-11-01T22:00:00Z/2026-11-01T23:00:00Z",
        "2026-11-01T23:00:00Z/2026-11-02T00:00:00Z",
        "2026-11-02T00:00:00Z/2026-11-02T01:00:00Z",
    ]
    assert [day.date.day for day in window.days()] == [1, 2]


def hour(start: int, end: int) -> Window:
    return Window.parse(f"2026-11-01T{start:02}", f"2026-11-01T{end:02}")


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([], [(5, 10)]),
        ([(0, 5), (10, 12)], [(5, 10)]),
        ([(0, 12)], []),
        ([(5, 10)], []),
        ([(6, 7)], [(5, 6), (7, 10)]),
        ([(9, 12), (0, 6), (7, 8)], [(6, 7), (8, 9)]),
        ([(0, 7), (6, 8)], [(8, 10)]),
    ],
)
def test_others_are_cut_out_of_a_window(others: list[tuple[int, int]], left: list[tuple[int, int]]):
    assert hour(5, 10).without([hour(*one) for one in others]) == [hour(*one) for one in left]


def test_what_touches_is_joined():
    windows = [hour(4, 5), hour(1, 2), hour(2, 3), hour(6, 9), hour(7, 8)]
    assert joined(windows) == [hour(1, 3), hour(4, 5), hour(6, 9)]
    assert joined([]) == []


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("2026-11-01", "2026-11-03"), "--from 2026-11-01 --to 2026-11-03"),
        (("2026-11-01T10:00", "2026-11-01T12:00+01:00"), "--from 2026-11-01T10:00:00Z --to 2026-11-01T11:00:00Z"),
        (("2026-11-01", "2026-11-01T01:00"), "--from 2026-11-01T00:00:00Z --to 2026-11-01T01:00:00Z"),
    ],
)
def test_a_window_says_how_it_is_typed(typed: tuple[str, str], said: str) -> None:
    assert Window.parse(*typed).options == said
    words = said.split()
    assert Window.parse(words[1], words[3]) == Window.parse(*typed)


@given(
    moment=st.datetimes(datetime(1900, 1, 2), datetime(2199, 1, 1), timezones=st.just(timezone(timedelta(hours=5.75)))),
    length=st.sampled_from([HOUR, DAY]),
)
def test_a_moment_lies_in_the_whole_hour_or_day_around_it(moment: datetime, length: timedelta):
    window = Window.around(moment, length)
    assert window.start <= moment < window.end
    assert [window] == (window.hours() if length == HOUR else window.days())
