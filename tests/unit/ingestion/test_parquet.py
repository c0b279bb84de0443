import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion import parquet
from ingestion.parquet import PartWriter

SCHEMA = pa.schema([("text", pa.string())])


def table(*texts: str) -> pa.Table:
    return pa.table({"text": texts}, schema=SCHEMA)


def rows(folder: Path) -> list[tuple[int, str]]:
    found = [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return sorted((row["record_no"], row["text"]) for row in found)


def test_inputs_share_a_part_and_a_dropped_one_leaves_no_gap(tmp_path: Path):
    writer = PartWriter(tmp_path, SCHEMA, dictionary=["text"])
    for texts, keep in ((("a", "b"), True), (("lost",), False), (("c",), True)):
        writer.begin()
        writer.add(table(*texts))
        writer.keep() if keep else writer.drop()
    assert [file.name for file in writer.finish()] == ["part-0.parquet"]
    assert writer.records == 3
    assert rows(tmp_path) == [(1, "a"), (2, "b"), (3, "c")]


def test_a_big_input_has_a_part_of_its_own_that_can_be_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 2)
    writer = PartWriter(tmp_path, SCHEMA, dictionary=["text"])
    for name, keep in (("a", True), ("lost", False), ("b", True)):
        writer.begin()
        for number in range(5):
            writer.add(table(f"{name}{number}"))
        writer.keep() if keep else writer.drop()
    files = writer.finish()
    assert [file.name for file in files] == ["part-0.parquet", "part-1.parquet"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part-0.parquet", "part-1.parquet"]
    assert [text for _, text in rows(tmp_path)] == [f"{name}{number}" for name in "ab" for number in range(5)]
    assert [number for number, _ in rows(tmp_path)] == list(range(1, 11))
    groups = pq.ParquetFile(tmp_path / "part-0.parquet").metadata
    assert groups.num_row_groups == 3


def test_nothing_written_is_no_file(tmp_path: Path):
    writer = PartWriter(tmp_path, SCHEMA, dictionary=["text"])
    writer.begin()
    writer.add(table())
    writer.drop()
    assert writer.finish() == ()
    assert list(tmp_path.iterdir()) == []


def test_thousands_of_small_inputs_share_a_row_group_in_linear_time(tmp_path: Path):
    writer = PartWriter(tmp_path, SCHEMA, dictionary=["text"])
    started = time.process_time()
    for number in range(4000):
        writer.begin()
        writer.add(table(str(number)))
        writer.keep()
    assert time.process_time() - started < 10, "summing everything that waits, once per input, would take minutes"
    (file,) = writer.finish()
    assert pq.ParquetFile(tmp_path / file.name).metadata.num_row_groups == 1
    assert [int(text) for _, text in rows(tmp_path)] == list(range(4000))
