"""Read a bounded sample of a source that no contract describes yet: exact texts, by the source's own names.

Of files, the first and the last one that a pattern names are read, up to a number of rows and bytes in all. A row that cannot be
split into columns is counted by the reason for which landing would make it a dead letter.
"""

import csv
import gzip
import io
import json
import os
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from ingestion.addresses import is_http, shown
from ingestion.database import literal
from ingestion.errors import Permanent
from ingestion.fields import guess
from ingestion.sources import csv_records
from ingestion.sources.places import fetch
from operations.guesses import BOOLEAN, FRACTION, LIST, NUMBER, OBJECT, STRING, TEXT

ROWS = 100_000
_BYTES = 32 << 20
# The most of one file that landing reads at once.
_ALL_BYTES = 1 << 30
CSV, JSON_LINES, PARQUET, TABLE = "csv", "json_lines", "parquet", "table"
_ENDINGS = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".zip"), CSV),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), JSON_LINES),
    **dict.fromkeys((".parquet", ".pq"), PARQUET),
}
_PACKED = (".gz", ".zst")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
# The parts of a date in a pattern.
_PARTS = {"date": r"\d{4}-\d{2}-\d{2}", "year": r"\d{4}", **dict.fromkeys(("month", "day", "hour"), r"\d{2}")}
# A cell of a first line that is a value, and so no name. A year may be a name.
_VALUE = re.compile(r"(?!(?:19|20)\d\d$)(?:[+-]?\d+([.,]\d+)*|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}.*|[^@\s]+@[^@\s]+\.\w+)")
_AT_ONCE = 10_000
_HEADER_BYTES = 1 << 16
_TABLE = re.compile(r"([A-Za-z_]\w*)\.([A-Za-z_]\w*)\.([A-Za-z_]\w*)")
# Of a file in another encoding, most lines with letters beyond ASCII are not UTF-8.
_OTHER_ENCODING = "latin-1"
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Sample:
    """Rows of a source as texts, and what is known of it. `kinds` are the kinds of JSON values of each column.

    `unread` counts the rows that cannot be split into columns, by reason. `csv` says how a file differs from the usual CSV. `key`
    is a table's own primary key.
    """

    place: str
    format: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    files: tuple[str, ...] = ()
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unread: Mapping[str, int] = field(default_factory=dict)
    csv: Mapping[str, object] = field(default_factory=dict)
    is_whole: bool = True
    key: tuple[str, ...] = ()

    def kinds_of(self, column: str) -> frozenset[str]:
        return self.kinds.get(column, frozenset() if self.kinds else frozenset({TEXT}))


@dataclass
class _Taken:
    """What was read of some files, in the order of their columns."""

    columns: dict[str, None] = field(default_factory=dict)
    rows: list[dict[str, str | None]] = field(default_factory=list)
    kinds: dict[str, set[str]] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    csv: dict[str, object] = field(default_factory=dict)
    is_whole: bool = True
    # The most bytes to read of a file.
    bytes: int = _BYTES

    def add(self, row: dict[str, str | None]) -> None:
        self.columns.update(dict.fromkeys(row))
        self.rows.append(row)


def read_sample(place: str, rows: int = ROWS) -> Sample:
    """Read a sample of a place: a file, a pattern with `{date}` or `*`, an http address, or CONNECTION.schema.table.

    A place that has nothing to read is Permanent.
    """
    expanded = expand(place)
    if found := table_of(expanded):
        return _sample_of_table(place, *found, rows)
    places = [expanded] if is_http(expanded) or expanded.startswith("package:") else _files(expanded)
    form = _format(places[-1])
    chosen = list(dict.fromkeys((places[0], places[-1])))
    taken = _Taken(is_whole=len(chosen) == len(places), bytes=_BYTES)
    for one in chosen:
        for number, row in enumerate(_READERS[form](taken, one)):
            if number >= rows // len(chosen):
                taken.is_whole = False
                break
            taken.add(row)
    if not taken.rows:
        raise Permanent(
            f"the sample has no record{' that can be read' if taken.unread else ''}",
            where=", ".join(map(shown, chosen)),
            todo="name a place with records; of an http address, see what it delivers",
        )
    columns = tuple(taken.columns)
    return Sample(
        place=place,
        format=form,
        columns=columns,
        rows=tuple(tuple(row.get(name) for name in columns) for row in taken.rows),
        files=tuple(map(shown, chosen)),
        kinds={name: frozenset(taken.kinds.get(name, ())) for name in columns} if form == JSON_LINES else {},
        unread=dict(taken.unread),
        csv=taken.csv,
        is_whole=taken.is_whole,
    )


