"""A file lands while its last line is being written, and again when complete: its half line is no longer a dead letter."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from operations import decide
from tests.pipeline.delivery import assert_repeats
from warehouse import state
from warehouse.build import Request, build

HOUR = Window.parse("2026-11-01T10:00", "2026-11-01T11:00")
EVENT = '{{"event_id":"{}","event_type":"click","event_time":"2026-11-01T10:00:00Z","visitor_id":"v"}}\n'
WHOLE = "".join(EVENT.format(number) for number in range(3)) + EVENT.format("é")


def clock() -> Iterator[datetime]:
    return (datetime(2026, 11, 3, tzinfo=UTC) + timedelta(minutes=n) for n in range(1000))


def land(home: Home, name: str, content: str, cut: int, at: datetime, window: Window = HOUR) -> str:
    """Land a file of an hour without its last `cut` bytes, as if unchanged for a while; return the batch."""
    path = home.landing / "2026-11-01" / "10" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode()
    path.write_bytes(data[: len(data) - cut])
    os.utime(path, ns=((1_790_000_000 - cut) * 10**9,) * 2)
    (batch_id,) = sources.ingest("clickstream", window, home, at).new
    return batch_id


def fates(home: Home) -> dict[str, int]:
    query = "select fate, sum(records)::int as records from ops.ledger where dataset = 'clickstream' group by fate"
    return {row["fate"]: row["records"] for row in state.read(home.state, "ops.ledger", query)}


def letters(home: Home) -> list[tuple[str, int, list[str]]]:
    query = "select source_file, source_line, reasons from silver.dead_letters order by all"
    found = state.read(home.state, "silver.dead_letters", query)
    return [(Path(row["source_file"]).name, row["source_line"], row["reasons"]) for row in found]


def complete_until(home: Home) -> str:
    query = "select complete_until from ops.completeness where dataset = 'clickstream'"
    return f"{state.read(home.state, 'ops.completeness', query)[0]['complete_until']:%d %H}"


def test_a_file_that_waits_in_an_hour_of_a_day_that_landed_together_holds_that_hour(tmp_path: Path) -> None:
    home, now = Home(tmp_path, tmp_path / "landing"), clock()
    day = Window.parse("2026-11-01", "2026-11-02")
    land(home, "a.jsonl", WHOLE, 0, next(now), day)
    (home.landing / "2026-11-01" / "10" / "b.jsonl.part").write_text(WHOLE)
    assert sources.ingest("clickstream", HOUR, home, next(now)).waiting
    build(home, Request(), next(now))
    assert complete_until(home) == "01 10"
    (home.landing / "2026-11-01" / "10" / "b.jsonl.part").unlink()
    land(home, "b.jsonl", WHOLE, 0, next(now))
    build(home, Request(), next(now))
    assert complete_until(home) == "02 00"
    assert fates(home) == {"current": 4, "duplicate": 4}


def test_a_half_line_is_settled_by_the_landing_that_has_it_whole(tmp_path: Path) -> None:
    home, now = Home(tmp_path, tmp_path / "landing"), clock()
    land(home, "a.jsonl", WHOLE, 20, next(now))
    land(home, "never.jsonl", WHOLE, 30, next(now))
    build(home, Request(), next(now))
    assert letters(home) == [("a.jsonl", 4, ["half_line"]), ("never.jsonl", 4, ["half_line"])]

    land(home, "a.jsonl", WHOLE, 10, next(now))
    whole = land(home, "a.jsonl", WHOLE, 0, next(now))
    build(home, Request(), next(now))
    # 3 + 3 + 3 + 4 events under 4 ids; two half lines of a.jsonl, and the one of the file that never grew
    assert fates(home) == {"current": 4, "duplicate": 9, "superseded": 2, "dead_letter": 1}
    assert letters(home) == [("never.jsonl", 4, ["half_line"])]

    # the complete file is retracted: the longer half line is a dead letter again, and the shorter one is not
    decide.retract(home, whole, decide.By("tester", next(now), "test"))
    build(home, Request(), next(now))
    assert letters(home) == [("a.jsonl", 4, ["half_line"]), ("never.jsonl", 4, ["half_line"])]
    assert fates(home) == {"current": 3, "duplicate": 6, "superseded": 1, "withdrawn": 4, "dead_letter": 2}
    assert_repeats(home, next(now))
