"""Datasets that come as CSV: a file, an address, or one that ships in a package. The contract alone says which.

`location` in the contract: a path, an http(s) address, or `package:<package>/<file>`; `${NAME}` and `${NAME:-default}` are
read from the environment; with `{date}` there is one file a day. A zip is opened, and its first file read. `unpivot` names
three columns for files that have one column a kind: the first column, its header, its value; empty and `N/A` cells are none.
"""

import csv
import io
import os
import re
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.resources import files
from pathlib import Path

import pyarrow as pa

from ingestion import bronze
from ingestion.contract import Contract
from ingestion.errors import Permanent, Transient
from ingestion.landing import Landing, Run
from ingestion.manifest import Manifest
from ingestion.parquet import RECORD_NO, PartWriter
from ingestion.window import iso

_TIMEOUT_SECONDS = 60
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Table:
    """One CSV as text: its columns, its rows, and when it was published, where that is known."""

    columns: tuple[str, ...]
    rows: list[Row]
    published_at: datetime | None = None


def ingest(source: str, run: Run) -> Landing:
    """Land one window of every dataset of a source: a batch for each, from what its file holds of the window."""
    manifests, new = [], set()
    for contract in run.contracts.values():
        if contract.source == source and contract.location:
            table = _of_window(run, contract, _read_all(run, contract))
            with bronze.staged(run.home, contract.dataset) as folder:
                manifest, is_new = bronze.commit(run.home, folder, _stage(folder, run, contract, table))
            manifests.append(manifest)
            if is_new:
                new.add(manifest.batch_id)
            run.report(f"{contract.dataset} {run.window}: {manifest.records_written:,} records")
    return Landing(source, run.window, tuple(manifests), frozenset(new))


def _read_all(run: Run, contract: Contract) -> Table:
    """Read the file, or those of the window's days; a day whose file is not there yet has no rows."""
    location = _expanded(contract)
    if "{date}" not in location:
        return _prepared(contract, _read(location), location)
    found = []
    for day in run.window.days():
        place = location.replace("{date}", day.date.isoformat())
        if "://" not in place and not Path(place).exists():
            run.report(f"{contract.dataset} {day.date}: there is no {place} yet")
        else:
            found.append(_prepared(contract, _read(place), place))
    columns = tuple(dict.fromkeys(name for table in found for name in table.columns))
    rows = [
        tuple(dict(zip(table.columns, row, strict=True)).get(name) for name in columns)
        for table in found
        for row in table.rows
    ]
    return Table(columns or tuple(column.name for column in contract.columns), rows)


def _expanded(contract: Contract) -> str:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1]) or match[2]
        if not found:
            raise Permanent(
                f"{contract.dataset} comes from ${{{match[1]}}}, which is not set",
                todo=f"set {match[1]}, as the README says",
            )
        return found

    return _VARIABLE.sub(value, contract.location or "")


def _read(place: str) -> Table:
    body, published_at = _fetch(place)
    if body[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            body = archive.read(archive.namelist()[0])
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(lines, [])]
        rows = [(number, line) for number, line in enumerate(lines, 2) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Permanent(f"not CSV in UTF-8: {error}", where=place, todo="mend the file") from error
    # The ECB ends each line with a comma.
    while header and not header[-1]:
        header.pop()
    if not header or len(set(header)) < len(header) or RECORD_NO in header:
        raise Permanent(f"the header is empty, or names a column twice: {header}", where=place, todo="mend the file")
    for number, line in rows:
        if len(line) < len(header) or any(line[len(header) :]):
            raise Permanent(
                f"row {number} has {len(line)} fields, and the header {len(header)}", where=place, todo="mend the file"
            )
    return Table(tuple(header), [tuple(text or None for text in line[: len(header)]) for _, line in rows], published_at)


def _fetch(place: str) -> tuple[bytes, datetime | None]:
    """Return what lies in a place, and when it was published, where the place can tell."""
    try:
        if place.startswith("package:"):
            package, _, name = place.removeprefix("package:").partition("/")
            return files(package).joinpath(name).read_bytes(), None
        if place.startswith(("http://", "https://")):
            with urllib.request.urlopen(place, timeout=_TIMEOUT_SECONDS) as answer:
                said = answer.headers.get("Last-Modified")
                return answer.read(), parsedate_to_datetime(said).astimezone(UTC) if said else None
        path = Path(place).expanduser()
        return path.read_bytes(), datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    except urllib.error.HTTPError as error:
        kind = Transient if error.code >= 500 or error.code == 429 else Permanent
        raise kind(f"the address answers {error.code}", where=place, todo="look at the address") from error
    except (urllib.error.URLError, TimeoutError) as error:
        raise Transient(f"the address does not answer: {error}", where=place, todo="try again later") from error
    except (OSError, ModuleNotFoundError) as error:
        raise Permanent(f"the file cannot be read: {error}", where=place, todo="name one that is there") from error


def _prepared(contract: Contract, table: Table, place: str) -> Table:
    """Bring a file to the contract's columns where it has one column a kind, and say which edition a row is of."""
    if contract.unpivot and not set(contract.unpivot) <= set(table.columns):
        first, kind, value = contract.unpivot
        rows: list[Row] = [
            (row[0], name, cell)
            for row in table.rows
            for name, cell in zip(table.columns[1:], row[1:], strict=True)
            if cell and cell.strip() not in ("", "N/A")
        ]
        table = Table((first, kind, value), rows, table.published_at)
    version = contract.version_column
    if version and version not in table.columns:
        edition = iso(table.published_at) if table.published_at else _latest_date(contract, table)
        table = Table((*table.columns, version), [(*row, edition) for row in table.rows], table.published_at)
    return table


def _latest_date(contract: Contract, table: Table) -> str | None:
    """A file that does not say when it was published is as new as the latest date in it."""
    if contract.event_time not in table.columns:
        return None
    place = table.columns.index(contract.event_time)
    dates = [text for row in table.rows if (text := row[place]) and _DATE.fullmatch(text)]
    return f"{max(dates)}T00:00:00Z" if dates else None


def _of_window(run: Run, contract: Contract, table: Table) -> Table:
    """Keep the rows of the window and, for what is corrected late, of the contract's lateness before it.

    What has no readable date is kept: its contract refuses it, and somebody is told.
    """
    if contract.event_time not in table.columns:
        return table
    place = table.columns.index(contract.event_time)
    start = (run.window.start - contract.lateness).date().isoformat()
    end = (run.window.end - timedelta(microseconds=1)).date().isoformat()
    rows = [row for row in table.rows if not (text := row[place]) or not _DATE.match(text) or start <= text[:10] <= end]
    return Table(table.columns, rows, table.published_at)


def _stage(folder: Path, run: Run, contract: Contract, table: Table) -> Manifest:
    """Write the rows, sorted, so that the same rows are the same batch whatever their order."""
    rows = sorted(table.rows, key=lambda row: tuple(text or "" for text in row))
    schema = pa.schema([(name, pa.string()) for name in table.columns])
    writer = PartWriter(folder, schema, dictionary=list(table.columns))
    writer.begin()
    if rows:
        writer.add(
            pa.Table.from_arrays([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], schema=schema)
        )
    writer.keep()
    return Manifest(
        dataset=contract.dataset,
        batch_id=bronze.identify(contract.dataset, run.window, [table.columns, *rows]),
        source=contract.source,
        window=run.window,
        contract_version=contract.version,
        landed_at=run.landed_at,
        counted_by_source=len(table.rows),
        records_written=writer.records,
        files=writer.finish(),
        columns=table.columns,
    )
