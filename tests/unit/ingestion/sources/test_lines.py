import gzip
import hashlib
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion.sources import lines
from ingestion.sources.lines import LineFile, Memory, Unreadable, compression_of
from ingestion.sources.read_ahead import ReadAhead

PACK = {
    "x.jsonl": lambda content: content,
    "x.jsonl.gz": lambda content: gzip.compress(content),
    "x.jsonl.zst": lambda content: zstandard.ZstdCompressor().compress(content),
}
SOME = b'{"event_id": "\xc3\xa9"}\n' * 1000


def stored(folder: Path, name: str, content: bytes) -> LineFile:
    (folder / name).write_bytes(PACK[name](content))
    return LineFile(folder / name)


def read(file: LineFile) -> list[tuple[bytes | None, bytes | None]]:
    """Return each line as (bytes of `raw`, bytes of `raw_bytes`)."""
    tables = list(file.tables("x"))
    for table in tables:
        table.validate(full=True)
    found = [row for table in tables for row in table.to_pylist()]
    assert [row["line_number"] for row in found] == list(range(1, len(found) + 1))
    assert {row["file"] for row in found} <= {"x"}
    return [(None if row["raw"] is None else row["raw"].encode(), row["raw_bytes"]) for row in found]


pieces = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"\n", b"\r\n", b"\r", b"\x00", b"\xff", b"\xe2\x80\xa8", b"\xed\xa0\x80", b'{"a": 1}\n']),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(pieces, max_size=40).map(b"".join), st.sampled_from(sorted(PACK)), st.sampled_from([1, 2, 3, 7, 1 << 20])
)
@example(b"", "x.jsonl", 1)
@example(b"no newline", "x.jsonl.gz", 3)
@example(b"\n\n", "x.jsonl.zst", 1)
@example(b"\xff" * 600 + b"\n" + b"ok\n" * 600 + b"\xfe", "x.jsonl", 7)
def test_any_bytes_come_back_exactly(content: bytes, name: str, chunk: int):
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(lines, "CHUNK_BYTES", chunk)
        file = stored(Path(folder), name, content)
        found = read(file)
    assert b"".join((text or b"") + (other or b"") for text, other in found) == content
    expected = content.split(b"\n")
    count = len(expected) - (expected[-1] == b"")
    assert len(found) == file.lines == count
    for text, other in found:
        assert (text is None) != (other is None)
        line = text if other is None else other
        assert line is not None and line.count(b"\n") <= 1 and b"\n" not in line[:-1]
        assert is_utf8(line) == (text is not None)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.lists(pieces, max_size=20).map(b"".join), st.booleans()), max_size=6),
    st.sampled_from([2, 5, 16, 64]),
)
def test_memory_is_used_again_only_when_no_table_needs_it(contents: list[tuple[bytes, bool]], chunk: int):
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder, ReadAhead(2) as ahead:
        patch.setattr(lines, "CHUNK_BYTES", chunk)
        patch.setattr(lines, "PART_BYTES", 2 * chunk)
        memory = Memory()
        files = [LineFile(Path(folder, f"{number}.jsonl")) for number in range(len(contents))]
        for file, (content, _) in zip(files, contents, strict=True):
            file.path.write_bytes(content)
            file.read_ahead(ahead, memory)
        kept = [
            (content, list(file.tables("x")))
            for file, (content, keep) in zip(files, contents, strict=True)
            if keep or file.drop()
        ]
    for content, tables in kept:
        rows = [row for table in tables for row in table.to_pylist()]
        assert b"".join(row["raw_bytes"] or row["raw"].encode() for row in rows) == content


def test_tables_have_few_rows_also_of_the_shortest_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines, "TABLE_ROWS", 8)
    tables = [*stored(tmp_path, "x.jsonl", b"\n" * 1000).tables("x")]
    assert sum(map(len, tables)) == 1000 and max(map(len, tables)) < 16


def test_after_a_long_line_memory_is_taken_in_small_blocks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(lines, "PART_BYTES", 1)
    tables = [*stored(tmp_path, "x.jsonl", b"x" * 100_000 + b"\n" + SOME * 50).tables("x")]
    assert max(one["raw"].nbytes for one in tables[5:]) < 3000


def test_the_lines_of_a_small_file_hold_no_more_memory_than_they_need(tmp_path: Path):
    memory = Memory()
    tables = []
    with ReadAhead(1) as ahead:
        for number in range(50):
            file = stored(tmp_path, "x.jsonl", SOME[: 20 * number] + b"end")
            file.read_ahead(ahead, memory)
            tables += file.tables("x")
    assert sum(table.get_total_buffer_size() for table in tables) < 50 * 20_000
    assert len(memory._free) == 1


