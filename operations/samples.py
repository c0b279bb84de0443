"""Read a bounded sample of a source that no contract describes yet: exact texts, by the source's own names.

Places are listed, unpacked and split into records by the code that lands them, so a sample sees what a landing would. Of files,
the first and the last one that a pattern means are read, or a few of each if they are small, up to a number of rows and bytes in all. A row that cannot be split
into columns is counted by the reason for which landing would make it a dead letter.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.addresses import is_http, shown
from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.fields import guess
from ingestion.file_settings import COMMAS, Dialect, parts_of
from ingestion.home import Home
from ingestion.names import steps_of, text_in_raw
from ingestion.sources import avro_records, csv_records, files, locations, parquet_records, places, s3
from ingestion.sources.copied import Copied, copy
from ingestion.sources.csv_records import Table
from ingestion.sources.database_tables import database_of
from ingestion.sources.lines import LineFile, Unreadable, compression_of
from ingestion.sources.locations import Found
from ingestion.sources.postgres import snapshot
from ingestion.times import joined
from operations.dialects import differences, guess_dialect
from operations.guesses import BOOLEAN, FRACTION, LIST, NUMBER, OBJECT, STRING, TEXT
from operations.leaves import find_leaves

ROWS = 100_000
_BYTES = 32 << 20
# Lines take so many times the memory of other rows.
_OF_LINES = 2
CSV, JSON_LINES, PARQUET, AVRO, TABLE = "csv", "json_lines", "parquet", "avro", "table"
# What the end of a name says of a file. A file of any other name is looked into.
_ENDINGS = {
    **dict.fromkeys((".csv", ".tsv"), CSV),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), JSON_LINES),
    **dict.fromkeys((".parquet", ".pq"), PARQUET),
    ".avro": AVRO,
}
_OTHER_ENDINGS = (".txt", ".zip")
_PACKED = (".gz", ".zst")
_WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")
_TABLE = re.compile(r"([A-Za-z_]\w*)\.([A-Za-z_][\w$ -]*)\.([A-Za-z_][\w$ -]*)")
# Such a table is large enough to take its rows from all of it, and not from its start.
_LARGE = 2
_FEWEST_ROWS = 1000
# So many files are looked at for one that has bytes, and read if they have no more bytes together.
_LOOKED_AT = 5
_SMALL = 256 << 10
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Sample:
    """Rows of a source as texts, and what is known of it. `kinds` are the kinds of JSON values of each column.

    `labels` are the words of columns that are paths into a line; `left_out` are paths beyond what is proposed. `unread` counts
    the rows that cannot be split into columns, by reason. `csv` says how a file differs from the usual CSV. `key` is a table's
    own primary key, and `days` are those of the first and the last file, if the location has them.
    """

    place: str
    format: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    files: tuple[str, ...] = ()
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)
    csv: Mapping[str, object] = field(default_factory=dict)
    is_whole: bool = True
    key: tuple[str, ...] = ()
    days: tuple[str, str] | None = None

    def kinds_of(self, column: str) -> frozenset[str]:
        return self.kinds.get(column, frozenset() if self.kinds else frozenset({TEXT}))


def read_sample(place: str, rows: int = ROWS, each: str = "") -> Sample:
    """Read a sample of a place: of any location that a contract may have, or CONNECTION.schema.table.

    `each` is the path of the list in a line of which each element is a record. A place that has nothing to read is Permanent.
    """
    location = locations.resolved(place, "the place")
    if found := table_of(location):
        _check_has_lists("", each)
        return _sample_of_table(place, *found, rows)
    ends = _ends(location)
    found_files, days = [file for file, _ in ends], [day for _, day in ends]
    with ExitStack() as opened:
        begun = [_Begun.of(file.place, _BYTES // len(found_files), opened, each) for file in found_files]
        _check_alike(begun)
        _check_has_lists(begun[0].format, each)
        if begun[0].format == JSON_LINES:
            taken = _read_lines(begun, rows // len(begun), each)
        else:
            taken = _READERS[begun[0].format](begun, rows // len(begun))
    is_whole = (
        taken.is_whole
        and all(one.is_all for one in begun)
        and len(list(islice(locations.of_any_time(location), 3))) <= len(begun)
    )
    where = tuple(shown(file.place) for file in found_files)
    if not taken.rows:
        raise Permanent(
            f"the sample has no record{' that can be read' if taken.unread else ''}",
            where=", ".join(where),
            todo="name a place with records; of an http address, see what it delivers",
        )
    if (ragged := taken.unread[csv_records.RAGGED]) > len(taken.rows):
        raise Permanent(
            f"{ragged:,} of {ragged + len(taken.rows):,} rows have more or fewer columns than the first line names",
            where=", ".join(where),
            todo="deliver the file with its header as the first line, without a title before it",
        )
    columns = taken.columns or tuple(dict.fromkeys(chain.from_iterable(taken.rows)))
    return Sample(
        place=place,
        format=begun[0].format,
        columns=columns,
        rows=tuple(tuple(row.get(name) for name in columns) for row in taken.rows),
        files=where,
        kinds={name: frozenset(taken.kinds.get(name, ())) for name in columns} if taken.kinds else {},
        labels=taken.labels,
        left_out=taken.left_out,
        unread=dict(taken.unread),
        csv=differences(taken.dialect),
        days=(days[0], days[-1]) if days[0] and days[-1] else None,
        is_whole=is_whole,
    )


def table_of(place: str) -> tuple[str, str] | None:
    """Split CONNECTION.schema.table into the connection and the table; None if the place is no such name."""
    found = _TABLE.fullmatch(place)
    suffix = _without_packing(place).suffix
    if not found or suffix in (*_ENDINGS, *_OTHER_ENDINGS, *_WORKBOOKS) or Path(place).exists():
        return None
    return found[1], f"{found[2]}.{found[3]}"


def newest_date(location: str) -> str | None:
    """Return the day of the newest file of a location with a date in it; None of any other location, or if there is no file."""
    if not locations.is_dated(location) or is_http(location):
        return None
    return next((day for _, day in locations.of_any_time(location, newest_first=True)), None)


def last_texts(contract: Contract, location: str, column: str) -> Iterator[str]:
    """Yield the texts of a column of a contract in the last file of its location, as the source has them."""
    found = next((file for file, _ in locations.of_any_time(location, newest_first=True)), None)
    if not found:
        raise Permanent("no file is there", where=shown(location), todo="check `location` in the contract")
    if contract.format == JSON_LINES:
        yield from _texts_in_lines(found.place, contract, column)
        return
    body = places.fetch(found.place)[0]
    table = files.read(body, found.place, contract.settings)
    # a file with a column per kind has its dates in the first one
    first = table.columns[: bool(contract.settings.unpivot)]
    at = contract.places(column, table.columns) or tuple(range(len(first)))
    yield from (text for one in table.records if not one.reason if (text := joined(one.fields[place] for place in at)))


def _texts_in_lines(place: str, contract: Contract, column: str) -> Iterator[str]:
    import duckdb

    with TemporaryDirectory(prefix="clearwell-") as folder, duckdb.connect() as connection:
        path = Path(place).expanduser()
        if not locations.is_path(place):
            path = Path(folder) / "copy"
            places.copy(place, path)
        try:
            for lines in LineFile(path, compression_of(path), contract.each).tables(""):
                connection.register("lines", lines.select(["raw"]))
                said = contract.column(column)
                parts: list[tuple[str, ...]] = [(one,) for one in said.joined] if said else []
                parts = parts or [contract.at_source(column)]
                texts = ", ".join(text_in_raw(names) for names in parts)
                found = f"select distinct {texts} from lines where json_valid(raw)"
                yield from (text for row in connection.execute(found).fetchall() if (text := joined(row)))
        except (OSError, Unreadable) as error:
            raise Permanent(f"the file cannot be read: {error}", where=shown(place), todo="check the file") from None


def _without_packing(place: str) -> Path:
    path = Path(place.split("?")[0] if is_http(place) else place)
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path


def _ends(location: str) -> list[tuple[Found, str | None]]:
    """Return the first and the last files of a location, by time and name, with their days. None is Permanent."""
    is_address = is_http(location)
    if is_address and parts_of(location):
        raise Permanent(
            "an address cannot be listed, so a sample cannot find a day that it has",
            where=shown(location),
            todo="name the address of one day, and write {date} into `location` of the contract afterwards",
        )
    try:
        found = [
            *_first_with_bytes(location, newest_first=False),
            *reversed(_first_with_bytes(location, newest_first=True)),
        ]
    except (OSError, ValueError, RuntimeError):
        found = []
    if files := list(dict.fromkeys(found)):
        if locations.is_path(location) and Path(files[0][0].place).expanduser().is_dir():
            raise _nothing_at(location)
        return files
    if parts_of(location) or locations.has_wildcard(location):
        raise Permanent(
            "no file matches the pattern", where=shown(location), todo="correct it; {date} stands for 2026-11-01"
        )
    raise _nothing_at(location)


def _first_with_bytes(location: str, *, newest_first: bool) -> list[tuple[Found, str | None]]:
    """Return the first file that is not empty, of some, and those after it while they are small together; else the first one."""
    some = list(islice(locations.of_any_time(location, newest_first=newest_first), _LOOKED_AT))
    filled = [one for one in some if one[0].size]
    sizes = accumulate(one[0].size for one in filled)
    small = [one for one, size in zip(filled, sizes, strict=True) if 0 < size <= _SMALL]
    return small or filled[:1] or some[:1]


def _nothing_at(location: str) -> Permanent:
    what, near = "does not exist", ""
    if locations.is_path(location):
        path = Path(location)
        try:
            path = path.expanduser()
            near = guess(path.name, [one.name for one in path.parent.iterdir()]) if path.parent.is_dir() else ""
            what = "is a folder" if path.is_dir() else f"does not exist{near}"
        except (OSError, ValueError, RuntimeError):
            pass
    return Permanent(
        f"{shown(location)} {what}",
        todo="name a file, a pattern such as 'exports/{date}.csv', an address, or CONNECTION.schema.table",
    )


@dataclass(frozen=True)
class _Begun:
    """The beginning of a file, unpacked, up to the end of a line, and whether that is all of it. Parquet and Avro are tables instead."""

    place: str
    format: str
    body: bytes
    is_all: bool
    table: Table | None = None

    @classmethod
    def of(cls, place: str, size: int, opened: ExitStack, each: str = "") -> "_Begun":
        if _without_packing(place).suffix.lower() in _WORKBOOKS:
            raise Permanent(
                "a workbook is not read",
                where=shown(place),
                todo="save its sheet as CSV in UTF-8, or have it exported so",
            )
        body, is_all = places.begin(place, size)
        form = _format(place, body, each)
        if form == PARQUET:
            return cls(place, form, b"", True, parquet_records.read(_open_parquet(place, opened), shown(place)))
        if form == AVRO:
            return cls(place, form, b"", True, avro_records.read(places.fetch(place)[0], shown(place)))
        if form == JSON_LINES and _without_packing(place).suffix.lower() == ".zip":
            raise Permanent(
                "a zip of lines is not read",
                where=shown(place),
                todo="deliver the lines plain, or compressed by gzip or zstd",
            )
        if form == JSON_LINES and len(body) > size // _OF_LINES:
            body, is_all = body[: size // _OF_LINES], False
        return cls(place, form, body if is_all else _whole_lines(body), is_all)


def _format(place: str, body: bytes, each: str) -> str:
    by_name = _ENDINGS.get(_without_packing(place).suffix.lower())
    if by_name == PARQUET or parquet_records.is_parquet(body, place):
        return PARQUET
    if avro_records.is_avro(body, place):
        return AVRO
    first = body.lstrip().partition(b"\n")[0].decode(errors="replace")
    is_list = first.startswith("[") and isinstance(_json(first.encode()), list)
    if each and is_list:
        return JSON_LINES
    if (by_name == JSON_LINES and first.strip() in ("[", "{")) or first.startswith("[{"):
        made = (
            "`jq -c '.[]' FILE` makes them of a list of records"
            if first.startswith("[")
            else "`jq -c . FILE` makes them of records that follow one another"
        )
        raise Permanent(
            "the file is one JSON document, and not one record per line",
            where=shown(place),
            todo=f"have it delivered as JSON lines; {made}"
            if not is_list
            else "make a record of each element of its list: --each '$'; or of a list below, such as --each '$.items'",
        )
    return by_name or (JSON_LINES if isinstance(_json(first.encode()), dict) else CSV)


def _open_parquet(place: str, opened: ExitStack) -> bytes | pa.NativeFile:
    """Open a Parquet file, so that only its end and the rows that are wanted are read. One that is packed is read whole."""
    if s3.is_s3(place):
        return opened.enter_context(s3.opened(place))
    if locations.is_path(place) and Path(place).suffix.lower() not in (*_PACKED, ".zip"):
        return opened.enter_context(pa.OSFile(str(Path(place).expanduser()), "rb"))
    return places.fetch(place)[0]


def _whole_lines(body: bytes) -> bytes:
    """Return the lines of which a body has the end."""
    width = _WIDTHS.get(csv_records.encoding_by_mark(body) or "", 1)
    end = body.rfind(b"\n")
    while end >= 0:
        start = end - end % width
        if body[start : start + width].strip(b"\0") == b"\n" and start + width <= len(body):
            return body[: start + width]
        end = body.rfind(b"\n", 0, end)
    return b""


# The bytes of a character, where it is more than one.
_WIDTHS = {"utf-16": 2, "utf-32": 4}


def _check_alike(begun: list[_Begun]) -> None:
    if len({one.format for one in begun}) > 1:
        raise _different(begun)


def _different(begun: list[_Begun]) -> Permanent:
    return Permanent(
        "the first and the last file are written in different ways",
        where=", ".join(shown(one.place) for one in begun),
        todo="give each kind of file a dataset of its own",
    )


@dataclass
class _Taken:
    """What was read of some files."""

    rows: list[dict[str, str | None]] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    kinds: dict[str, set[str]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    unread: Counter[str] = field(default_factory=Counter)
    dialect: Dialect = COMMAS
    is_whole: bool = True

    def add(self, table: Table, rows: int) -> None:
        """Take so many rows of a table. Those that cannot be split into columns are counted."""
        read = 0
        for record in table.records:
            if read == rows:
                self.is_whole = False
                break
            if record.reason:
                self.unread[record.reason] += 1
            else:
                read += 1
                self.rows.append(dict(zip(table.columns, record.fields, strict=False)))


def _read_csv(begun: list[_Begun], rows: int) -> _Taken:
    taken = _Taken(dialect=_one_dialect(begun))
    for one in begun:
        taken.add(csv_records.read(one.body, shown(one.place), taken.dialect), rows)
    return taken


def _one_dialect(begun: list[_Begun]) -> Dialect:
    """Guess the dialect of files that have one. A file of ASCII alone is in any encoding that another one is in."""
    found = [guess_dialect(one.body, shown(one.place)) for one in begun]
    for dialect in found:
        if all(
            other == dialect or (replace(other, encoding=dialect.encoding) == dialect and one.body.isascii())
            for one, other in zip(begun, found, strict=True)
        ):
            return dialect
    raise _different(begun)


class _Number(str):
    """A number as JSON has it."""


def _check_has_lists(format: str, each: str) -> None:
    if each and format != JSON_LINES:
        raise Permanent("only lines of JSON have lists", where=each, todo="leave out --each")


def _read_lines(begun: list[_Begun], rows: int, each: str) -> _Taken:
    taken = _Taken()
    lines: list[dict[str, Any]] = []
    for one in begun:
        found = list(islice(_objects(one.body, taken.unread, each), rows + 1))
        taken.is_whole &= len(found) <= rows
        lines += found[:rows]
    leaves = find_leaves(lines)
    taken.columns, taken.labels, taken.left_out = leaves.columns, leaves.labels, leaves.left_out
    for row in leaves.rows:
        for name, value in row.items():
            taken.kinds.setdefault(name, set()).update(_kind(value))
        taken.rows.append({name: _written(value) for name, value in row.items()})
    return taken


def _objects(body: bytes, unread: Counter[str], each: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of lines, and count the other lines by the reason for which they are refused.

    Of lines with a list at the path `each`, yield one for each of its elements, and none of lines without one.
    """
    lines = body.split(b"\n")
    for line in lines[: len(lines) - (not lines[-1])]:
        try:
            found = _json(line)
        except UnicodeDecodeError:
            unread[csv_records.INVALID_UTF8] += 1
            continue
        for record in found if each and isinstance(found, list) else [found]:
            if isinstance(record, dict):
                yield from (_elements(record, steps_of(each)) or []) if steps_of(each) else [record]
            else:
                unread["broken_json" if record is _BROKEN else "not_an_object"] += 1


