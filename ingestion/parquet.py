"""Write records to Parquet in bounded memory; an input that fails can still be dropped.

Row groups are compressed in a second thread, one at a time, while the first one reads what comes next.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.bronze import describe
from ingestion.manifest import File
from ingestion.names import RECORD_NO

ROW_GROUP_BYTES = 48 << 20
ROW_GROUP_ROWS = 1 << 19


def options(
    dictionary: Sequence[str], statistics: Sequence[str], numbered: Sequence[str] = (RECORD_NO,)
) -> dict[str, Any]:
    """Return how bronze writes Parquet: the columns with a dictionary, those with statistics, and those that count upwards.

    Statistics of long text cost time and help no reader; level 1 is where zstd stops paying.
    """
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [*dictionary],
        "write_statistics": [*statistics],
        "column_encoding": dict.fromkeys(numbered, "DELTA_BINARY_PACKED"),
    }


class PartWriter:
    """Number records from 1 and write them as `part-<n>.parquet` in a folder.

    Between `begin` and `keep` or `drop` lies one input: it stays whole or leaves nothing. A small input is held in
    memory until it is kept, and shares a part with others; a big one gets a part of its own, deleted when dropped.
    """

    def __init__(self, folder: Path, schema: pa.Schema, *, dictionary: list[str], numbered: Sequence[str] = ()) -> None:
        self.records = 0
        self._folder = folder
        self._schema = schema.insert(0, pa.field(RECORD_NO, pa.int64(), nullable=False))
        self._options = options(dictionary, [RECORD_NO, *dictionary], [RECORD_NO, *numbered])
        self._second = ThreadPoolExecutor(1, "parquet")
        self._parts: list[Path] = []
        self._dropped: list[Path] = []
        self._shared: _RowGroups | None = None
        self._own: _RowGroups | None = None
        self._pending = _Tables()
        self._kept_records = 0

    def begin(self) -> None:
        """Start an input."""
        self._pending, self._own, self._kept_records = _Tables(), None, self.records

    def add(self, table: pa.Table) -> None:
        """Add records of the input, in order."""
        numbers = pa.arange(self.records + 1, self.records + table.num_rows + 1)
        self._pending.append(table.add_column(0, self._schema.field(0), numbers))
        self.records += table.num_rows
        if self._pending.is_full:
            self._own = self._own or self._open()
            self._own.write(self._pending)
            self._pending = _Tables()

    def keep(self) -> None:
        """End the input and keep its records."""
        if self._own:
            self._own.write(self._pending)
            self._own.close()
        elif self._pending.tables:
            self._shared = self._shared or self._open()
            self._shared.write(self._pending)
        self._pending, self._own = _Tables(), None

    def drop(self) -> None:
        """End the input and drop its records."""
        if self._own:
            self._own.close()
            self._own.path.unlink()
            self._parts.remove(self._own.path)
        self._pending, self._own, self.records = _Tables(), None, self._kept_records

    def finish(self) -> tuple[File, ...]:
        """Close the parts and return their descriptions; none if there are no records."""
        if self._shared:
            self._shared.close()
        self._second.shutdown()
        return tuple(describe(path) for path in self._parts)

    def _open(self) -> "_RowGroups":
        taken = {path.name for path in self._parts}
        number = next(n for n in range(len(taken) + 1) if f"part-{n}.parquet" not in taken)
        path = self._folder / f"part-{number}.parquet"
        self._parts.append(path)
        return _RowGroups(path, self._schema, self._options, self._second)


class _Tables:
    """Tables that wait to be written, and their total size: thousands of small inputs share one row group."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self._rows = 0
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether there are enough records for a row group."""
        return self._rows >= ROW_GROUP_ROWS or self._bytes >= ROW_GROUP_BYTES

    def append(self, table: pa.Table) -> None:
        self.tables.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes

    def extend(self, more: "_Tables") -> None:
        self.tables += more.tables
        self._rows += more._rows
        self._bytes += more._bytes


class _RowGroups:
    """One Parquet file, written one row group at a time. A row group that cannot be written raises at the next call."""

    def __init__(self, path: Path, schema: pa.Schema, options: dict[str, Any], second: ThreadPoolExecutor) -> None:
        self.path = path
        self._writer = pq.ParquetWriter(path, schema, **options)
        self._waiting = _Tables()
        self._second = second
        self._being_written: Future[None] | None = None

    def write(self, tables: _Tables) -> None:
        self._waiting.extend(tables)
        if self._waiting.is_full:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._end_writing()
        self._writer.close()

    def _flush(self) -> None:
        self._end_writing()
        if self._waiting.tables:
            table = pa.concat_tables(self._waiting.tables).unify_dictionaries()
            rows = max(table.num_rows, 1)
            self._being_written = self._second.submit(self._writer.write_table, table, row_group_size=rows)
            self._waiting = _Tables()

    def _end_writing(self) -> None:
        if self._being_written:
            self._being_written.result()
            self._being_written = None


def encodings(files: Iterable[pq.FileMetaData]) -> tuple[list[str], list[str]]:
    """Return the columns of files that are written with a dictionary, and those that are written as differences."""
    found: dict[str, set[str]] = {}
    for groups in files:
        for number in range(groups.num_row_groups):
            for place in range(groups.num_columns):
                column = groups.row_group(number).column(place)
                for encoding in column.encodings:
                    found.setdefault(encoding, set()).add(column.path_in_schema)
    dictionary = found.get("RLE_DICTIONARY", set())
    return sorted(dictionary), sorted(found.get("DELTA_BINARY_PACKED", set()) - dictionary)


def rewrite(path: Path, target: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write a changed copy of a Parquet file, one row group at a time, with the same encodings. `change` keeps the rows' number.

    The schema may only depend on the file, not on the row group.
    """
    with pq.ParquetFile(path) as source:
        groups = source.num_row_groups
        columns = [source.metadata.row_group(0).column(n) for n in range(source.metadata.num_columns)] if groups else []
        schema = change(source.schema_arrow.empty_table()).schema
        dictionary, numbered = encodings([source.metadata])
        same = options(dictionary, [one.path_in_schema for one in columns if one.is_stats_set], numbered)
        with pq.ParquetWriter(target, schema, **same) as writer:
            for number in range(groups):
                table = source.read_row_group(number)
                changed = change(table)
                if changed.num_rows != table.num_rows:
                    raise ValueError(f"{path}: {table.num_rows} records became {changed.num_rows}")
                writer.write_table(changed.cast(schema), row_group_size=max(table.num_rows, 1))
