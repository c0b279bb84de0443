"""Datasets that come as files: paths, addresses, or files that ship in a package. The contract alone says which.

`location` in the contract may have date parts and wildcards (`locations.py`); files may be compressed (`places.py`). This module
lands files of rows: CSV of any dialect (`csv_records.py`), Parquet (`parquet_records.py`) or Avro (`avro_records.py`).
`line_files.py` lands JSON lines.

`unpivot` names three columns for files with one column per kind: the first column, the header, and the cell; empty and
`N/A` cells are left out.

Every row that is read lands or is reported. The files of a day land whole. Of files for all days, a window takes its share
(`shares.py`); without an event time, they land whole and once (`whole_files.py`). A row that cannot be split into columns lands as raw text, and its dataset's staging makes it a dead letter.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.addresses import shown
from ingestion.contract import Contract
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.fields import guess
from ingestion.file_settings import Files
from ingestion.home import Home
from ingestion.kinds import Problem
from ingestion.land import Landing, Run, Written, describe, expect_records, landed, staging
from ingestion.manifest import Input, Manifest, Reading, Waiting
from ingestion.names import BAD_ROW, physical_names, renamed, source_columns
from ingestion.parquet import PartWriter
from ingestion.sources import avro_records, counts, csv_records, file_counts, line_files, locations, parquet_records
from ingestion.sources.csv_records import Record, Row
from ingestion.sources.landing_names import STILL_BEING_WRITTEN
from ingestion.sources.locations import Found
from ingestion.sources.places import fetch_whole
from ingestion.sources.shares import Share, sign_of
from ingestion.sources.whole_files import Once, are_read_again
from ingestion.times import clock_of, joined
from ingestion.window import Window, iso

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TEXTS = [("reason", pa.string()), ("raw", pa.string()), ("raw_bytes", pa.binary()), ("file", pa.string())]
_BAD_ROWS = pa.field(BAD_ROW, pa.struct([*_TEXTS, ("line_number", pa.int64())]))
# Rows are held as Arrow tables of this many: as Python's tuples they take ten times the memory.
_TABLE_ROWS = 1 << 16
_QUIET = timedelta(seconds=3)


def ingest(source: str, run: Run) -> Landing:
    """Land one window of every dataset of a source: of rows one batch each, of JSON lines one for each day or hour.

    The batches of rows enter a build together: an order must not come without its lines.
    """
    committed: list[tuple[Manifest, bool]] = []
    messages: list[str] = []
    waiting: list[Waiting] = []
    contracts = [one for one in run.contracts.values() if one.source == source]
    listing = file_counts.list_files(contracts, run.window) if run.is_sweep else {}
    with staging(run.home) as staged:
        for contract in (one for one in contracts if one.format == "rows"):
            taken = _take(run, contract)
            folder = staged.folder(contract.dataset)
            manifest = staged.add(folder, _stage(folder, run, contract, taken))
            run.report(f"{contract.dataset} {run.window}: {manifest.records_written:,} records")
            messages += taken.messages(f"{contract.dataset} {run.window}")
        committed += staged.commit(as_snapshot=len(staged.manifests) > 1)
    for contract in (one for one in contracts if one.format == "json_lines"):
        batches = line_files.land(run, contract)
        committed += batches.committed()
        messages += batches.messages()
        waiting += batches.waiting
    if counted := file_counts.count(run, run.contracts, listing):
        with staging(run.home) as staged:
            folder = staged.folder(counts.DATASET)
            if count := counts.stage(folder, run, source, counted):
                staged.add(folder, count)
                committed += staged.commit()
    return landed(run, source, committed, messages, waiting)


def check(source: str, contracts: Sequence[Contract], _home: Home) -> list[Problem]:
    """Find what would keep a source's files from being read: a variable that is not set, a folder that is not there, a server."""
    problems = []
    for contract in contracts:
        try:
            locations.check_there(locations.location_of(contract))
        except ClearwellError as error:
            problems.append(Problem.of(error, source, contract.dataset))
    return problems


