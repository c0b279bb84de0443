"""A clock that is right, stands still, jumps or is behind."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.home import Home
from operations import clocks
from operations.clocks import Clock, Seen, odd_clock, remember

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def at(moved: timedelta, passed: timedelta, boot: str = "one") -> Clock:
    return Clock(NOON + moved, 1000.0 + passed.total_seconds(), boot)


SEEN = Seen(at(0 * HOUR, 0 * HOUR), NOON)


@pytest.mark.parametrize(
    ("clock", "said"),
    [
        (at(5 * MINUTE, 5 * MINUTE), ""),
        (at(5 * MINUTE - timedelta(seconds=2), 5 * MINUTE), ""),
        (at(0 * MINUTE, 5 * MINUTE), "stands still"),
        (at(MINUTE, HOUR), "stands still"),
        (at(0 * MINUTE, timedelta(seconds=1)), "stands still"),
        (at(2 * HOUR, 5 * MINUTE), "jumped forward by 1 h 55 min"),
        (at(-2 * HOUR, 5 * MINUTE), "went back by 2 h"),
        (at(-MINUTE, 5 * MINUTE), "stands still"),
        # the machine started again: only the time itself can be compared
        (at(2 * HOUR, -10 * MINUTE, "two"), ""),
        (at(-2 * HOUR, -10 * MINUTE, "two"), "went back by 2 h"),
        (at(5 * MINUTE, 5 * MINUTE, ""), ""),
    ],
)
def test_what_is_odd_about_a_clock(clock: Clock, said: str) -> None:
    found = odd_clock(clock, SEEN, None)
    assert said in found and bool(said) == bool(found)


def test_the_first_pass_compares_with_what_has_landed() -> None:
    assert odd_clock(at(0 * HOUR, 0 * HOUR), None, NOON) == ""
    assert "is behind" in odd_clock(at(0 * HOUR, 0 * HOUR), None, NOON + HOUR)


def test_a_clock_that_went_back_is_odd_until_it_has_caught_up_or_for_a_day() -> None:
    seen, said = SEEN, []
    for hour in range(1, 40):
        clock = at((hour - 100) * HOUR, hour * HOUR)
        said.append(bool(odd_clock(clock, seen, None)))
        seen = remember(clock, seen)
    assert said == [True] * 25 + [False] * 14
    seen, said = SEEN, []
    for hour in range(1, 10):
        clock = at((hour - 5) * HOUR, hour * HOUR)
        said.append(bool(odd_clock(clock, seen, None)))
        seen = remember(clock, seen)
    assert said == [True] * 4 + [False] * 5


def test_it_is_kept_in_the_home_and_damage_is_as_if_there_was_none(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path)
    assert clocks.read(home) is None
    clocks.write(home, SEEN)
    assert clocks.read(home) == SEEN
    assert [one.name for one in tmp_path.iterdir()] == ["watch.json"]
    seen = replace(SEEN, behind_since=7.5, awaited={"clicks": NOON})
    clocks.write(home, seen)
    assert clocks.read(home) == seen
    text = (tmp_path / "watch.json").read_text()
    odd = (text.replace("+00:00", ""), text.replace("7.5", '"x"'), text.replace('{"clicks"', '3, "x": {"clicks"'))
    for garbage in ("", "{", "[]", "null", '{"clock": 3}', "\udcff", *odd):
        (tmp_path / "watch.json").write_text(garbage, errors="surrogateescape")
        assert clocks.read(home) is None
    (tmp_path / "watch.json").write_text(text.replace(', "awaited": {"clicks": "2026-11-20 12:00:00+00:00"}', ""))
    assert clocks.read(home) == replace(seen, awaited={}), "an earlier version kept less"
