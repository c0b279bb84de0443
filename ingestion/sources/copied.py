"""Write a Postgres COPY as Parquet. Every value is kept as the database's own text, byte for byte.

A value that is not UTF-8 does not fail the run: its bytes are kept beside an escaped text, and the row is reported.
"""

import codecs
import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import errors
from pyarrow import csv as arrow_csv

from ingestion.errors import Permanent
from ingestion.manifest import File
from ingestion.names import NOT_UTF8, physical_names, renamed
from ingestion.parquet import PartWriter
from ingestion.sources.deadlines import Rows
from ingestion.sources.pages import FIRST_LINE, Pages, Row

CHUNK_BYTES = 8 << 20
Bad = dict[str, bytes]
_BYTES_BY_COLUMN = pa.map_(pa.string(), pa.binary())
# COPY quotes a value that holds a quote, a comma or the end of a line.
_CELL = re.compile(rb'("[^"]*(?:""[^"]*)*"|[^,\n]*)[,\n]')
_NAMED_ROWS = 10
# The errors of a database that cannot convert a text to UTF-8, and the encoding of one that never checked its texts.
NOT_TEXT = (errors.CharacterNotInRepertoire, errors.UntranslatableCharacter, UnicodeDecodeError)


@dataclass(frozen=True)
class Copied:
    """The result of a query: its columns, those renamed in Parquet, and the files with their numbers of rows.

    `sha256` is of all bytes that the database sent; `messages` name the rows that are not UTF-8. `sent` is how many rows the
    database says that it sent; None if it does not say, or was asked for pages.
    """

    columns: tuple[str, ...]
    renamed: dict[str, str]
    files: tuple[File, ...]
    records: int
    sha256: str
    messages: tuple[str, ...] = ()
    sent: int | None = None


def copy(
    connection: psycopg.Connection[Any],
    folder: Path,
    query: str,
    values: Any = None,
    *,
    table: str,
    key: Sequence[str],
    more: Mapping[str, str] = MappingProxyType({}),
    pages: Pages | None = None,
) -> Copied:
    """Write the result of a query as Parquet to a folder. The connection must be in a snapshot transaction.

    With `pages`, they are read one after the other, and sort the rows. `more` are columns that the database does not have, each with the value of every row; the checksum is not of them.

    The database converts to UTF-8. Where it cannot, or never checked its texts, the query runs again for the raw bytes.
    A row that is not UTF-8 is reported by `table` and its values of `key`.
    """
    try:
        with connection.transaction():
            return _run(connection, folder, query.encode(), values, more, pages)
    except NOT_TEXT:
        codec = codec_of(connection, table)
    odd = Odd(table, tuple(key), codec)
    with connection.transaction():
        _set_client_encoding(connection, "SQL_ASCII")  # no conversion at all
        copied = _run(connection, folder, query.encode(codec), values, more, pages, odd)
        _set_client_encoding(connection, "UTF8")
    return replace(copied, messages=odd.messages())


def write(
    folder: Path, rows: Iterable[Row], odd: "Odd | None" = None, more: Mapping[str, str] = MappingProxyType({})
) -> Copied:
    """Write the rows of a COPY in CSV with a header. A row that is not UTF-8 raises UnicodeDecodeError and leaves no file.

    With `odd` the rows are in its encoding, and it takes the bytes of those that cannot be decoded.
    """
    rows = odd.decoded(rows) if odd else iter(rows)
    header = bytes(next(rows))
    columns = tuple(next(csv.reader(io.StringIO(header.decode(), newline="\n"))))
    there = len(columns)
    columns = (*columns, *more)
    names = list(physical_names(columns).values())
    whole = pa.schema([(name, pa.string()) for name in names])
    schema = pa.schema(list(whole)[:there])
    own = [pa.field(NOT_UTF8, _BYTES_BY_COLUMN)] if odd else []
    writer = PartWriter(folder, pa.schema([*whole, *own]), dictionary=names)

    def add(chunk: bytearray) -> None:
        table = _parse(chunk, schema)
        for one, value in zip(list(whole)[there:], more.values(), strict=True):
            table = table.append_column(one, pa.repeat(value, table.num_rows))
        writer.add(table.append_column(own[0], odd.column(writer.records, table.num_rows)) if odd else table)

    digest = hashlib.sha256(header)
    writer.begin()
    try:
        with ThreadPoolExecutor(1) as second:
            behind: Future[None] | None = None
            for chunk in _chunks(rows):
                digest.update(memoryview(chunk)[len(FIRST_LINE) :])
                if behind:
                    behind.result()
                behind = second.submit(add, chunk)
            if behind:
                behind.result()
    except BaseException:
        writer.drop()
        raise
    writer.keep()
    if odd:
        digest.update(repr(sorted(odd.bad.items())).encode())
    return Copied(columns, renamed(columns), writer.finish(), writer.records, digest.hexdigest())