def read(body: bytes, place: str, settings: Files) -> csv_records.Table:
    """Read a file of rows, in the format that its first bytes or its name say: Parquet, Avro, or else CSV."""
    if parquet_records.is_parquet(body, place):
        return parquet_records.read(body, shown(place))
    if avro_records.is_avro(body, place):
        return avro_records.read(body, shown(place))
    return csv_records.read(body, shown(place), settings.csv, are_kinds=bool(settings.unpivot))


class _Rows:
    """Rows of one file, by its columns, in little memory."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self._new: list[Row] = []
        self._tables: list[pa.Table] = []

    def add(self, rows: list[Row]) -> None:
        self._new += rows
        if len(self._new) >= _TABLE_ROWS:
            self._flush()

    def tables(self, more: Mapping[str, str | None]) -> list[pa.Table]:
        """Return the rows, with further columns that have one value each."""
        self._flush()
        for name, value in more.items():
            self._tables = [
                one.append_column(name, pa.repeat(pa.scalar(value, pa.large_string()), one.num_rows))
                for one in self._tables
            ]
        return self._tables

    def _flush(self) -> None:
        if self._new:
            arrays = [pa.array(column, pa.large_string()) for column in zip(*self._new, strict=True)]
            # Names that a file has twice, by case, are two columns.
            self._tables.append(pa.Table.from_arrays(arrays, list(self.columns)))
            self._new = []


@dataclass
class _Taken:
    """The rows that a window takes of its files: by the columns they have, and those that could not be split into columns."""

    share: Share | None = None
    once: Once | None = None
    read: int = 0
    columns: tuple[str, ...] = ()
    tables: list[pa.Table] = field(default_factory=list)
    bad: list[tuple[Record, str]] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def rows(self) -> pa.Table:
        """Return the rows, sorted, so that the same rows are the same batch whatever their order."""
        schema = pa.schema([(name, pa.large_string()) for name in self.columns])
        tables = [_with_all(table, schema) for table in self.tables]
        self.tables = []
        rows = pa.concat_tables([schema.empty_table(), *tables]).combine_chunks()
        del tables
        return rows.take(_order(rows)) if rows.num_rows else rows

    def reading(self, landed: int) -> Reading:
        how = self.share or self.once
        reading = how.reading(self.read, landed) if how else Reading(self.read, landed)
        return replace(reading, inputs=tuple(self.inputs))

    def messages(self, name: str) -> list[str]:
        told = [f"{name}: {one}" for one in self.skipped]
        how = self.share or self.once
        told += how.messages(self.read) if how else []
        if self.bad:
            record, place = min(self.bad, key=lambda one: (one[1], one[0].line))
            told.append(
                f"{name}: {len(self.bad):,} rows cannot be read, and land as raw text to become dead letters,"
                f" such as line {record.line} of {place}: {record.reason}"
            )
        return told


def _order(rows: pa.Table) -> pa.Array:
    """Return the places of the rows in the order of their texts; a missing one is first."""
    by_place = rows.rename_columns([str(place) for place in range(rows.num_columns)])
    keys = [(name, "ascending", "at_start") for name in by_place.column_names]
    return pc.sort_indices(by_place, sort_keys=keys)


def _with_all(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of a schema; those that it does not have are null."""
    if table.schema.names == schema.names:
        return table
    missing = pa.nulls(table.num_rows, pa.large_string())
    return pa.Table.from_arrays(
        [table[name] if name in table.column_names else missing for name in schema.names], schema=schema
    )


