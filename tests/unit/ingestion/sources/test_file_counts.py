"""The second count of files: as many records as there are, by another reading, beside what landed of them."""

import gzip
import os
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ingestion import bronze, sources
from ingestion.contract import read_contract
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.sources import locations
from ingestion.window import Window

NOW = datetime(2026, 11, 20, tzinfo=UTC)
CONTRACT = """
sources:
  - name: bronze
    tables:
      - name: reviews
        config: {meta: {contract_version: 1, source: reviews, format: FORMAT, key: [review_id], event_time: reviewed_at,
                 cadence: 1 day, lateness: 2 days, owner: us, location: "LOCATION"}}
        columns:
          - {name: review_id, data_type: varchar, config: {meta: {required: true}}}
          - {name: reviewed_at, data_type: timestamp, config: {meta: {required: true}}}
"""
HEADER = "review_id,reviewed_at\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "landing")


def sweep(home: Home, folder: Path, location: str, form: str = "rows", at: datetime = NOW) -> Landing:
    path = folder / "staging_reviews.yml"
    path.write_text(CONTRACT.replace("LOCATION", location).replace("FORMAT", form))
    for file in folder.rglob("*"):
        os.utime(file, (NOW.timestamp() - 60, NOW.timestamp() - 60))
    window = Window.parse("2026-11-10", "2026-11-11")
    return sources.sweep("reviews", window, home, at, contracts={"reviews": read_contract(path)})


def counted(home: Home) -> list[tuple[str, ...]]:
    """Return the latest counts: date, records at the source, those that landed, and a note."""
    refs = [
        ref for day in (10, 11) for ref in bronze.list_batches(home, "source_counts", datetime(2026, 11, day).date())
    ]
    manifests = sorted(bronze.readable(home, refs), key=lambda one: one.landed_at)
    tables = (
        [pq.read_table(path).to_pylist() for path in bronze.parquet_files(home, manifests[-1])] if manifests else []
    )
    names = ("event_date", "records", "landed_records", "note")
    return [tuple(row[name] for name in names) for table in tables for row in table]


def rows(first: int, count: int) -> str:
    return "".join(f"r{number},2026-11-10T09:00:00Z\n" for number in range(first, first + count))


def fill(folder: Path) -> int:
    """Write files of a day in all ways that are read, and return how many records they have."""
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(
        HEADER + '"r 0\n""x""",2026-11-10\n\n' + rows(1, 3) + "ragged\nr9,2026-11-10T09:00:00Z"
    )
    (folder / "b.csv.gz").write_bytes(gzip.compress((HEADER + rows(10, 5)).encode()))
    zstd = zstandard.ZstdCompressor()
    (folder / "c").write_bytes(zstd.compress((HEADER + rows(20, 3)).encode()) + zstd.compress(rows(23, 4).encode()))
    with zipfile.ZipFile(folder / "d.zip", "w") as packed:
        packed.writestr("d.csv", "\ufeff" + HEADER + rows(30, 2))
    table = pa.table({"review_id": ["r40", "r41"], "reviewed_at": ["2026-11-10", "2026-11-10"]})
    pq.write_table(table, folder / "e.parquet")
    (folder / "_SUCCESS").write_text("")
    (folder / ".hidden").write_text("x")
    return 6 + 5 + 7 + 2 + 2


def test_a_sweep_counts_the_files_of_its_days_by_another_reading(home: Home, tmp_path: Path) -> None:
    records = fill(tmp_path / "in" / "2026-11-10")
    landing = sweep(home, tmp_path, f"{tmp_path}/in/{{date}}/*")
    assert sum(one.records_written for one in landing.manifests if one.dataset == "reviews") == records
    assert counted(home) == [("2026-11-10", str(records), str(records), None)]
    again = sweep(home, tmp_path, f"{tmp_path}/in/{{date}}/*")
    assert again.new == frozenset()


def test_lines_are_counted_too_and_an_hour_is_part_of_its_day(home: Home, tmp_path: Path) -> None:
    for hour, count in (("08", 3), ("09", 4)):
        folder = tmp_path / "in" / "2026-11-10" / hour
        folder.mkdir(parents=True)
        line = '{"review_id": "r", "reviewed_at": "2026-11-10T08:00:00Z"}\n'
        (folder / "a.jsonl.gz").write_bytes(gzip.compress((line * count).rstrip("\n").encode()))
    sweep(home, tmp_path, f"{tmp_path}/in/{{date}}/{{hour}}/*.jsonl.gz", "json_lines")
    assert counted(home) == [("2026-11-10", "7", "7", None)]


def test_the_elements_of_a_list_are_counted_where_each_is_a_record(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "2026-11-10"
    folder.mkdir(parents=True)
    odd = '{"items": []}\n{"items": [1], "items": [2, 3]}\n{"items": [NaN, 1]}\n{"items": [1, 2]\n\n[[1, 2]]\n'
    (folder / "a.jsonl").write_text('\ufeff{"items": [{"a": [1, 2]}, 2]}\r\n' + odd + '{"items": [1, 2, 3]}')
    landing = sweep(home, tmp_path, f'{tmp_path}/in/{{date}}/*", each: "$.items', "json_lines")
    assert sum(one.records_written for one in landing.manifests if one.dataset == "reviews") == 2 + 6 + 3
    assert counted(home) == [("2026-11-10", "11", "11", None)]


def test_a_file_that_a_landing_does_not_find_is_a_difference(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, find = fill(tmp_path / "in" / "2026-11-10"), locations.find
    monkeypatch.setattr(locations, "find", lambda at, _: replace(find(at), files=find(at).files[1:]))
    sweep(home, tmp_path, f"{tmp_path}/in/{{date}}/*")
    assert counted(home) == [("2026-11-10", str(records), str(records - 6), "not read: 2026-11-10/a.csv (6 records)")]
    monkeypatch.undo()
    # the file lands with the next one, and is counted again
    sweep(home, tmp_path, f"{tmp_path}/in/{{date}}/*", at=NOW.replace(hour=1))
    assert counted(home) == [("2026-11-10", str(records), str(records), None)]


def test_what_no_second_reading_can_say_is_not_counted(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "2026-11-10.csv").write_text(HEADER + '"r1,2026-11-10\nr2,2026-11-10\n')
    landing = sweep(home, tmp_path, f"{folder}/{{date}}.csv")
    assert sum(one.records_written for one in landing.manifests if one.dataset == "reviews") == 2
    assert counted(home) == [("2026-11-10", "0", "0", None)]
    # of a file for all days, each window takes its share
    (folder / "all.csv").write_text(HEADER + rows(1, 2))
    other = Home(tmp_path / "other", tmp_path / "landing")
    sweep(other, tmp_path, f"{folder}/all.csv")
    assert counted(other) == []
