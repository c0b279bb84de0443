"""Read a CSV as records. Each line is in one of them, and a record that cannot be read affects no other.

A file is CSV in any dialect: `Dialect` says its delimiter, quote, escape, encoding and, if it has no header line, its header.
Bytes that the encoding cannot decode make their record a refused one; so do lines that cannot be split into columns.
"""

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ingestion.errors import Permanent
from ingestion.file_settings import COMMAS, Dialect

# The name is older than the other encodings: bytes that are no text in the file's encoding.
INVALID_UTF8 = "invalid_utf8"
RAGGED = "ragged_row"
BROKEN_QUOTES = "broken_quoting"
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
# The marks at the start of a file, and what they say. Python reads UTF-16 and UTF-32 without a mark as this machine does.
_MARKS = {
    "utf-8": ((codecs.BOM_UTF8, "utf-8"),),
    "utf-16": ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
    "utf-32": ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
}
# The first line by which Excel is told the delimiter. It is no record.
_SEPARATOR = re.compile(r"sep=(.)[\r\n]*", re.IGNORECASE)
_UNMARKED = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
# Python refuses fields over 128 KiB. The body is in memory already, and bounds every field of it.
csv.field_size_limit(1 << 31)
Row = tuple[str | None, ...]


class Record(NamedTuple):
    """One raw record, and the number of its first line. `fields` are its texts, as far as it could be split.

    A refused record has a reason, and its text unless its bytes are no text.
    """

    line: int
    raw: bytes
    fields: Row
    reason: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Table:
    """The columns of a file, and its records, which can be read once. `is_cut`: nothing says that its end is there."""

    columns: tuple[str, ...]
    records: Iterator[Record]
    is_cut: bool = False


def read(body: bytes, where: str, dialect: Dialect = COMMAS, *, are_kinds: bool = False) -> Table:
    """Read the header at once and the records lazily. A file without a header is Permanent.

    `are_kinds` says that the header's names are values, of which none may be missing or repeated.
    """
    _check_mark(body, where, dialect.encoding)
    lines = _Lines(body, dialect.encoding)
    _skip_separator(lines, where, dialect)
    header = dialect.header or _header(lines, where, dialect, are_kinds=are_kinds)
    return Table(header, _records(lines, header, where, dialect), not lines.body.endswith(lines.encoding.ends))


def encoding_by_mark(body: bytes) -> str | None:
    """Return the encoding whose mark is at the start of a body; None without a mark."""
    # the mark of UTF-16 is the start of the one of UTF-32
    return next(
        (name for name in reversed(_MARKS) for mark, _ in _MARKS[name] if body.startswith(mark)),
        None,
    )


def separator_of(line: str) -> str | None:
    """Return the delimiter that a first line such as `sep=;` names; None of any other line."""
    found = _SEPARATOR.fullmatch(line)
    return found[1] if found else None


def _check_mark(body: bytes, where: str, encoding: str) -> None:
    """Refuse a file whose mark proves another encoding: read in this one, the mark would be a part of the first column's name."""
    marked = encoding_by_mark(body)
    if marked and not codecs.lookup(encoding).name.startswith(marked):
        raise Permanent(
            f"the file starts with the mark of {marked.upper()}, but is read as {encoding}",
            where=where,
            todo=f"say in the contract `csv: {{encoding: {marked}}}`, or deliver all files in {encoding}",
        )


def _skip_separator(lines: "_Lines", where: str, dialect: Dialect) -> None:
    """Skip a first line such as `sep=;`. One that names another delimiter is Permanent."""
    said = separator_of(next(lines, ""))
    if said is None:
        lines.settle(0)
    elif said == dialect.delimiter:
        lines.settle()
    else:
        raise Permanent(
            f"the file's first line says that {said!r} separates its columns, but it is read with {dialect.delimiter!r}",
            where=where,
            todo=f'say in the contract `csv: {{delimiter: "{said}"}}`',
        )