def _take(run: Run, contract: Contract) -> _Taken:
    """Read the files of the window's days or hours, of which those that are not there yet have no rows; or those for all days."""
    location = locations.location_of(contract)
    is_dated = locations.is_dated(location)
    share = Share(run, contract) if not is_dated and contract.event_time else None
    lands_once = not share and are_read_again(contract, is_dated=is_dated)
    taken = _Taken(share, Once(run, contract) if lands_once else None)
    files = []
    for found, period in _find(run, contract, location, taken):
        files.append(_File(run, contract, taken, found, period, is_one_of_many=locations.has_wildcard(location)))
    takes_rest = taken.share.settle() if taken.share else True
    lands = [file for file in files if file.finish(takes_rest)]
    taken.columns = tuple(dict.fromkeys(name for file in lands or files for name in file.columns))
    return taken


def _find(run: Run, contract: Contract, location: str, taken: _Taken) -> Iterator[tuple[Found, str]]:
    """List the files that a window reads, one pattern after the other, each with the period that its location is of.

    Of a folder a month, those within lateness count too.
    """
    span = run.window
    if not locations.is_dated(location):
        span = Window(span.start - contract.lateness, span.end)
    patterns: dict[str, Window] = {}
    for unit in locations.units(location, span):
        patterns.setdefault(locations.filled(location, unit), unit)
    once = locations.ListedOnce()
    missing: list[tuple[Window, str]] = []
    for pattern, unit in patterns.items():
        listing, period = locations.find(pattern, once), locations.period(location, unit)
        taken.skipped += listing.skipped
        if not listing.files and (pattern != location or locations.has_wildcard(location)):
            missing.append((unit, pattern))
        elif not listing.files:
            yield Found(pattern), period  # reading it says what is wrong
        yield from ((found, period) for found in listing.files)
    for line in locations.say_missing(contract.dataset, missing):
        run.report(line)


class _File:
    """One file, read at once; what the window takes of it is complete after `finish`."""

    def __init__(
        self, run: Run, contract: Contract, taken: _Taken, found: Found, period: str, *, is_one_of_many: bool
    ) -> None:
        self._contract, self._taken, self._where = contract, taken, shown(found.place)
        self._signs, self._rows_read = 0, 0
        self._bad: list[tuple[Record, str]] = []
        self._name = self._where if is_one_of_many else ""
        fetched = fetch_whole(found.place, is_listed=found.size >= 0)
        name = locations.name_below(locations.location_of(contract), found.place)
        self.input = Input(name, fetched.size, fetched.sha256, 0, found.mtime_ns)
        self._published_at = fetched.published_at
        table = read(fetched.body, found.place, contract.settings)
        del fetched
        if table.is_cut and locations.may_grow(found.place):
            _check_complete(run, self._where, self._published_at)
        columns, self._is_wide, self._at = _fitted(contract, table.columns, self._where)
        self._rows, self._latest = _Rows(columns), ""
        self._undecided: list[tuple[Record, list[Row]]] = []
        # A column that is not in the file: it says which edition of a row is later.
        self._version = None if contract.in_source([contract.version_column], columns) else contract.version_column
        self._read(table)
        once = taken.once
        self._content = once.add(period, self.columns, self._signs, self._rows_read, self._edition) if once else ""

    @property
    def _edition(self) -> str | None:
        """The version of the file's rows, where no column says it."""
        return _edition(self._published_at, self._latest) if self._version else None

    @property
    def columns(self) -> tuple[str, ...]:
        more = (self._contract.at_source(self._version)[0],) if self._version else ()
        return (*self._rows.columns, *more)

    def _read(self, table: csv_records.Table) -> None:
        """Take the window's share of the file's rows. Rows without a readable date wait for `finish`."""
        clock = clock_of(self._contract.column(self._contract.event_time))
        taken, width, is_dated = self._taken, len(self._rows.columns), False
        for record in table.records:
            units = (
                []
                if record.reason
                else _unpivoted(record, table.columns)
                if self._is_wide
                else [record.fields if len(record.fields) == width else record.fields[:width]]
            )
            text = joined(record.fields[at] for at in self._at if at < len(record.fields))
            if self._version and text and text > self._latest and _DATE.fullmatch(text):
                self._latest = text
            count = 1 if record.reason else len(units)
            taken.read += count
            if taken.once:
                self._rows_read += count
                self._signs += sign_of(record, units)
            takes: bool | None = True
            if taken.share:
                moment = clock(text) if text else None
                is_dated = is_dated or moment is not None
                takes = taken.share.takes(record, moment, units, self._name)
            if takes:
                self._land(record, units)
            elif takes is None:
                self._undecided.append((record, units))
        if self._is_wide and self._undecided and not is_dated:
            unpivot = self._contract.settings.unpivot
            raise Permanent(
                f"the header does not fit the contract of {self._contract.dataset}: it has no {unpivot[0]}, and in its"
                f" first column, {table.columns[0]}, does not hold dates",
                where=self._where,
                todo=f"correct the file: dates in the first column, or the columns {', '.join(unpivot)}",
            )

    def finish(self, takes_rest: bool) -> bool:
        """Land what the window takes, with the rows without a readable date if it takes them too; False if the whole file landed before."""
        if self._taken.once and not self._taken.once.takes(self._content):
            return False
        for record, units in self._undecided if takes_rest else ():
            self._land(record, units)
        tables = self._rows.tables({self.columns[-1]: self._edition} if self._version else {})
        self._taken.tables += tables
        self._taken.bad += self._bad
        self._taken.inputs.append(replace(self.input, records=sum(one.num_rows for one in tables) + len(self._bad)))
        return True

    def _land(self, record: Record, units: list[Row]) -> None:
        self._rows.add(units)
        if record.reason:
            self._bad.append((record, self._where))