def expand(place: str) -> str:
    """Fill in the `${NAME}` and `${NAME:-default}` of a place from the environment."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1]) or match[2]
        if not found:
            raise Permanent(f"the place names ${{{match[1]}}}, which is not set", todo=f"set {match[1]}")
        return found

    return _VARIABLE.sub(value, place)


def last_file(place: str) -> Iterator[dict[str, str | None]]:
    """Yield the rows of a place, or of the last file of a pattern, by the source's names; not those that cannot be split."""
    last = place if is_http(place) or place.startswith("package:") else _files(place)[-1]
    yield from _READERS[_format(last)](_Taken(bytes=_ALL_BYTES), last)


def newest_date(place: str) -> str | None:
    """Return the date of the newest file of a pattern with date parts; None of any other place, or if there is no file."""
    if not _has_parts(place) or is_http(place):
        return None
    pattern, dates = _dated(place), []
    for one in _matching(place):
        found = pattern.fullmatch(one)
        parts = found.groupdict() if found else {}
        if "date" in parts:
            dates.append(parts["date"])
        elif {"year", "month", "day"} <= set(parts):
            dates.append(f"{parts['year']}-{parts['month']}-{parts['day']}")
    return max(dates, default=None)


def _has_parts(place: str) -> bool:
    return any(f"{{{name}}}" in place for name in _PARTS)


def table_of(place: str) -> tuple[str, str] | None:
    """Split CONNECTION.schema.table into the connection and the table; None if the place is no such name."""
    found = _TABLE.fullmatch(place)
    if not found or _without_packing(place).suffix in _ENDINGS or Path(place).exists():
        return None
    return found[1], f"{found[2]}.{found[3]}"


def _without_packing(place: str) -> Path:
    path = Path(place.split("?")[0] if is_http(place) else place)
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path


def _format(place: str) -> str:
    return _ENDINGS.get(_without_packing(place).suffix.lower(), CSV)


def _dated(place: str) -> re.Pattern[str]:
    """Return the pattern of the files of a place, with a group for each part of a date."""
    pattern, seen = "", set()
    for part in re.split(r"(\{\w+\}|\*)", str(Path(place).expanduser())):
        name = part.strip("{}")
        if part == "*":
            pattern += "[^/]*"
        elif part.startswith("{") and name in _PARTS:
            pattern += f"(?P={name})" if name in seen else f"(?P<{name}>{_PARTS[name]})"
            seen.add(name)
        else:
            pattern += re.escape(part)
    return re.compile(pattern)


def _matching(place: str) -> list[str]:
    """List the files of a pattern by name. A `*` and a date stand for a part of one name."""
    try:
        path, pattern = Path(place).expanduser(), _dated(place)
        parts = "|".join(_PARTS)
        wanted = re.sub(rf"(\{{({parts})\}}|\*)+", "*", re.sub(r"([\[?])", r"[\1]", str(path)))
        found = Path(path.anchor or ".").glob(wanted.removeprefix(path.anchor))
        return sorted(str(one) for one in found if one.is_file() and pattern.fullmatch(str(one)))
    except (OSError, RuntimeError, ValueError, NotImplementedError):
        return []


def _files(place: str) -> list[str]:
    """List the files of a path or pattern, the oldest name first. None is Permanent."""
    if "\0" not in place and (_has_parts(place) or "*" in place):
        if found := _matching(place):
            return found
        raise Permanent(
            "no file matches the pattern", where=shown(place), todo="correct it; {date} stands for 2026-11-01"
        )
    path = Path(place)
    try:
        path = path.expanduser()
        if path.is_file():
            return [str(path)]
        near = guess(path.name, [one.name for one in path.parent.iterdir()]) if path.parent.is_dir() else ""
    except (OSError, ValueError, RuntimeError):
        near = ""
    what = "is a folder" if path.is_dir() else f"does not exist{near}"
    raise Permanent(
        f"{shown(place)} {what}",
        todo="name a file, a pattern such as 'exports/{date}.csv', an address, or CONNECTION.schema.table",
    )


