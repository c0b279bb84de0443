"""Read a query in pages, each in a short statement of one snapshot, and give the rows that one COPY would give.

A page begins after the last key of the page before, in the order of a unique index, so that the index serves and no row is in two
pages or in none. The rows are kept on disk, and sorted at the end as the COPY sorts them: they are the same bytes, and so the
same batch. The database counts each page by its first and last key, and not by its number of rows.
"""

import codecs
import csv
import io
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from ingestion import database
from ingestion.sources.deadlines import Rows

Row = bytes | bytearray | memoryview
# Rows are written to disk in groups of about this size.
GROUP_BYTES = 8 << 20
_ROWS_AT_ONCE = 10_000
# The encodings whose bytes are in the order of UTF-8's.
_IN_ORDER = ("UTF8", "SQL_ASCII", "LATIN1")
# Arrow drops a byte order mark at the start of its input: this line takes its place there, and is skipped.
FIRST_LINE = b"-\n"


@dataclass(frozen=True)
class KeyColumn:
    """A column of a unique index: its name, its expression in SQL as the index orders it, and its type; % is doubled in SQL."""

    name: str
    sql: str
    type: str


@dataclass
class Pages:
    """Read pages of so many `rows` in the order of an index's columns, `by`; they are sorted by the text of the columns `key`.

    `padded` are those of them that a COPY fills with blanks, and a cast to text does not. `counted` is how many rows the database
    counted in the pages.
    """

    rows: int
    by: Sequence[KeyColumn]
    key: Sequence[str]
    padded: Collection[str] = ()
    counted: int = 0

    @contextmanager
    def read(
        self, connection: psycopg.Connection[Any], folder: Path, query: bytes, values: Any, codec: str
    ) -> Iterator[Iterator[Row]]:
        """Yield the rows of a query as a COPY in CSV sends them, the header first; `query` is in the connection's encoding."""
        self.counted = 0
        with TemporaryDirectory(dir=folder, prefix="pages-") as spilled:
            kept = _Kept(Path(spilled), self, codec, _sorting_codec(connection, codec))
            after, is_full = b"true", True
            while is_full:
                before = kept.rows
                last = self._read_page(connection, query, values, after, codec, kept)
                is_full = kept.rows - before == self.rows
                within = after + b" and " + self._than("<=", last, codec) if last and is_full else after
                self.counted += _count(connection, query, values, within)
                after = self._than(">", last, codec) if last else after
            yield kept.sorted()

    def _read_page(
        self, connection: psycopg.Connection[Any], query: bytes, values: Any, after: bytes, codec: str, kept: "_Kept"
    ) -> Sequence[bytes] | None:
        order = ", ".join(one.sql for one in self.by).encode(codec)
        page = b"select * from (%b) as clearwell_rows where %b order by %b limit %d" % (query, after, order, self.rows)
        with connection.cursor().copy(b"copy (" + page + b") to stdout (format csv, header)", values) as rows:
            return kept.add(map(bytes, Rows(rows)))

    def _than(self, sign: str, last: Sequence[bytes], codec: str) -> bytes:
        """Compare a row's place in the index with that of a row."""
        columns = ", ".join(one.sql for one in self.by).encode(codec)
        texts = [
            b"'" + text.replace(b"'", b"''").replace(b"%", b"%%") + b"'::" + one.type.encode(codec)
            for one, text in zip(self.by, last, strict=True)
        ]
        return b"(%b) %b (%b)" % (columns, sign.encode(), b", ".join(texts))


def _count(connection: psycopg.Connection[Any], query: bytes, values: Any, where: bytes) -> int:
    row = connection.execute(
        b"select count(*) from (%b) as clearwell_rows where %b" % (query, where), values
    ).fetchone()
    return int(row[0]) if row else 0


def _sorting_codec(connection: psycopg.Connection[Any], codec: str) -> str | None:
    """Return the encoding in which texts must be compared to be in the server's own order; None if the one that they have will do."""
    encoding = str(connection.info.parameter_status("server_encoding") or "UTF8")
    if encoding in _IN_ORDER or codec != "utf-8":
        return None
    name = {"KOI8R": "koi8-r", "KOI8U": "koi8-u"}.get(encoding, encoding.replace("WIN", "cp"))
    with suppress(LookupError):
        return codecs.lookup(name).name
    return None


class _Kept:
    """The rows of all pages on disk, each beside its key."""

    def __init__(self, folder: Path, pages: Pages, codec: str, sorted_in: str | None) -> None:
        self.rows = 0
        self._folder, self._pages, self._codec, self._sorted_in = folder, pages, codec, sorted_in
        self._path = folder / "rows.parquet"
        self._key = [f"key_{place}" for place in range(len(pages.key))]
        self._schema = pa.schema([("row", pa.binary()), *((name, pa.binary()) for name in self._key)])
        self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        self._header = b""

    def add(self, rows: Iterator[bytes]) -> Sequence[bytes] | None:
        """Keep the rows of a page, the header first; return the values of the index's columns in its last row."""
        self._header = next(rows)
        group, size, last = list[bytes](), 0, None
        for row in rows:
            group.append(row)
            size += len(row)
            if size >= GROUP_BYTES:
                last, group, size = self._write(group), [], 0
        return self._write(group) if group else last

    def _write(self, group: Sequence[bytes]) -> Sequence[bytes]:
        pages = self._pages
        columns = next(csv.reader(io.StringIO(self._header.decode(self._codec), newline="\n")))
        places = {name: str(columns.index(name)) for name in (*pages.key, *(one.name for one in pages.by))}
        options = arrow_csv.ConvertOptions(
            include_columns=list(dict.fromkeys(places.values())),
            column_types={place: pa.binary() for place in places.values()},
            strings_can_be_null=False,
        )
        rows = arrow_csv.read_csv(
            pa.py_buffer(FIRST_LINE + b"".join(group)),
            read_options=arrow_csv.ReadOptions(
                skip_rows=1,
                column_names=[str(place) for place in range(len(columns))],
                block_size=sum(map(len, group)) + len(FIRST_LINE) + 1,
                use_threads=False,
            ),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=options,
        )
        texts = [self._in_order(rows.column(places[name]), name) for name in pages.key]
        self._writer.write_table(pa.Table.from_arrays([pa.array(group, pa.binary()), *texts], schema=self._schema))
        self.rows += len(group)
        return [rows.column(places[one.name])[-1].as_py() for one in pages.by]

    def _in_order(self, values: pa.ChunkedArray, name: str) -> pa.Array:
        """Return a key's values as bytes that are in the order of the server's."""
        texts: list[bytes] = values.to_pylist()
        if name in self._pages.padded:
            texts = [one.rstrip(b" ") for one in texts]
        if self._sorted_in:
            texts = [one.decode().encode(self._sorted_in, "backslashreplace") for one in texts]
        return pa.array(texts, pa.binary())

    def sorted(self) -> Iterator[bytes]:
        """Yield the header, and the rows by their keys."""
        self._writer.close()
        yield self._header
        with duckdb.connect(config={"memory_limit": database.memory(), "temp_directory": str(self._folder)}) as sorter:
            query = f"select row from read_parquet($1) order by {', '.join(self._key)}"
            for batch in sorter.execute(query, [str(self._path)]).to_arrow_reader(_ROWS_AT_ONCE):
                yield from batch.column(0).to_pylist()