def _check_complete(run: Run, where: str, changed_at: datetime | None) -> None:
    """Refuse a file that need not end where it does while its writer may still be at work: half a value is a wrong one."""
    if changed_at and run.landed_at - changed_at < _QUIET:
        raise Transient(f"the file is {STILL_BEING_WRITTEN}", where=where, todo="try again in some seconds")


def _edition(published_at: datetime | None, latest: str) -> str | None:
    """Return a file's edition. A file that does not say when it was published is as new as the latest date in it."""
    if published_at:
        return iso(published_at)
    return f"{latest}T00:00:00Z" if latest else None


def _fitted(contract: Contract, header: tuple[str, ...], where: str) -> tuple[tuple[str, ...], bool, tuple[int, ...]]:
    """Return the columns that rows will have, whether the file has one column per kind, and the places of the event time's columns.

    A header without the contract's key, its event time or a column of its `where` is Permanent: not one of its rows could be taken.
    """
    wanted = dict.fromkeys([*contract.settings.unpivot, contract.event_time, *contract.key])
    needed = [name for name in wanted if name and contract.is_at_source(name)]
    there = contract.in_source(needed, header)
    if contract.settings.unpivot and not set(contract.settings.unpivot) & set(there) and len(header) > 1:
        return tuple(contract.at_source(name)[0] for name in contract.settings.unpivot), True, (0,)
    missing = [" or ".join(contract.at_source(name)) for name in needed if name not in there]
    missing += [part for name in needed for part in contract.lacking_parts(name, header) if name in there]
    missing += [" or ".join(one.names) for one in contract.where if not source_columns({"": one.names}, header)]
    if missing:
        dialect = contract.settings.csv
        other = next((sign for sign in (",", ";", "\t", "|") if len(header) == 1 and sign in header[0]), None)
        hint = guess(missing[0], header)
        if other and other != dialect.delimiter:
            hint = f"; it seems to be separated by {other!r} instead of {dialect.delimiter!r}, which `csv: {{delimiter: …}}` says"
        if dialect.header:
            hint += "; `csv: {header: …}` in the contract names the file's columns"
        raise Permanent(
            f"the header does not fit the contract of {contract.dataset}: it has no {', '.join(missing)}{hint}",
            where=where,
            todo=f"correct the file: it needs the columns {', '.join(_names_at_source(contract))}; or the contract: `from` says what"
            " the source calls a column",
        )
    return header, False, contract.places(contract.event_time, header)


