"""The baseline keeps every byte of every line, and nothing of a file that cannot be read whole."""

import gzip
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.by_hand import landing

LINES = [b'{"a": 1}\n', b"\n", "caf\u00e9 \u2028\n".encode(), b"\xff\xfe\r\n", b"\x00\n", b"the last"]


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_lines_are_kept_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, suffix: str) -> None:
    monkeypatch.setattr(landing, "CHUNK_BYTES", chunk)
    path, data = tmp_path / f"clicks.jsonl{suffix}", b"".join(LINES)
    path.write_bytes(gzip.compress(data) if suffix else data)
    assert landing.land_file(path, tmp_path / "out.parquet") == len(LINES)
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["raw"].encode() if row["raw_bytes"] is None else row["raw_bytes"] for row in rows] == LINES
    assert [row["raw"] is None for row in rows] == [False, False, False, True, False, False]
    assert [row["line_number"] for row in rows] == [1, 2, 3, 4, 5, 6]


def test_a_truncated_file_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clicks.jsonl.gz"
    path.write_bytes(gzip.compress(b"x\n" * 100_000)[:-20])
    assert landing.land_file(path, tmp_path / "out.parquet") is None
    assert not (tmp_path / "out.parquet").exists()
