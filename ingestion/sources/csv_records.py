"""Read a CSV as records. Each line is in one of them, and a record that cannot be read affects no other."""

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ingestion.errors import Permanent

INVALID_UTF8 = "invalid_utf8"
RAGGED = "ragged_row"
BROKEN_QUOTES = "broken_quoting"
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_MARK = b"\xef\xbb\xbf"
# Python refuses fields over 128 KiB. The body is in memory already, and bounds every field of it.
csv.field_size_limit(1 << 31)
Row = tuple[str | None, ...]


class Record(NamedTuple):
    """One raw record, and the number of its first line. `fields` are its texts, as far as it could be split."""

    line: int
    raw: bytes
    fields: Row
    reason: str | None = None


@dataclass(frozen=True)
class Table:
    """The header of a CSV, and its records, which can be read once."""

    columns: tuple[str, ...]
    records: Iterator[Record]


def read(body: bytes, where: str) -> Table:
    """Read the header at once and the records lazily. A header without names is Permanent."""
    lines = _Lines(body.removeprefix(_MARK))
    header = _header(lines, where)
    return Table(header, _records(lines, header, where))


class _Lines:
    """Give the parser lines as text, and keep their bytes until it is known to which record they belong."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.number = 0
        self.is_utf8 = True
        self._lines = (match.group() for match in _LINE.finditer(body))
        self._again: deque[bytes] = deque()
        self._taken: list[bytes] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._taken.append(line)
        try:
            return line.decode()
        except UnicodeDecodeError:
            # Bytes that are not text pass through unchanged: none of them is a comma, a quote or a line end.
            self.is_utf8 = False
            return line.decode("utf-8", "surrogateescape")

    def settle(self, count: int | None = None) -> tuple[int, bytes]:
        """End a record after `count` of the lines taken, or all; return its number and bytes. The other lines are read again."""
        record, self._taken, self.is_utf8 = self._taken, [], True
        if count is not None:
            self._again.extendleft(reversed(record[count:]))
            del record[count:]
        first = self.number + 1
        self.number += len(record)
        return first, record[0] if len(record) == 1 else b"".join(record)

    def expected(self) -> int:
        """Count the lines of the body independently of how they are read."""
        body = self.body
        ends = body.count(b"\n") + body.count(b"\r") - body.count(b"\r\n")
        return ends + (bool(body) and not body.endswith((b"\n", b"\r")))


def _header(lines: _Lines, where: str) -> tuple[str, ...]:
    try:
        header = [name.strip() for name in next(csv.reader(lines, strict=True), [])]
        "".join(header).encode()
    except (csv.Error, UnicodeEncodeError) as error:
        what = "not UTF-8" if isinstance(error, UnicodeEncodeError) else error
        raise Permanent(
            f"the header is not CSV in UTF-8: {what}", where=where, todo="correct the file's first line"
        ) from None
    lines.settle()
    # The ECB ends each line with a comma.
    while header and not header[-1]:
        header.pop()
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if not header or twice or "" in header:
        what = (
            f"names {twice[0]} twice"
            if twice
            else "is empty"
            if not header
            else f"has no name for column {header.index('') + 1}"
        )
        raise Permanent(f"the header {what}", where=where, todo="correct the file's first line")
    return tuple(header)


def _records(lines: _Lines, header: tuple[str, ...], where: str) -> Iterator[Record]:
    parser, width = csv.reader(lines, strict=True), len(header)
    while True:
        try:
            fields = next(parser)
        except StopIteration:
            break
        except csv.Error:
            # Its end is unknown. Only its first line is the record: an open quote must not swallow the lines after it.
            number, raw = lines.settle(1)
            yield Record(number, raw, (), BROKEN_QUOTES if _is_utf8(raw) else INVALID_UTF8)
            continue
        is_utf8 = lines.is_utf8
        number, raw = lines.settle()
        if fields:
            is_ragged = len(fields) != width and (len(fields) < width or any(fields[width:]))
            reason = INVALID_UTF8 if not is_utf8 else RAGGED if is_ragged else None
            yield Record(number, raw, tuple([text or None for text in fields[:width]]), reason)
    if lines.number != lines.expected():
        raise Permanent(
            f"the file has {lines.expected():,} lines, but {lines.number:,} were read",
            where=where,
            todo="report this as a bug in Clearwell: rows would be lost",
        )


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