def _unpivoted(record: Record, header: tuple[str, ...]) -> list[Row]:
    """Make one row of each cell that is not empty."""
    first, *cells = record.fields
    return [
        (first, name, cell)
        for name, cell in zip(header[1:], cells, strict=True)
        if cell and cell.strip() not in ("", "N/A")
    ]


def _stage(folder: Path, run: Run, contract: Contract, taken: _Taken) -> Manifest:
    """Write the rows, then the raw ones. A row that was read and neither landed nor reported is Permanent."""
    rows = taken.rows()
    columns = taken.columns or _names_at_source(contract)
    bad = sorted(taken.bad, key=lambda one: (one[0].raw, one[1], one[0].line))
    written = _write(folder, columns, rows, bad)
    reading = taken.reading(written.records)
    others = reading.later + reading.landed_before + reading.left
    if reading.read != reading.landed + others:
        raise Permanent(
            f"{reading.read:,} rows were read, but only {reading.landed:,} would land and {others:,} are accounted for elsewhere",
            where=f"{contract.dataset} {run.window}",
            todo="report this as a bug in Clearwell: rows would be lost",
        )
    has_any = bool(reading.landed or (taken.once and reading.landed_before))
    expect_records(run, contract, shown(locations.location_of(contract)), lambda: has_any)
    return describe(
        written,
        dataset=contract.dataset,
        source=contract.source,
        window=run.window,
        contract_version=contract.version,
        landed_at=run.landed_at,
        counted=reading.read - others,
        content=chain([columns], _as_tuples(rows), ((record.reason, record.raw) for record, _ in bad)),
        columns=columns,
        renamed=renamed(columns),
        reading=reading,
    )


def _write(folder: Path, columns: tuple[str, ...], rows: pa.Table, bad: list[tuple[Record, str]]) -> Written:
    names = list(physical_names(columns).values())
    schema = pa.schema([*((name, pa.string()) for name in names), *([_BAD_ROWS] if bad else [])])
    writer = PartWriter(folder, schema, dictionary=names)
    writer.begin()
    for start in range(0, rows.num_rows, _TABLE_ROWS):
        some = rows.slice(start, _TABLE_ROWS)
        writer.add(_filled([column.cast(pa.string()) for column in some.columns], schema))
    if bad:
        writer.add(_filled([pa.nulls(len(bad), pa.string())] * len(columns) + [_as_they_came(bad)], schema))
    writer.keep()
    return Written(writer.finish(), writer.records)


def _as_tuples(rows: pa.Table) -> Iterator[Row]:
    for some in rows.to_batches(max_chunksize=_TABLE_ROWS):
        yield from zip(*(column.to_pylist() for column in some.columns), strict=True)


def _names_at_source(contract: Contract) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column.at_source[0] for column in contract.columns if column.is_at_source))


def _filled(arrays: list[pa.Array], schema: pa.Schema) -> pa.Table:
    """Make a table of the first columns; the others are null."""
    missing = [pa.nulls(len(arrays[0]), one.type) for one in list(schema)[len(arrays) :]]
    return pa.Table.from_arrays([*arrays, *missing], schema=schema)


def _as_they_came(bad: list[tuple[Record, str]]) -> pa.Array:
    """Keep raw rows: as text, and their bytes where these are not that text in UTF-8."""
    return pa.array(
        [
            {
                "reason": record.reason,
                "raw": record.text,
                "raw_bytes": None if record.text and record.text.encode() == record.raw else record.raw,
                "file": place,
                "line_number": record.line,
            }
            for record, place in bad
        ],
        _BAD_ROWS.type,
    )