def _body(place: str, taken: _Taken) -> bytes:
    """Return the first bytes of a place, unpacked, up to its last whole line."""
    if is_http(place) or place.startswith("package:"):
        body = fetch(place)[0]
        body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    else:
        try:
            with _opened(Path(place)) as file:
                body = file.read(taken.bytes + 1)
        except (OSError, EOFError, zipfile.BadZipFile, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise Permanent(f"the file cannot be read: {why}", where=shown(place), todo="check the file") from None
    if len(body) <= taken.bytes:
        return body
    taken.is_whole = False
    return body[: body.rfind(b"\n", 0, taken.bytes) + 1]


def _opened(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path)
    if path.suffix == ".zst":
        import zstandard

        return zstandard.open(path, "rb")
    if path.suffix == ".zip":
        archive = zipfile.ZipFile(path)
        inside = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
        if not inside:
            raise ValueError("the zip holds no file")
        return archive.open(inside[0])
    return path.open("rb")


def _read_csv(taken: _Taken, place: str) -> Iterator[dict[str, str | None]]:
    body = _body(place, taken).removeprefix(b"\xef\xbb\xbf")
    dialect = _dialect(body)
    if taken.rows and dialect != taken.csv:
        raise Permanent(
            "the first and the last file are written in different ways",
            where=shown(place),
            todo="give each kind of file a dataset of its own",
        )
    taken.csv = dialect
    columns, records = _table(body, dialect, shown(place))
    for fields, reason in records:
        if reason:
            taken.unread[reason] += 1
        else:
            yield dict(zip(columns, fields, strict=True))


def _table(
    body: bytes, dialect: Mapping[str, object], where: str
) -> tuple[tuple[str, ...], Iterator[tuple[Row, str | None]]]:
    """Split a CSV: the usual one by the code that lands it, any other by its dialect."""
    if not dialect:
        table = csv_records.read(body, where)
        return table.columns, ((one.fields, one.reason) for one in table.records)
    reader = _reader(body, dialect)
    header = dialect.get("header")
    columns = tuple(header) if isinstance(header, list) else tuple(name.strip() for name in next(reader, []))
    if not columns or "" in columns or len(set(columns)) < len(columns):
        raise Permanent("the header has an empty or repeated name", where=where, todo="correct the file's first line")
    return columns, (_split(fields, len(columns)) for fields in reader if fields)


def _reader(body: bytes, dialect: Mapping[str, object]) -> Iterator[list[str]]:
    text = body.decode(str(dialect.get("encoding", "utf-8")), "replace")
    signs = str(dialect.get("delimiter", ",")), str(dialect.get("quote", '"'))
    return csv.reader(io.StringIO(text, newline=""), delimiter=signs[0], quotechar=signs[1])


def _split(fields: list[str], width: int) -> tuple[Row, str | None]:
    return tuple(one or None for one in fields), None if len(fields) == width else csv_records.RAGGED


def _dialect(body: bytes) -> dict[str, object]:
    """Say how a CSV differs from the usual one: in UTF-8, with commas and double quotes, and with a header."""
    found: dict[str, object] = {}
    if _is_other_encoding(body):
        found["encoding"] = _OTHER_ENCODING
    first = body.split(b"\n", 1)[0]
    if not (first.count(b",") >= max(first.count(sign) for sign in (b";", b"\t", b"|")) and b"," in first):
        sniffed = _sniffed(body, found)
        if sniffed["Delimiter"] != "," and len(sniffed["Columns"]) > 1:
            found["delimiter"] = sniffed["Delimiter"]
            if sniffed["Quote"] == "'":
                found["quote"] = "'"
    cells = next(_reader(body[:_HEADER_BYTES], found), [])
    if len(cells) > 1 and any(_VALUE.fullmatch(cell.strip()) for cell in cells):
        found["header"] = [f"column_{number}" for number in range(1, len(cells) + 1)]
    return found


def _is_other_encoding(body: bytes) -> bool:
    lines = [line for line in body[: 1 << 20].split(b"\n") if not line.isascii()]
    wrong = sum(_UNREADABLE in line.decode("utf-8", "replace") for line in lines)
    return bool(lines) and wrong * 2 > len(lines) and wrong > 2


_UNREADABLE = "\ufffd"


def _sniffed(body: bytes, found: Mapping[str, object]) -> dict[str, Any]:
    """Ask DuckDB for the dialect."""
    start = body[: body.rfind(b"\n", 0, 1 << 20) + 1] or body
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(start.decode(str(found.get("encoding", "utf-8")), "replace").encode())
        file.flush()
        with duckdb.connect() as connection:
            try:
                answer = connection.execute(f"from sniff_csv({literal(Path(file.name))}, ignore_errors = true)")
                (row,) = answer.fetchall()
            except duckdb.Error:
                return {"Delimiter": ",", "Quote": '"', "Columns": []}
            return dict(zip([one[0] for one in answer.description or ()], row, strict=True))


class _Number(str):
    """A number as JSON has it."""


def _read_lines(taken: _Taken, place: str) -> Iterator[dict[str, str | None]]:
    for line in _body(place, taken).splitlines():
        try:
            found = json.loads(line, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
        except ValueError:
            taken.unread["broken_json" if _is_utf8(line) else csv_records.INVALID_UTF8] += 1
            continue
        if not isinstance(found, dict):
            taken.unread["not_an_object"] += 1
            continue
        for name, value in found.items():
            taken.kinds.setdefault(name, set()).update(_kind(value))
        yield {name: _written(value) for name, value in found.items()}


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _kind(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, _Number):
        return [NUMBER if re.fullmatch(r"-?\d+", value) else FRACTION]
    kinds = {bool: BOOLEAN, dict: OBJECT, list: LIST}
    return [kinds.get(type(value), STRING)]


def _written(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    return json.dumps(value, ensure_ascii=False)


def _read_parquet(_taken: _Taken, place: str) -> Iterator[dict[str, str | None]]:
    if is_http(place):
        raise Permanent("a Parquet file is not read from an address", where=shown(place), todo="name a path")
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        try:
            answer = connection.execute(f"select columns(*)::varchar from read_parquet({literal(Path(place))})")
            names = [one[0] for one in answer.description or ()]
            while found := answer.fetchmany(_AT_ONCE):
                yield from (dict(zip(names, row, strict=True)) for row in found)
        except duckdb.Error as error:
            raise Permanent(
                f"the file is not Parquet: {str(error).splitlines()[0]}", where=shown(place), todo="check the file"
            ) from None


_READERS = {CSV: _read_csv, JSON_LINES: _read_lines, PARQUET: _read_parquet}


def _sample_of_table(place: str, connection: str, table: str, rows: int) -> Sample:
    """Read rows of a database's table, read-only."""
    from psycopg import sql

    from ingestion.home import Home
    from ingestion.sources.database_tables import database_of
    from ingestion.sources.postgres import snapshot

    address, about = database_of(connection, Home.from_environment())
    schema, name = table.split(".")
    with snapshot(address.url, about=about) as database:
        found = database.execute(_COLUMNS_OF_TABLE, [schema, name]).fetchall()
        if not found:
            raise Permanent(
                f"there is no table {table}",
                where=shown(address.url),
                todo="name CONNECTION.schema.table as the database does",
            )
        listed = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(one[0])) for one in found)
        query = sql.SQL("select {} from {}.{} limit {}")
        read = database.execute(query.format(listed, sql.Identifier(schema), sql.Identifier(name), rows + 1)).fetchall()
    return Sample(
        place=place,
        format=TABLE,
        columns=tuple(one[0] for one in found),
        rows=tuple(read[:rows]),
        files=(table,),
        is_whole=len(read) <= rows,
        key=tuple(one[0] for one in sorted(found, key=lambda one: one[1] or 0) if one[1]),
    )


_COLUMNS_OF_TABLE = """
    select attribute.attname, array_position(key.conkey, attribute.attnum)
    from pg_attribute as attribute
    inner join pg_class as class on class.oid = attribute.attrelid
    inner join pg_namespace as namespace on namespace.oid = class.relnamespace
    left join pg_constraint as key on key.conrelid = class.oid and key.contype = 'p'
    where namespace.nspname = %s and class.relname = %s and attribute.attnum > 0 and not attribute.attisdropped
    order by attribute.attnum
"""
