"""What a scheduler missed while it was off is landed day by day, up to a limit."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingestion import bronze, sources
from ingestion.contract import Contract
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.window import Window

LATER = datetime(2100, 1, 1, tzinfo=UTC)


def hour(day: int, number: int) -> datetime:
    return datetime(2026, 11, day, number, tzinfo=UTC)


def catch_up(home: Home, until: datetime, contracts: dict[str, Contract]) -> list[str]:
    said: list[str] = []
    sources.catch_up("clickstream", until, home, LATER, said.append, contracts)
    return said


def test_the_hours_of_a_gap_are_landed_and_once(
    home: Home, deliver: Callable[..., Path], land: Callable[..., Landing], contracts: dict[str, Contract]
) -> None:
    for number in (0, 1, 7):
        deliver(f"2026-11-01/{number:02}/a.jsonl", b'{"n": 1}\n')
    land("clickstream", "2026-11-01T00:00", "2026-11-01T02:00")
    land("clickstream", "2026-11-01T07:00", "2026-11-01T08:00")
    for number in range(2, 7):  # delivered only now, or the run above would have landed them
        deliver(f"2026-11-01/{number:02}/a.jsonl", b'{"n": 1}\n')
    said = catch_up(home, hour(1, 7), contracts)
    assert said[0].startswith("clickstream 2026-11-01T02:00:00Z/2026-11-01T07:00:00Z was never landed")
    windows = sorted(one.window for one in bronze.committed(home))
    assert windows == Window(hour(1, 0), hour(1, 8)).hours()
    assert sum(one.records_written for one in bronze.committed(home)) == 8
    assert catch_up(home, hour(1, 8), contracts) == []


def test_days_are_landed_one_by_one_and_one_that_cannot_be_is_told(
    home: Home, deliver: Callable[..., Path], land: Callable[..., Landing], contracts: dict[str, Contract]
) -> None:
    for day in (1, 2, 4):
        deliver(f"2026-11-{day:02}/05/a.jsonl", b'{"n": 1}\n')
    land("clickstream", "2026-11-01", "2026-11-02")
    until = hour(4, 6)
    assert sources.missed("clickstream", until, home, contracts) == [
        Window(hour(2, 0), hour(3, 0)),
        Window(hour(3, 0), hour(4, 0)),
        Window(hour(4, 0), until),
    ]
    said = catch_up(home, until, contracts)
    assert [line for line in said if "no records of clickstream" in line]
    # the third day has no records where some are expected, so it stays missing
    assert sources.missed("clickstream", until, home, contracts) == [Window(hour(3, 0), hour(4, 0))]


def test_nothing_is_missed_of_what_never_began_and_nothing_landed_of_long_ago(
    home: Home, deliver: Callable[..., Path], land: Callable[..., Landing], contracts: dict[str, Contract]
) -> None:
    assert catch_up(home, hour(4, 6), contracts) == []
    deliver("2026-11-01/05/a.jsonl", b'{"n": 1}\n')
    land("clickstream", "2026-11-01", "2026-11-02")
    until = hour(1, 0) + timedelta(days=90)
    missed = sources.missed("clickstream", until, home, contracts)
    assert (missed[0].start, missed[-1].end) == (until - sources.CATCH_UP, until)