@dataclass(frozen=True)
class _Encoding:
    """How the lines of a body are decoded, and how they end: in units of `width` bytes."""

    name: str
    width: int
    ends: tuple[bytes, bytes]

    @classmethod
    def of(cls, name: str, body: bytes) -> tuple["_Encoding", bytes]:
        """Return the encoding of a body and the body without the mark at its start."""
        known = codecs.lookup(name).name
        found = _UNMARKED.get(known, known)
        for mark, meant in _MARKS.get("utf-8" if known == "utf-8-sig" else known, ()):
            if body.startswith(mark):
                found, body = meant, body[len(mark) :]
                break
        ends = ("\n".encode(found), "\r".encode(found))
        return cls(found, len(ends[0]), ends), body

    def lines(self, body: bytes) -> Iterator[bytes]:
        """Split a body at \\r\\n, \\r and \\n, which stay at the lines' ends."""
        if self.ends == (b"\n", b"\r"):
            pattern = _LINE
        else:
            lf, cr = map(re.escape, self.ends)
            # A last unit that is not whole is a part of the last line.
            pattern = re.compile(rb"(?s:(?:(?!%b|%b).{%d})*(?:%b%b|%b|%b)|.+)" % (lf, cr, self.width, cr, lf, cr, lf))
        return (match.group() for match in pattern.finditer(body))

    def count(self, body: bytes) -> int:
        """Count the lines of a body without splitting it."""
        lf, cr = self.ends
        if self.width == 1:
            ends = body.count(lf) + body.count(cr) - body.count(cr + lf)
            return ends + (bool(body) and not body.endswith((lf, cr)))
        whole = len(body) // self.width * self.width
        units = np.frombuffer(body, f"V{self.width}", whole // self.width)
        is_lf, is_cr = (units == np.void(end) for end in (lf, cr))
        ends = int(is_lf.sum() + is_cr.sum() - (is_cr[:-1] & is_lf[1:]).sum())
        return ends + (whole < len(body) or (bool(whole) and not (is_lf[-1] or is_cr[-1])))


class _Lines:
    """Give the parser lines as text, and keep their bytes until it is known to which record they belong."""

    def __init__(self, body: bytes, encoding: str) -> None:
        self.encoding, self.body = _Encoding.of(encoding, body)
        self.number = 0
        self.is_text = True
        self._name = self.encoding.name
        self._lines = self.encoding.lines(self.body)
        self._again: deque[bytes] = deque()
        self._taken: list[bytes] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._taken.append(line)
        try:
            return line.decode(self._name)
        except UnicodeDecodeError:
            # What is no text is replaced by a sign that is no delimiter, quote or line end. The bytes are kept.
            self.is_text = False
            return line.decode(self._name, "replace")

    def settle(self, count: int | None = None) -> tuple[int, bytes]:
        """End a record after `count` of the lines taken, or all; return its number and bytes. The other lines are read again."""
        record, self._taken, self.is_text = self._taken, [], True
        if count is not None:
            self._again.extendleft(reversed(record[count:]))
            del record[count:]
        first = self.number + 1
        self.number += len(record)
        return first, record[0] if len(record) == 1 else b"".join(record)

    def refused(self, line: int, raw: bytes, fields: Row, reason: str) -> Record:
        """Return a record that cannot be read. That its bytes are no text is the first reason."""
        try:
            return Record(line, raw, fields, reason, raw.decode(self._name))
        except UnicodeDecodeError:
            return Record(line, raw, fields, INVALID_UTF8)

    def expected(self) -> int:
        """Count the lines of the body independently of how they are read."""
        return self.encoding.count(self.body)


def _parser(lines: _Lines, dialect: Dialect) -> Iterator[list[str]]:
    return csv.reader(
        lines,
        strict=True,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=dialect.escape,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
    )


def _header(lines: _Lines, where: str, dialect: Dialect, *, are_kinds: bool) -> tuple[str, ...]:
    why: object = None
    try:
        header = [name.strip() for name in next((row for row in _parser(lines, dialect) if row), [])]
    except csv.Error as error:
        why = error
    name = dialect.encoding.upper()
    why = why if lines.is_text else f"not {name}"
    if why:
        raise Permanent(
            f"the header is not CSV in {name}: {why}",
            where=where,
            todo="correct the file's first line, or say in the contract how the file is written: `csv: {encoding: …}`",
        )
    lines.settle()
    # The ECB ends each line with a comma.
    while header and not header[-1]:
        header.pop()
    twice = [name for name in header if not name or header.count(name) > 1]
    if are_kinds and twice:
        what = f"names {twice[0]} twice" if twice[0] else f"has no name for column {header.index('') + 1}"
        raise Permanent(f"the header {what}", where=where, todo="correct the file's first line")
    if not header:
        what = "the file is empty" if not lines.body else "the header is empty"
        raise Permanent(
            what, where=where, todo="deliver it with the names of its columns as the first line, or delete it"
        )
    return _distinct(header)


def _distinct(header: Sequence[str]) -> tuple[str, ...]:
    """Name columns without a name by their place, and number those that share one, so that a contract means none of them by chance."""
    names: list[str] = []
    for place, name in enumerate(header, 1):
        number = header[:place].count(name) if name else place
        made = name
        if not name or header.count(name) > 1:
            while not made or made in header or made in names:
                made = f"{name or 'column'} {number}"
                number += 1
        names.append(made)
    return tuple(names)


def _records(lines: _Lines, header: tuple[str, ...], where: str, dialect: Dialect) -> Iterator[Record]:
    parser, width = _parser(lines, dialect), len(header)
    while True:
        try:
            fields = next(parser)
        except StopIteration:
            break
        except csv.Error:
            # Its end is unknown. Only its first line is the record: an open quote must not swallow the lines after it.
            yield lines.refused(*lines.settle(1), (), BROKEN_QUOTES)
            continue
        is_text = lines.is_text
        number, raw = lines.settle()
        if fields:
            is_ragged = len(fields) != width and (len(fields) < width or any(fields[width:]))
            texts = tuple([text or None for text in fields[:width]])
            if is_text and not is_ragged:
                yield Record(number, raw, texts)
            else:
                yield lines.refused(number, raw, texts, RAGGED)
    if lines.number != lines.expected():
        raise Permanent(
            f"the file has {lines.expected():,} lines, but {lines.number:,} were read",
            where=where,
            todo="report this as a bug in Clearwell: rows would be lost",
        )