def _elements(value: Any, steps: tuple[str, ...]) -> list[Any] | None:
    """Return a value once for each element of the lists below some names, with the element in its place; None if it has none."""
    if isinstance(value, list):
        found = [(one, _elements(one, steps) if steps else [one]) for one in value]
        return [piece for one, pieces in found for piece in (pieces or [])] if found else None
    if not isinstance(value, dict) or not steps:
        return None
    below = _elements(value.get(steps[0]), steps[1:])
    return None if below is None else [{**value, steps[0]: one} for one in below]


_BROKEN = object()


def _json(line: bytes) -> Any:
    """Return what a line says, with its numbers as it writes them; `_BROKEN` if it is no JSON."""
    try:
        return json.loads(line.decode(), parse_float=_Number, parse_int=_Number, parse_constant=_refuse)
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError):
        return _BROKEN


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


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


def _read_tables(begun: list[_Begun], rows: int) -> _Taken:
    taken = _Taken()
    for one in begun:
        if one.table:
            taken.add(one.table, rows)
    return taken


_READERS = {CSV: _read_csv, PARQUET: _read_tables, AVRO: _read_tables}


def _sample_of_table(place: str, connection: str, table: str, rows: int) -> Sample:
    """Read rows of a database's table, read-only, by the code that lands them: of a large table, random ones."""
    from psycopg import sql

    address, about = database_of(connection, Home.from_environment())
    schema, name = table.split(".")
    with snapshot(address.url, about=about) as database, TemporaryDirectory(prefix="clearwell-") as folder:
        found = database.execute(_COLUMNS_OF_TABLE, [schema, name]).fetchall()
        if not found:
            others = database.execute(_TABLES_OF_DATABASE).fetchall()
            raise Permanent(
                f"there is no table {table}{guess(table, [other for (other,) in others])}",
                where=shown(address.url),
                todo="name CONNECTION.schema.table as the database does",
            )
        ((about_rows, size),) = database.execute(_SIZE_OF_TABLE, [schema, name]).fetchall()
        if size:
            rows = min(rows, max(_FEWEST_ROWS, int(_BYTES * about_rows // size)))
        named = sql.Identifier(schema, name)
        first = sql.SQL("select * from {} limit {}").format(named, rows + 1)
        queries = [first]
        if about_rows > _LARGE * rows:
            percent = min(100.0, 110.0 * rows / about_rows)
            # the same rows each time: a sample says the same of the same table
            some = sql.SQL("select * from {} tablesample system ({}) repeatable (1) limit {}")
            queries = [some.format(named, sql.Literal(percent), rows), first]
        for number, query in enumerate(queries):
            into = Path(folder) / str(number)
            into.mkdir()
            copied = copy(database, into, query.as_string(database), table=table, key=())
            is_sample = query is not first
            if not is_sample or 2 * copied.records >= rows:
                break
        read = [row for file in copied.files for row in _rows_of(into / file.name, copied)]
    return Sample(
        place=place,
        format=TABLE,
        columns=copied.columns,
        rows=tuple(read[:rows]),
        files=(table,),
        kinds={one[0]: frozenset({BOOLEAN if one[2] else TEXT}) for one in found},
        is_whole=not is_sample and len(read) <= rows,
        key=tuple(one[0] for one in sorted(found, key=lambda one: one[1] or 0) if one[1]),
    )


def _rows_of(path: Path, copied: Copied) -> Iterator[Row]:
    names = [copied.renamed.get(name, name) for name in copied.columns]
    for batch in pq.ParquetFile(path).iter_batches():
        yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)


_COLUMNS_OF_TABLE = """
    select attribute.attname, array_position(key.conkey, attribute.attnum), attribute.atttypid = 'boolean'::regtype
    from pg_attribute as attribute
    inner join pg_class as class on class.oid = attribute.attrelid
    inner join pg_namespace as namespace on namespace.oid = class.relnamespace
    left join pg_constraint as key on key.conrelid = class.oid and key.contype = 'p'
    where namespace.nspname = %s and class.relname = %s and attribute.attnum > 0 and not attribute.attisdropped
    order by attribute.attnum
"""
_TABLES_OF_DATABASE = """
    select namespace.nspname || '.' || class.relname
    from pg_class as class
    inner join pg_namespace as namespace on namespace.oid = class.relnamespace
    where class.relkind in ('r', 'v', 'm', 'p', 'f') and namespace.nspname not in ('pg_catalog', 'information_schema')
"""
# About how many rows a table has, and their bytes: of partitions together, 0 of a view. One that was never analyzed
# has rows of 100 bytes.
_SIZE_OF_TABLE = """
    with recursive parts as (
        select class.oid from pg_class as class inner join pg_namespace as namespace on namespace.oid = class.relnamespace
        where namespace.nspname = %s and class.relname = %s and class.relkind in ('r', 'm', 'p')
        union all
        select inhrelid from pg_inherits inner join parts on inhparent = parts.oid
    )

    select
        coalesce(sum(case when reltuples < 0 then pg_relation_size(oid) / 100 else reltuples end), 0)::bigint,
        coalesce(sum(pg_table_size(oid)), 0)::bigint
    from pg_class where oid in (select oid from parts) and relkind <> 'p'
"""
