"""Datasets that come as CSV: a file, an address, or one that ships in a package. The contract alone says which.

`location` in the contract: a path, an http(s) address, or `package:<package>/<file>`; `${NAME}` and `${NAME:-default}` are
read from the environment; with `{date}` there is one file per day. The first file of a zip is read. `unpivot` names
three columns for files with one column per kind: the first column, the header, and the cell; empty and `N/A` cells are left out.

Every row that is read lands or is reported. A daily file lands whole. Of one file for all days, a window takes its share
(`shares.py`). A row that cannot be split into columns lands as raw text, and its dataset's staging makes it a dead letter.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from ingestion.addresses import is_http, shown
from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.fields import guess
from ingestion.land import Landing, Run, describe, expect_records, landed, staging, write
from ingestion.manifest import Manifest, Reading
from ingestion.names import BAD_ROW, physical_names, renamed
from ingestion.sources import csv_records
from ingestion.sources.csv_records import Record, Row
from ingestion.sources.places import fetch
from ingestion.sources.shares import Share, moment_of
from ingestion.window import iso

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_TEXTS = [("reason", pa.string()), ("raw", pa.string()), ("raw_bytes", pa.binary()), ("file", pa.string())]
_BAD_ROWS = pa.field(BAD_ROW, pa.struct([*_TEXTS, ("line_number", pa.int64())]))


def ingest(source: str, run: Run) -> Landing:
    """Land one window of every dataset of a source: one batch for each, with its file's rows of the window."""
    committed: list[tuple[Manifest, bool]] = []
    messages: list[str] = []
    for contract in run.contracts.values():
        if contract.source == source:
            taken = _take(run, contract)
            with staging(run.home) as staged:
                folder = staged.folder(contract.dataset)
                manifest = staged.add(folder, _stage(folder, run, contract, taken))
                committed += staged.commit()
            run.report(f"{contract.dataset} {run.window}: {manifest.records_written:,} records")
            messages += taken.messages(f"{contract.dataset} {run.window}")
    return landed(run, source, committed, messages)


@dataclass
class _Taken:
    """The rows that a window takes of its files: by the columns they have, and those that could not be split into columns."""

    share: Share | None = None
    read: int = 0
    parts: list[tuple[tuple[str, ...], list[Row]]] = field(default_factory=list)
    bad: list[tuple[Record, str]] = field(default_factory=list)

    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for columns, _ in self.parts for name in columns))

    def rows(self) -> list[Row]:
        """Return the rows, sorted, so that the same rows are the same batch whatever their order."""
        names, found = self.columns(), []
        for columns, rows in self.parts:
            places = [columns.index(name) if name in columns else None for name in names]
            found += rows if columns == names else [_picked(row, places) for row in rows]
        return sorted(found, key=lambda row: tuple(text or "" for text in row))

    def reading(self, landed: int) -> Reading:
        return self.share.reading(self.read, landed) if self.share else Reading(self.read, landed)

    def messages(self, name: str) -> list[str]:
        told = self.share.messages(self.read) if self.share else []
        if self.bad:
            record, place = min(self.bad, key=lambda one: (one[1], one[0].line))
            told.append(
                f"{name}: {len(self.bad):,} rows cannot be read, and land as raw text to become dead letters,"
                f" such as line {record.line} of {place}: {record.reason}"
            )
        return told


def _take(run: Run, contract: Contract) -> _Taken:
    """Read the file, or those of the window's days; a day whose file is not there yet has no rows."""
    location = _expanded(contract)
    if "{date}" not in location:
        taken = _Taken(Share(run, contract) if contract.event_time else None)
        _read(contract, taken, location)
        return taken
    taken = _Taken()
    for day in run.window.days():
        place = location.replace("{date}", day.date.isoformat())
        if not is_http(place) and not place.startswith("package:") and not Path(place).expanduser().exists():
            run.report(f"{contract.dataset} {day.date}: {shown(place)} does not exist yet")
        else:
            _read(contract, taken, place)
    return taken


def _expanded(contract: Contract) -> str:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1]) or match[2]
        if not found:
            raise Permanent(
                f"{contract.dataset} is read from ${{{match[1]}}}, which is not set",
                todo=f"set {match[1]} to a path or an address; or leave {contract.source} out of CLEARWELL_SOURCES",
            )
        return found

    return _VARIABLE.sub(value, contract.settings.location)


