"""Holes, short windows, and the smallest set of ingests that fills them."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ingestion.window import Window
from operations import heal

START = datetime(2026, 11, 1, tzinfo=UTC)


def hours(first: int, last: int) -> Window:
    return Window(START + timedelta(hours=first), START + timedelta(hours=last))


def test_a_hole_lies_between_windows_and_after_the_last() -> None:
    windows = [hours(0, 1), hours(1, 3), hours(2, 4), hours(6, 7)]
    assert heal.holes(windows) == [hours(4, 6)]
    assert heal.holes(windows, hours(0, 9).end) == [hours(4, 6), hours(7, 9)]
    assert heal.holes([]) == []


def test_what_touches_is_one_ingest() -> None:
    assert heal.merge([(hours(4, 5), "missing"), (hours(5, 6), "short"), (hours(8, 9), "short")]) == [
        (hours(4, 6), "missing and short"),
        (hours(8, 9), "short"),
    ]


@given(st.sets(st.integers(0, 40), min_size=2))
def test_mending_the_holes_leaves_none_and_nothing_is_ingested_twice(landed: set[int]) -> None:
    windows = [hours(one, one + 1) for one in landed]
    gaps = heal.holes(windows)
    assert heal.holes([*windows, *gaps]) == []
    inside = {one for one in range(min(landed), max(landed)) if one not in landed}
    assert sum((gap.length // timedelta(hours=1) for gap in gaps), 0) == len(inside)
    assert len(heal.merge([(gap, "missing") for gap in gaps])) == len(gaps)
