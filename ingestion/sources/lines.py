"""Read a file of lines (plain, gzip or zstd) to Arrow. Every byte is kept.

Only `\n` ends a line, and it stays inside the line. The text column uses the buffer that was read: no line is copied,
examined or changed. Lines that are not UTF-8 go to a column of bytes.

A second thread reads, hashes, decompresses, counts and splits, while the first one writes (see `read_ahead`). It does so in
pieces that fit into a core's cache.
"""

import hashlib
import io
import os
import re
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from isal import igzip, igzip_lib

from ingestion import faults
from ingestion.sources import elements
from ingestion.sources.read_ahead import Ahead, ReadAhead

CHUNK_BYTES = 1 << 20
# What is handed over at once, and how often this may be ready before it is taken.
PART_BYTES = 4 << 20
PARTS_AHEAD = 5
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
_GZIP_HEADER_BYTES = 10
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

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

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

    def __init__(self, path: Path, kind: str | None = None, each: str = "") -> None:
        """`kind` is how the file is compressed; without it, its name says so. `each` is the path of a list: see `elements`."""
        self.path = path
        self.each = each
        self._more = 0
        self.kind = kind or compression(path.name)
        self.lines = 0
        self.ends_with_newline = True
        self.mtime_ns = 0
        self._stored: _Hashing
        self._before: os.stat_result | None = None
        self._parts: Ahead[_Part] | None = None

    @property
    def records(self) -> int:
        """The number of records that its lines are."""
        return self.lines + self._more

    @property
    def size(self) -> int:
        """The size as stored."""
        return self._stored.size

    @property
    def sha256(self) -> str:
        """The checksum as stored."""
        return self._stored.digest.hexdigest()

    def read_ahead(self, ahead: ReadAhead, memory: "Memory") -> None:
        """Read the file before its `tables` are asked for, when those that were started before are read."""
        self._parts = ahead.start(self._read(memory))

    def drop(self) -> None:
        """Do without the rest of a file that is read ahead."""
        if self._parts:
            self._parts.drop()

    @property
    def has_changed(self) -> bool:
        """Whether a file is another one, or gone, since reading it began."""
        try:
            return self._before is not None and _mark(self.path.stat()) != _mark(self._before)
        except OSError:
            return True

    def tables(self, name: str) -> Iterator[pa.Table]:
        """Yield the lines in order, as tables of SCHEMA with `name` in `file`. Raise Unreadable at the first failure."""
        if self._parts:
            yield from self._tables(name, self._parts)
        else:
            with ReadAhead(PARTS_AHEAD) as own:
                yield from self._tables(name, own.start(self._read(Memory())))

    def _tables(self, name: str, parts: Iterator["_Part"]) -> Iterator[pa.Table]:
        line_number = self._more = 0
        names = _one_text(name)
        for text, other in parts:
            rows = len(text)
            numbers = pa.arange(line_number + 1, line_number + rows + 1)
            zeros = pa.Array.from_buffers(pa.int32(), rows, [None, pa.py_buffer(bytes(4 * rows))])
            files = pa.DictionaryArray.from_arrays(zeros, names)
            table = pa.Table.from_arrays([text, other, files, numbers], schema=SCHEMA)
            line_number += rows
            if not self.each:
                yield table
                continue
            for some in elements.expanded(table, self.each):
                self._more += len(some)
                yield some
            self._more -= rows
        with _naming_faults():
            self._check_unchanged()

    def _read(self, memory: "Memory") -> Generator["_Part", None, None]:
        """Read the file to its end in parts, each of whole lines."""
        self.lines = 0
        with _naming_faults(), self.path.open("rb", buffering=0) as file:
            self._before = os.fstat(file.fileno())
            self.mtime_ns = self._before.st_mtime_ns
            if _PLAIN.match(os.pread(file.fileno(), 64, 0)):
                self.kind = "plain"
            self._stored = _Hashing(file)
            arrays: list[tuple[pa.Array, pa.Array]] = []
            size = rows = 0
            for block in self._blocks(memory):
                size += len(block.content)
                for pair in _columns(block):
                    arrays.append(pair)
                    rows += len(pair[0])
                    if size >= PART_BYTES or rows >= TABLE_ROWS:
                        yield _Part.of(arrays)
                        arrays, size, rows = [], 0, 0
            if arrays:
                yield _Part.of(arrays)

    def _blocks(self, memory: "Memory") -> Iterator["_Block"]:
        """Read blocks of whole lines. What follows a block's last newline begins the next one."""
        stream = self._stream()
        block, begun = memory.take(), memoryview(b"")
        while True:
            start = len(begun)
            if 2 * start > len(block):
                # twice what is begun, so that a line of megabytes is not copied once for each of them
                block = bytearray(min(2 * start, LONGEST_LINE + CHUNK_BYTES))
            view = memoryview(block)
            view[:start] = begun
            begun = view[:start]
            end = _fill(stream, view, start)
            if end == start:
                break
            is_newline = np.frombuffer(view[start:end], np.uint8) == ord("\n")
            # Counted apart from the places of the newlines, to be compared with what was written.
            self.lines += int(np.count_nonzero(is_newline))
            ends = np.flatnonzero(is_newline) + (start + 1)
            whole = int(ends[-1]) if len(ends) else 0
            begun = view[whole:end]
            if whole:
                # Less than half a block is copied: a small file must not hold a whole one. What is lent keeps its name, so that
                # what is begun stays as it is until it is copied.
                is_lent = 2 * whole > len(block)
                content = memory.lend(block, whole) if is_lent else np.frombuffer(bytes(view[:whole]), np.uint8)
                if is_lent or len(block) > CHUNK_BYTES:
                    block = memory.take()
                yield _Block(content, ends)
            if len(begun) > LONGEST_LINE:
                raise Unreadable(f"a line is longer than {LONGEST_LINE >> 20} MiB")
        self.ends_with_newline = not begun
        if begun:
            self.lines += 1
            yield _Block(np.frombuffer(bytes(begun), np.uint8), np.array([len(begun)]))
        memory.give(block)

    def _stream(self) -> "_Rest":
        stream = (
            cast(BinaryIO, self._stored) if self.kind == "plain" else inflated(cast(BinaryIO, self._stored), self.kind)
        )
        begin = stream.read(_GZIP_HEADER_BYTES)
        if _GZIP.match(begin):
            # packed twice, as by a sender and by a store
            stream = inflated(cast(BinaryIO, _Rest(begin, stream)), "gzip")
            begin = b""
        return _Rest(begin, stream)

    def _check_unchanged(self) -> None:
        after = self.path.stat()
        if self.has_changed or self.size != after.st_size:
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
    """Read a stream again from the bytes that were taken from it."""

    def __init__(self, taken: bytes, stream: BinaryIO) -> None:
        self._taken = io.BytesIO(taken)
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        return self._taken.readinto(buffer) or self._stream.readinto(buffer)  # type: ignore[attr-defined, no-any-return]


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


