"""Read a file of lines (plain, gzip or zstd) to Arrow. Every byte is kept.

Only `\n` ends a line, and it stays inside the line. The text column uses the buffer that was read: no line is copied,
examined or changed. Lines that are not UTF-8 go to a column of bytes.
"""

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from isal import igzip, igzip_lib

from ingestion import faults

CHUNK_BYTES = 8 << 20
LONGEST_LINE = 256 << 20
TABLE_ROWS = 1 << 17
CHECK_ROWS = 256
SUFFIXES = {
    f".{name}{suffix}": kind
    for name in ("jsonl", "ndjson")
    for suffix, kind in (("", "plain"), (".gz", "gzip"), (".zst", "zstd"))
}
# How compressed files begin.
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
# The header of a gzip, which no line is.
_GZIP = re.compile(rb"\x1f\x8b\x08[\x00-\x1f].{6}", re.DOTALL)
# How a file of lines begins that is not compressed, whatever its name says: some stores unpack what they hand out.
_PLAIN = re.compile(rb"(\xef\xbb\xbf)?\s*\{")
SCHEMA = pa.schema(
    [
        ("raw", pa.string()),
        ("raw_bytes", pa.binary()),
        ("file", pa.dictionary(pa.int32(), pa.string())),
        ("line_number", pa.int64()),
    ]
)


# What reading a compressed file may raise; EOFError if its data ends too early.
DAMAGED: tuple[type[Exception], ...] = (
    EOFError,
    OSError,
    pa.ArrowInvalid,
    cast(type[Exception], igzip_lib.IsalError),
)


class Unreadable(Exception):
    """Raised when a file cannot be read whole, with the reason in a few words."""


def compression(name: str) -> str | None:
    """Return how a file is compressed, from its name in any case; None if it is not a line file's name."""
    lower = name.lower()
    return next((kind for suffix, kind in SUFFIXES.items() if lower.endswith(suffix)), None)


def compression_of(path: Path) -> str:
    """Return how a file of any name is compressed, from its first bytes, or else from the end of its name."""
    with path.open("rb") as file:
        begin = file.read(4)
    if begin.startswith(b"PK\x03\x04"):
        raise Unreadable("a zip of lines is not read: deliver it plain, or compressed by gzip or zstd")
    by_name = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower(), "plain")
    return next((kind for magic, kind in MAGIC.items() if begin.startswith(magic)), by_name)


class LineFile:
    """Read one file once, from start to end. Its size, checksum and number of lines are known afterwards."""

    def __init__(self, path: Path, kind: str | None = None) -> None:
        """`kind` is how the file is compressed; without it, its name says so."""
        self.path = path
        self.kind = kind or compression(path.name)
        self.lines = 0
        self.ends_with_newline = True
        self.mtime_ns = 0
        self._stored: _Hashing

    @property
    def size(self) -> int:
        """The size as stored."""
        return self._stored.size

    @property
    def sha256(self) -> str:
        """The checksum as stored."""
        return self._stored.digest.hexdigest()

    def tables(self, name: str) -> Iterator[pa.Table]:
        """Yield the lines in order, as tables of SCHEMA with `name` in `file`. Raise Unreadable at the first failure."""
        self.lines = 0
        line_number = 0
        names = _one_text(name)
        for block in _whole_lines(self._chunks()):
            for raw, raw_bytes in _columns(block):
                rows = len(raw)
                numbers = pa.arange(line_number + 1, line_number + rows + 1)
                zeros = pa.Array.from_buffers(pa.int32(), rows, [None, pa.py_buffer(bytes(4 * rows))])
                files = pa.DictionaryArray.from_arrays(zeros, names)
                yield pa.Table.from_arrays([raw, raw_bytes, files, numbers], schema=SCHEMA)
                line_number += rows

    def _chunks(self) -> Iterator[bytes]:
        """Read one chunk ahead in a second thread, which decompresses, hashes and counts while the first one writes."""
        try:
            with self.path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as second:
                before = os.fstat(file.fileno())
                self.mtime_ns = before.st_mtime_ns
                if _PLAIN.match(os.pread(file.fileno(), 64, 0)):
                    self.kind = "plain"
                self._stored = _Hashing(file)
                read = self._reader()
                ahead = second.submit(read)
                while chunk := ahead.result():
                    ahead = second.submit(read)
                    yield chunk
                self._check_unchanged(before)
        except DAMAGED as error:
            if faults.is_of_process(error):
                raise
            raise Unreadable(explain(error)) from None

    def _reader(self) -> Callable[[], bytes]:
        stream = inflated(cast(BinaryIO, self._stored), self.kind)
        is_first = True

        def read() -> bytes:
            nonlocal stream, is_first
            chunk = stream.read(CHUNK_BYTES)
            if is_first and _GZIP.match(chunk):
                # packed twice, as by a sender and by a store
                stream = inflated(cast(BinaryIO, _Rest(chunk, stream)), "gzip")
                chunk = stream.read(CHUNK_BYTES)
            is_first = False
            if chunk:
                # Counted here in the simplest way, to be compared with what the fast path wrote.
                self.lines += chunk.count(b"\n") - (not self.ends_with_newline)
                self.ends_with_newline = chunk.endswith(b"\n")
                self.lines += not self.ends_with_newline
            return chunk

        return read

    def _check_unchanged(self, before: os.stat_result) -> None:
        after = self.path.stat()
        same = (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
        if not same or self.size != after.st_size:
            raise Unreadable("it changed while it was read")
        if self.size == 0 and self.kind != "plain":
            raise EOFError


class _Hashing(io.RawIOBase):
    """Pass a file's stored bytes through, and hash and measure them."""

    def __init__(self, file: io.FileIO) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer)
        with memoryview(buffer) as view:
            self.digest.update(view[:count])
        self.size += count
        return count


