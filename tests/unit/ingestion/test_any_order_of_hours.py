"""Clicks in folder hours: whatever the order of files and windows, the repeats and the kills, each line of each file is there once."""

import gzip
import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion import bronze, sources
from ingestion.contract import Contract
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.window import Window
from tests.unit.ingestion.killed import killed_at

NOW = datetime(2100, 1, 1, tzinfo=UTC)
HOURS = Window.parse("2026-11-01T22:00", "2026-11-02T02:00").hours()
SECOND_DAY = Window.parse("2026-11-02", "2026-11-03")
PACKED = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}
# A file: its hour, its lines, how it is compressed.
FILES = st.tuples(
    st.integers(0, 3),
    st.lists(st.sampled_from([b"{}", b"a\xff", b"", b'{"a": "\xc3\xa9"}']), max_size=4),
    st.sampled_from([*PACKED]),
)
# A step: the hours that a window begins and ends with, or else the second day; the write at which it is killed, and how many files come before it.
STEPS = st.tuples(
    st.integers(0, 3), st.integers(0, 3), st.booleans(), st.none() | st.integers(0, 20), st.integers(0, 2)
)


@settings(max_examples=15)
@given(st.lists(FILES, max_size=6), st.lists(STEPS, max_size=6))
def test_any_order_repeat_and_kill_leads_to_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory,
    contracts: dict[str, Contract],
    files: list[tuple[int, list[bytes], str]],
    steps: list[tuple[int, int, int | None, int]],
) -> None:
    root = tmp_path_factory.mktemp("hours")
    home = Home(root / "home", root / "landing")
    home.landing.mkdir()
    waiting = list(enumerate(files))
    for first, last, is_whole_day, kill, arrivals in [*steps, (0, 3, False, None, len(files))]:
        for number, (hour, lines, kind) in (waiting.pop() for _ in range(min(arrivals, len(waiting)))):
            deliver(home.landing / f"{HOURS[hour].start:%Y-%m-%d/%H}" / f"{number}.jsonl{kind}", lines, kind)
        window = Window(HOURS[min(first, last)].start, HOURS[max(first, last)].end)
        window = SECOND_DAY if is_whole_day else window
        with killed_at(kill):
            land(home, contracts, window)
    expected = Counter(
        (f"{HOURS[hour].start:%Y-%m-%d/%H}/{number}.jsonl{kind}", place, line + b"\n")
        for number, (hour, lines, kind) in enumerate(files)
        for place, line in enumerate(lines, 1)
    )
    assert found(home) == expected
    before = bronze.list_batches(home)
    assert not land(home, contracts, Window(HOURS[0].start, HOURS[-1].end)).new
    assert bronze.list_batches(home) == before


def land(home: Home, contracts: dict[str, Contract], window: Window) -> Landing:
    clicks = replace(contracts["clickstream"], lateness=timedelta(hours=2), expect_records_every=None)
    return sources.ingest("clickstream", window, home, NOW, contracts={"clickstream": clicks})


def deliver(path: Path, lines: list[bytes], kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PACKED[kind](b"".join(line + b"\n" for line in lines)))
    os.utime(path, (0, 0))


def found(home: Home) -> Counter[tuple[str, int, bytes]]:
    """Count the lines of all batches, by their file and number."""
    lines: Counter[tuple[str, int, bytes]] = Counter()
    for manifest in bronze.committed(home):
        bronze.verify(home, manifest)
        for row in (row for path in bronze.parquet_files(home, manifest) for row in pq.read_table(path).to_pylist()):
            raw = row["raw_bytes"] if row["raw"] is None else row["raw"].encode()
            lines[row["file"], row["line_number"], raw] += 1
    return lines
