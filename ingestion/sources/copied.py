"""A Postgres COPY as Parquet: every value is kept as the database's own text."""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from ingestion.errors import Permanent
from ingestion.parquet import RECORD_NO, PartWriter

CHUNK_BYTES = 8 << 20
Row = bytes | bytearray | memoryview


class Copied:
    """Take a COPY's rows, write them as Parquet text columns, and know their number and checksum."""

    def __init__(self, folder: Path, table: str, rows: Iterable[Row]) -> None:
        rows = iter(rows)
        self._header = bytes(next(rows))
        self.columns = tuple(next(csv.reader(io.StringIO(self._header.decode()))))
        if RECORD_NO in self.columns:
            raise Permanent(
                f"a column is named {RECORD_NO}, which bronze needs for itself",
                where=f"shop.{table}",
                todo="rename the column, or give a view without it",
            )
        digest = hashlib.sha256(self._header)
        schema = pa.schema([(name, pa.string()) for name in self.columns])
        self._writer = PartWriter(folder, schema, dictionary=list(self.columns))
        self._writer.begin()
        with ThreadPoolExecutor(1) as second:
            behind: Future[None] | None = None
            for chunk in _chunks(rows):
                digest.update(chunk)
                if behind:
                    behind.result()
                behind = second.submit(self._write, chunk)
            if behind:
                behind.result()
        self._writer.keep()
        self.files = self._writer.finish()
        self.records = self._writer.records
        self.sha256 = digest.hexdigest()

    def _write(self, chunk: bytearray) -> None:
        """Parse whole rows of CSV as text: unquoted and empty is null, quoted and empty is an empty text."""
        self._writer.add(
            arrow_csv.read_csv(
                pa.py_buffer(chunk),
                read_options=arrow_csv.ReadOptions(
                    column_names=self.columns, block_size=len(chunk) + 1, use_threads=False
                ),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={name: pa.string() for name in self.columns},
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        )


def _chunks(rows: Iterable[Row]) -> Iterator[bytearray]:
    """Gather rows into chunks. The protocol sends one row a message, so no row is ever cut."""
    chunk = bytearray()
    for row in rows:
        chunk += row
        if len(chunk) >= CHUNK_BYTES:
            yield chunk
            chunk = bytearray()
    if chunk:
        yield chunk