class _Rest(io.RawIOBase):
    """Read a stream again from the chunk that was taken from it."""

    def __init__(self, taken: bytes, stream: BinaryIO) -> None:
        self._taken = io.BytesIO(taken)
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        found = self._taken.read(len(buffer)) or self._stream.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


def inflated(stored: BinaryIO, kind: str | None) -> BinaryIO:
    """Return a stream of what a file's stored bytes are compressed from. Reading it ends in EOFError if they end too early."""
    if kind == "gzip":
        inflate: Any = igzip.IGzipFile(fileobj=stored)  # type: ignore[no-untyped-call]
        return cast(BinaryIO, inflate)
    if kind == "zstd":
        # Arrow's reader, unlike zstandard's, tells a truncated frame and goes on through frames put end to end.
        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(stored, mode="r"), "zstd"))
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, stored), CHUNK_BYTES))


def explain(error: Exception) -> str:
    """Say in a few words why a file could not be read or inflated."""
    if isinstance(error, FileNotFoundError):
        return "it is gone"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, EOFError) or "Truncated" in str(error):
        return "truncated: its compressed data ends too early"
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read: {os.strerror(error.errno)}"
    return "corrupt: its compressed data does not inflate"


def _whole_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Regroup chunks so that each ends with a newline, except the last."""
    begun: list[bytes] = []
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if end:
            yield b"".join((*begun, memoryview(chunk)[:end])) if begun or end < len(chunk) else chunk
            begun = []
        if end < len(chunk):
            begun.append(chunk[end:])
        if sum(map(len, begun)) > LONGEST_LINE:
            raise Unreadable(f"a line is longer than {LONGEST_LINE >> 20} MiB")
    if begun:
        yield b"".join(begun)


def _columns(block: bytes) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Split a block at its newlines into lines that are UTF-8 and lines that are not."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")).astype(np.int32) + 1
    if not block.endswith(b"\n"):
        ends = np.append(ends, np.int32(len(block)))
    offsets = pa.py_buffer(np.concatenate((np.zeros(1, np.int32), ends)))
    lines = pa.BinaryArray.from_buffers(pa.binary(), len(ends), [None, offsets, pa.py_buffer(block)])
    for start in range(0, len(lines), TABLE_ROWS):
        some = lines.slice(start, TABLE_ROWS)
        text = some.view(pa.string())
        if _is_utf8(text):
            yield text, pa.nulls(len(some), pa.binary())
        else:
            bad = _not_utf8(some)
            none = pa.nulls(1, pa.binary())[0]
            yield pc.if_else(bad, none, some).cast(pa.string()), pc.if_else(bad, some, none)


def _is_utf8(text: pa.StringArray) -> bool:
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _not_utf8(lines: pa.BinaryArray) -> pa.BooleanArray:
    """Mark the lines that are not UTF-8, looking line by line only where a group of lines fails."""
    bad = np.zeros(len(lines), bool)
    for start in range(0, len(lines), CHECK_ROWS):
        group = lines.slice(start, CHECK_ROWS)
        if not _is_utf8(group.view(pa.string())):
            bad[start : start + len(group)] = [not _decodes(line) for line in group.to_pylist()]
    return pa.BooleanArray.from_buffers(pa.bool_(), len(bad), [None, pa.py_buffer(np.packbits(bad, bitorder="little"))])


def _one_text(text: str) -> pa.StringArray:
    """Make an array of one text. `pa.array` would import pandas, which takes longer than a million lines."""
    data = text.encode()
    offsets = np.array([0, len(data)], np.int32)
    return pa.StringArray.from_buffers(1, pa.py_buffer(offsets), pa.py_buffer(data))


def _decodes(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
