"""Guess how a CSV is written: its encoding, delimiter, quote, escape, and whether it has a header line.

Each way that is likely is tried with the code that lands the file. The best one reads the most rows into the most columns.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ingestion.errors import Permanent
from ingestion.file_settings import COMMAS, Dialect
from ingestion.sources import csv_records

# Encodings to try where a file is not UTF-8. The first one refuses some bytes; the second reads any.
OTHER_ENCODINGS = ("cp1252", "latin-1")
_DELIMITERS = (",", ";", "\t", "|")
# What is read to compare two ways, and after how many refused rows a way is given up.
_TRIED_BYTES = 1 << 18
_TRIED_REFUSED = 50
# A cell of a first line that is a value, and so no name. A year may be a name.
_VALUE = re.compile(r"(?!(?:19|20)\d\d$)(?:[+-]?\d+([.,]\d+)*|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}.*|[^@\s]+@[^@\s]+\.\w+)")


def guess_dialect(body: bytes, where: str) -> Dialect:
    """Guess the dialect of a CSV from its first bytes, which end with a line. A header that no dialect reads is Permanent."""
    encoding = csv_records.encoding_by_mark(body) or _encoding(body)
    start = body[:_TRIED_BYTES]
    text = start.decode(encoding, "replace")
    line, _, rest = text.removeprefix("\ufeff").partition("\n")
    said = csv_records.separator_of(line)
    first = (rest if said else f"{line}\n{rest}").lstrip("\r\n")
    tried = []
    for dialect in _choices(first, said, encoding):
        headed = _with_header(first, dialect)
        if headed and (found := _try(start, where, headed)):
            tried.append(found)
    if not tried:
        fallback = replace(COMMAS, encoding=encoding, delimiter=said or COMMAS.delimiter)
        csv_records.read(body, where, fallback)  # says what is wrong with the header
        return fallback
    # of equal ones, the first is the usual one
    return max(tried, key=lambda one: one.worth).dialect


def differences(dialect: Dialect) -> dict[str, object]:
    """Return what a contract says of a dialect, under `csv`: how it differs from the usual one."""
    found: dict[str, object] = {
        name: "none" if getattr(dialect, name) is None else getattr(dialect, name)
        for name in ("delimiter", "quote", "escape", "encoding")
        if getattr(dialect, name) != getattr(COMMAS, name)
    }
    return found | ({"header": list(dialect.header)} if dialect.header else {})


@dataclass(frozen=True)
class _Tried:
    """A dialect, and what reading a file's start by it is worth."""

    dialect: Dialect
    worth: float


def _encoding(body: bytes) -> str:
    """Guess an encoding: of a file that is not UTF-8, most lines with letters beyond ASCII are wrong in it."""
    try:
        body.decode()
        return COMMAS.encoding
    except UnicodeDecodeError:
        lines = [line for line in body[: 1 << 22].split(b"\n") if not line.isascii()]
    wrong = sum("\ufffd" in line.decode("utf-8", "replace") for line in lines)
    if 2 * wrong <= len(lines):
        return COMMAS.encoding
    return next(one for one in OTHER_ENCODINGS if _decodes(body, one))


def _decodes(body: bytes, encoding: str) -> bool:
    try:
        body.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _choices(text: str, said: str | None, encoding: str) -> Iterator[Dialect]:
    line = text.partition("\n")[0]
    for delimiter in [said] if said else [one for one in _DELIMITERS if one in line] or [COMMAS.delimiter]:
        plain = Dialect(delimiter=delimiter, encoding=encoding)
        yield plain
        if '\\"' in text:
            yield replace(plain, escape="\\")
        if '"' in text:
            yield replace(plain, quote=None)
        elif _is_wrapped(line, delimiter):
            yield replace(plain, quote="'")


def _is_wrapped(line: str, delimiter: str) -> bool:
    return any(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in line.strip().split(delimiter))


def _with_header(text: str, dialect: Dialect) -> Dialect | None:
    """Add numbered names for the columns of a file whose first line holds values; None if that line is broken."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        strict=True,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=dialect.escape,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
    )
    try:
        cells = next(reader, [])
    except csv.Error:
        return None
    if len(cells) > 1 and any(_VALUE.fullmatch(cell.strip()) for cell in cells):
        return replace(dialect, header=tuple(f"column_{number}" for number in range(1, len(cells) + 1)))
    return dialect


def _try(start: bytes, where: str, dialect: Dialect) -> _Tried | None:
    """Read the start of a file in a dialect. None if it has no header in it, or if nothing were quoted but most cells with a quote
    have one around them.
    """
    good = refused = wrapped = other = 0
    try:
        table = csv_records.read(start, where, dialect)
        for record in table.records:
            if dialect.quote is None:
                quoted = [cell for cell in record.fields if cell and '"' in cell]
                around = sum(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in quoted)
                wrapped, other = wrapped + around, other + len(quoted) - around
            good, refused = good + (not record.reason), refused + bool(record.reason)
            if refused > _TRIED_REFUSED and refused > good:
                break
    except Permanent:
        return None
    if dialect.quote is None and wrapped >= other:
        return None
    # a choice that is there only if the file speaks for it wins if it reads as much
    columns = len(table.columns) - 1 + 0.5 * (dialect.quote == "'")
    return _Tried(dialect, (good + 1) / (good + refused + 1) * columns)