def _read(contract: Contract, taken: _Taken, place: str) -> None:
    """Read one file, and take the window's share of it."""
    body, published_at = fetch(place)
    table = csv_records.read(body, shown(place), contract.settings.csv)
    columns, is_wide, at = _fitted(contract, table.columns, shown(place))
    latest, undecided, is_dated = "", [], False
    rows: list[Row] = []
    # A column that is not in the file: it says which edition of a row is later.
    version = None if contract.in_source([contract.version_column], columns) else contract.version_column

    def land(record: Record, units: list[Row]) -> None:
        rows.extend(units)
        if record.reason:
            taken.bad.append((record, shown(place)))

    for record in table.records:
        units = (
            [] if record.reason else _unpivoted(record, table.columns) if is_wide else [record.fields[: len(columns)]]
        )
        text = record.fields[at] if at is not None and at < len(record.fields) else None
        if version and text and text > latest and _DATE.fullmatch(text):
            latest = text
        moment = moment_of(text) if text else None
        is_dated = is_dated or moment is not None
        taken.read += 1 if record.reason else len(units)
        takes = taken.share.takes(record, moment, units) if taken.share else True
        if takes:
            land(record, units)
        elif takes is None:
            undecided.append((record, units))
    if is_wide and undecided and not is_dated:
        raise Permanent(
            f"the header does not fit the contract of {contract.dataset}: it has no {contract.settings.unpivot[0]}, and in its"
            f" first column, {table.columns[0]}, does not hold dates",
            where=shown(place),
            todo=f"correct the file: dates in the first column, or the columns {', '.join(contract.settings.unpivot)}",
        )
    if taken.share and taken.share.settle():
        for record, units in undecided:
            land(record, units)
    if version:
        edition = _edition(published_at, latest)
        columns, rows = (*columns, contract.at_source(version)[0]), [(*row, edition) for row in rows]
    taken.parts.append((columns, rows))


def _edition(published_at: datetime | None, latest: str) -> str | None:
    """Return a file's edition. A file that does not say when it was published is as new as the latest date in it."""
    if published_at:
        return iso(published_at)
    return f"{latest}T00:00:00Z" if latest else None


def _fitted(contract: Contract, header: tuple[str, ...], where: str) -> tuple[tuple[str, ...], bool, int | None]:
    """Return the columns that rows will have, whether the file has one column per kind, and the event time's column.

    A header without the contract's key or event time is Permanent: not one of its rows could be taken.
    """
    needed = [name for name in dict.fromkeys([*contract.settings.unpivot, contract.event_time, *contract.key]) if name]
    there = contract.in_source(needed, header)
    if contract.settings.unpivot and not set(contract.settings.unpivot) & set(there) and len(header) > 1:
        return tuple(contract.at_source(name)[0] for name in contract.settings.unpivot), True, 0
    missing = [" or ".join(contract.at_source(name)) for name in needed if name not in there]
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
    return header, False, header.index(there[contract.event_time]) if contract.event_time else None


def _unpivoted(record: Record, header: tuple[str, ...]) -> list[Row]:
    """Make one row of each cell that is not empty."""
    first, *cells = record.fields
    return [
        (first, name, cell)
        for name, cell in zip(header[1:], cells, strict=True)
        if cell and cell.strip() not in ("", "N/A")
    ]


def _picked(row: Row, places: Sequence[int | None]) -> Row:
    return tuple(None if place is None else row[place] for place in places)


def _stage(folder: Path, run: Run, contract: Contract, taken: _Taken) -> Manifest:
    """Write the rows, then the raw ones. A row that was read and neither landed nor reported is Permanent."""
    columns, rows = taken.columns() or _names_at_source(contract), taken.rows()
    bad = sorted(taken.bad, key=lambda one: (one[0].raw, one[1], one[0].line))
    schema = pa.schema(
        [*((name, pa.string()) for name in physical_names(columns).values()), *([_BAD_ROWS] if bad else [])]
    )
    tables = [schema.empty_table()]
    if rows:
        tables.append(_filled([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], schema))
    if bad:
        tables.append(_filled([pa.nulls(len(bad), pa.string())] * len(columns) + [_as_they_came(bad)], schema))
    written = write(folder, pa.concat_tables(tables), dictionary=schema.names[: len(columns)])
    reading = taken.reading(written.records)
    others = reading.later + reading.landed_before + reading.left
    if reading.read != reading.landed + others:
        raise Permanent(
            f"{reading.read:,} rows were read, but only {reading.landed:,} would land and {others:,} are accounted for elsewhere",
            where=f"{contract.dataset} {run.window}",
            todo="report this as a bug in Clearwell: rows would be lost",
        )
    expect_records(run, contract, shown(_expanded(contract)), lambda: bool(reading.landed))
    return describe(
        written,
        dataset=contract.dataset,
        source=contract.source,
        window=run.window,
        contract_version=contract.version,
        landed_at=run.landed_at,
        counted=reading.read - others,
        content=[columns, *rows, *((record.reason, record.raw) for record, _ in bad)],
        columns=columns,
        renamed=renamed(columns),
        reading=reading,
    )


def _names_at_source(contract: Contract) -> tuple[str, ...]:
    return tuple(column.at_source[0] for column in contract.columns)


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