class Memory:
    """Blocks of memory that are used again as soon as nothing refers to what was read into them: fresh memory costs time."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self) -> bytearray:
        """Return a block of CHUNK_BYTES, with any content."""
        return self._free.pop() if self._free else bytearray(CHUNK_BYTES)

    def give(self, block: bytearray) -> None:
        """Free a block that nothing refers to."""
        if len(block) == CHUNK_BYTES:
            self._free.append(block)

    def lend(self, block: bytearray, size: int) -> Bytes:
        """Return the first bytes of a block. It is free again when this array is gone, and every table on it."""
        content = np.frombuffer(block, np.uint8, size)
        weakref.finalize(content, self.give, block)
        return content


class _Block(NamedTuple):
    """Whole lines, and where each of them ends."""

    content: Bytes
    ends: "np.ndarray[Any, np.dtype[np.int64]]"


class _Part(NamedTuple):
    """Lines that are UTF-8 and lines that are not, each null where the other has the line."""

    text: pa.ChunkedArray
    other: pa.ChunkedArray

    @classmethod
    def of(cls, arrays: list[tuple[pa.Array, pa.Array]]) -> "_Part":
        """Put arrays end to end, without a copy."""
        text, other = zip(*arrays, strict=True)
        return cls(pa.chunked_array(text, pa.string()), pa.chunked_array(other, pa.binary()))


def _fill(stream: "_Rest", memory: memoryview, start: int) -> int:
    """Read until memory is full, or the stream at its end; return where it is filled to."""
    end = start
    while end < len(memory) and (count := stream.readinto(memory[end:])):
        end += count
    return end


@contextmanager
def _naming_faults() -> Iterator[None]:
    """Raise Unreadable, with the reason, for what is wrong with a file."""
    try:
        yield
    except DAMAGED as error:
        if faults.is_of_process(error):
            raise
        raise Unreadable(explain(error)) from None


def _mark(found: os.stat_result) -> tuple[int, int, int]:
    """Return what changes when a file changes."""
    return found.st_ino, found.st_size, found.st_mtime_ns


def _columns(block: _Block) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Split a block into lines that are UTF-8 and lines that are not."""
    offsets = np.zeros(len(block.ends) + 1, np.int32)
    offsets[1:] = block.ends
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(block.content)]
    lines = pa.BinaryArray.from_buffers(pa.binary(), len(block.ends), buffers)
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