def _run(
    connection: psycopg.Connection[Any],
    folder: Path,
    query: bytes,
    values: Any,
    more: Mapping[str, str],
    pages: Pages | None,
    odd: "Odd | None" = None,
) -> Copied:
    if pages:
        with pages.read(connection, folder, query, values, odd.codec if odd else "utf-8") as sorted_rows:
            return write(folder, sorted_rows, odd, more)
    with connection.cursor().copy(b"copy (" + query + b") to stdout (format csv, header)", values) as copying:
        rows = Rows(copying)
        return replace(write(folder, rows, odd, more), sent=rows.sent)


@dataclass
class Odd:
    """Decode the rows of a COPY one by one, and keep the bytes of each value that is not in the encoding, by row number."""

    table: str
    key: tuple[str, ...]
    codec: str
    bad: dict[int, Bad] = field(default_factory=dict)
    named: list[str] = field(default_factory=list)

    def decoded(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows in UTF-8, the header first."""
        columns: list[str] = []
        for number, row in enumerate(map(bytes, rows)):
            try:
                text = row.decode(self.codec)
            except UnicodeDecodeError:
                # Cell by cell: a fault in one must not affect the next.
                cells = _CELL.findall(row)
                texts = [as_text(cell, self.codec) for cell in cells]
                text = ",".join(texts) + "\n"
                if number:
                    wrong = [name for name, cell in zip(columns, cells, strict=True) if not _decodes(cell, self.codec)]
                    self._keep(
                        number, dict(zip(columns, cells, strict=True)), dict(zip(columns, texts, strict=True)), wrong
                    )
            if not number:
                columns = next(csv.reader(io.StringIO(text, newline="\n")))
            yield text.encode()

    def _keep(self, number: int, cells: Bad, texts: dict[str, str], wrong: list[str]) -> None:
        self.bad[number] = {name: _unquoted(cells[name]) for name in wrong}
        if len(self.named) < _NAMED_ROWS:
            key = ", ".join(f"{name} {texts.get(name)}" for name in self.key)
            self.named.append(f"{self.table}: {key}: {', '.join(wrong)} is not {self.codec}")

    def column(self, before: int, count: int) -> pa.Array:
        """Return the bytes kept of the rows after a number."""
        rows = [self.bad.get(before + place) for place in range(1, count + 1)]
        return pa.array([row and list(row.items()) for row in rows], _BYTES_BY_COLUMN)

    def messages(self) -> tuple[str, ...]:
        """Name the first rows that could not be decoded, and say how many there are."""
        more = len(self.bad) - len(self.named)
        return (*self.named, *([f"{self.table}: {more:,} more rows are not {self.codec}"] if more else []))


def as_text(value: bytes, codec: str) -> str:
    """Return a value as bronze holds it: a byte outside the encoding becomes `\\x` and two digits."""
    return value.decode(codec, "backslashreplace")


def _decodes(cell: bytes, codec: str) -> bool:
    try:
        cell.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _unquoted(cell: bytes) -> bytes:
    return cell[1:-1].replace(b'""', b'"') if cell.startswith(b'"') else cell


def codec_of(connection: psycopg.Connection[Any], table: str) -> str:
    """Return Python's name of the database's encoding; UTF-8 if the database does not know its encoding."""
    row = connection.execute("show server_encoding").fetchone()
    encoding = str(row[0]) if row else ""
    name = {"SQL_ASCII": "utf-8", "KOI8R": "koi8-r", "KOI8U": "koi8-u"}.get(encoding, encoding.replace("WIN", "cp"))
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise Permanent(
            f"the database holds a text in {encoding} that cannot be converted to UTF-8",
            where=table,
            todo="find the text by its bytes, which the database's log names, and correct it",
        ) from None


def _set_client_encoding(connection: psycopg.Connection[Any], encoding: str) -> None:
    connection.execute("select set_config('client_encoding', %s, true)", (encoding,))


def _parse(chunk: bytearray, schema: pa.Schema) -> pa.Table:
    """Parse whole rows of CSV as text: unquoted and empty is null, quoted and empty is an empty text."""
    try:
        return arrow_csv.read_csv(
            pa.py_buffer(chunk),
            read_options=arrow_csv.ReadOptions(
                skip_rows=1, column_names=schema.names, block_size=len(chunk) + 1, use_threads=False
            ),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=arrow_csv.ConvertOptions(
                column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        bytes(chunk).decode()  # raises the reason, if this is it
        raise


def _chunks(rows: Iterable[Row]) -> Iterator[bytearray]:
    """Gather rows into chunks. The protocol sends one row per message, so no row is cut."""
    chunk = bytearray(FIRST_LINE)
    for row in rows:
        chunk += row
        if len(chunk) >= CHUNK_BYTES:
            yield chunk
            chunk = bytearray(FIRST_LINE)
    if len(chunk) > len(FIRST_LINE):
        yield chunk