def test_memory_of_tables_that_are_gone_is_used_again(tmp_path: Path):
    content = SOME * (4 * lines.CHUNK_BYTES // len(SOME))
    memory = Memory()
    with ReadAhead(1) as ahead:
        for _ in range(3):
            file = stored(tmp_path, "x.jsonl", content)
            file.read_ahead(ahead, memory)
            assert sum(map(len, file.tables("x"))) == content.count(b"\n")
    del file
    assert 0 < len(memory._free) <= 2 * lines.PART_BYTES // lines.CHUNK_BYTES + 4


def is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("name", sorted(PACK))
def test_a_line_of_megabytes_among_small_ones(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines, "CHUNK_BYTES", 1 << 16)
    long = b'{"note": "' + b"long " * 600_000 + b'"}\n'
    found = read(stored(tmp_path, name, SOME + long + SOME + b"end"))
    assert len(found) == 2002
    assert found[1000] == (long, None)
    assert found[-1] == (b"end", None)


def test_a_line_without_end_does_not_fill_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 1000)
    monkeypatch.setattr(lines, "CHUNK_BYTES", 100)
    with pytest.raises(Unreadable, match="a line is longer"):
        read(stored(tmp_path, "x.jsonl", b"x" * 5000))


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.zst"])
def test_files_put_end_to_end_are_read_to_the_end(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(PACK[name](SOME) + PACK[name](SOME))
    assert len(read(LineFile(tmp_path / name))) == 2000


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.zst"])
@pytest.mark.parametrize("keep", [0, 5, -1, -5])
def test_truncated(tmp_path: Path, name: str, keep: int):
    content = PACK[name](SOME)
    (tmp_path / name).write_bytes(content[: keep if keep >= 0 else len(content) + keep])
    with pytest.raises(Unreadable, match="truncated"):
        read(LineFile(tmp_path / name))


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.jsonl.zst"])
@pytest.mark.parametrize(
    "packed",
    [SOME, b"\xef\xbb\xbf" + SOME, gzip.compress(SOME), gzip.compress(gzip.compress(SOME))],
    ids=["plain", "marked", "once", "twice"],
)
def test_lines_are_read_however_often_they_are_packed_and_whatever_their_file_is_called(
    tmp_path: Path, name: str, packed: bytes
):
    (tmp_path / name).write_bytes(packed)
    file = LineFile(tmp_path / name, compression_of(tmp_path / name))
    lines = [line for table in file.tables(name) for line in table["raw"].to_pylist()]
    assert "".join(lines).removeprefix("\ufeff") == SOME.decode() and file.lines == len(lines)
    assert (file.size, file.sha256) == (len(packed), hashlib.sha256(packed).hexdigest())


def test_what_is_packed_twice_and_cut_within_is_truncated(tmp_path: Path):
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(gzip.compress(SOME)[:-9]))
    with pytest.raises(Unreadable, match="truncated"):
        read(LineFile(tmp_path / "x.jsonl.gz"))


def test_corrupt(tmp_path: Path):
    content = bytearray(gzip.compress(SOME))
    content[-6] ^= 1
    (tmp_path / "x.jsonl.gz").write_bytes(content)
    with pytest.raises(Unreadable, match="corrupt"):
        read(LineFile(tmp_path / "x.jsonl.gz"))
    (tmp_path / "x.jsonl.zst").write_bytes(b"not zstd at all")
    with pytest.raises(Unreadable, match="corrupt"):
        read(LineFile(tmp_path / "x.jsonl.zst"))


@pytest.mark.parametrize("place", range(0, 60, 3))
def test_a_changed_byte_anywhere_in_a_gzip_is_found(tmp_path: Path, place: int):
    content = bytearray(gzip.compress(b"".join(b'{"event_id": "%x"}\n' % (n * n * 7919) for n in range(5))))
    content[10 + place % (len(content) - 10)] ^= 255
    (tmp_path / "x.jsonl.gz").write_bytes(content)
    with pytest.raises(Unreadable, match=r"corrupt|truncated"):
        read(LineFile(tmp_path / "x.jsonl.gz"))


def test_a_file_that_grows_while_it_is_read(tmp_path: Path):
    file = stored(tmp_path, "x.jsonl", SOME)
    tables = file.tables("x")
    next(tables)
    with file.path.open("ab") as more:
        more.write(b"more\n")
    with pytest.raises(Unreadable, match="changed while it was read"):
        list(tables)


def test_size_checksum_and_count_are_of_the_stored_file(tmp_path: Path):
    file = stored(tmp_path, "x.jsonl.gz", SOME)
    read(file)
    content = file.path.read_bytes()
    assert (file.size, file.sha256, file.lines) == (len(content), hashlib.sha256(content).hexdigest(), 1000)


def test_reading_lines_does_not_import_pandas():
    code = (
        "import sys; from ingestion.sources import lines as l\n"
        "import pathlib, tempfile\n"
        "file = tempfile.NamedTemporaryFile(); file.write(b'a\\n\\xff\\n'); file.flush()\n"
        "assert sum(map(len, l.LineFile(pathlib.Path(file.name), 'plain').tables('x'))) == 2\n"
        "sys.exit('pandas' in sys.modules)"
    )
    repository = Path(lines.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0


def test_the_text_column_lies_on_the_buffer_read():
    block = lines._Block(np.frombuffer(b"abc\ndef\n", np.uint8), np.array([4, 8]))
    ((text, _),) = lines._columns(block)
    assert text.buffers()[2].address == pa.py_buffer(block.content).address
