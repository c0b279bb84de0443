"""Count the records of a source's files a second time, by day, to compare with what landed of them.

It shares no code with the reading of a landing: another listing, other decompression, other parsers. The files are listed before the
landing, and one that changes meanwhile is not counted. Only paths with a folder or file per day are counted: of files for all days,
each window takes its share, and remote files would be fetched twice. Avro is not counted.
"""

import csv
import glob
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from ingestion import bronze
from ingestion.contract import Contract
from ingestion.file_settings import PARTS, Dialect
from ingestion.land import Run
from ingestion.manifest import Manifest, still_waiting
from ingestion.names import steps_of
from ingestion.sources import landing_names, locations
from ingestion.sources.counts import Count, mark_of
from ingestion.window import Window

_NAMED_FILES = 5
_GZIP, _ZSTD, _ZIP, _PARQUET, _AVRO = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PAR1", b"Obj\x01"


@dataclass(frozen=True)
class Listed:
    """A file as a listing found it: its name in manifests, and what tells whether it has changed since."""

    name: str
    path: Path
    mark: tuple[int, int, int]


Listing = Mapping[str, Mapping[date, Sequence[Listed]]]


def list_files(contracts: Iterable[Contract], window: Window) -> Listing:
    """List the files of each day of a window, by dataset; of datasets whose files are counted."""
    found: dict[str, dict[date, list[Listed]]] = {}
    for contract in contracts:
        location = locations.location_of(contract)
        if locations.is_path(location) and locations.is_dated(location) and not contract.settings.unpivot:
            found[contract.dataset] = {day.date: [*_listed(location, day)] for day in window.days()}
    return found


def _listed(location: str, day: Window) -> Iterator[Listed]:
    pattern = glob.escape(location).replace("[*]", "*")
    for part, written in PARTS.items():
        pattern = pattern.replace(f"{{{part}}}", "[0-9][0-9]" if part == "hour" else written(day.start))
    is_open = location.rpartition("/")[2].startswith("*")
    for found in sorted(glob.glob(str(Path(pattern).expanduser()))):  # noqa: PTH207 (Path.glob() takes no whole path)
        path = Path(found)
        if (mark := mark_of(path)) and landing_names.may_be_data(path.name) and not (is_open and path.name[0] in "._"):
            yield Listed(locations.name_below(location, found), path, mark)


def count(run: Run, contracts: Mapping[str, Contract], listing: Listing) -> list[Count]:
    """Count the listed files that did not change, and what landed of them. A file that waits is named by its landing."""
    found = []
    for dataset, days in listing.items():
        refs = [ref for day in days for ref in bronze.list_batches(run.home, dataset, day)]
        manifests = list(bronze.readable(run.home, refs))
        found += [_count_day(contracts[dataset], day, files, manifests) for day, files in sorted(days.items()) if files]
    return found


def _count_day(contract: Contract, day: date, files: Sequence[Listed], manifests: Sequence[Manifest]) -> Count:
    inputs = [
        one for manifest in manifests for one in (manifest.reading.inputs if manifest.reading else manifest.inputs)
    ]
    landed = {(one.path, one.sha256): one.records for one in inputs}
    waiting = {one.path for one in still_waiting(manifests)}
    records = taken = 0
    unread: list[str] = []
    for file in files:
        if file.name in waiting:
            continue
        stored = file.path.read_bytes()
        here = _records(stored, contract)
        if here is None or mark_of(file.path) != file.mark:
            continue
        records += here
        if (key := (file.name, sha256(stored).hexdigest())) in landed:
            taken += landed[key]
        elif here:
            unread.append(f"{file.name} ({here} records)")
    more = f" and {len(unread) - _NAMED_FILES} more" if len(unread) > _NAMED_FILES else ""
    note = f"not read: {', '.join(unread[:_NAMED_FILES])}{more}" if unread else None
    return Count(contract.dataset, day.isoformat(), None, str(records), None, str(taken), None, note)


def _records(stored: bytes, contract: Contract) -> int | None:
    """Count the records of a file; None if this reading cannot say how many there are."""
    try:
        body = _unpacked(stored)
        if contract.format == "json_lines":
            lines = body.count(b"\n") + (bool(body) and not body.endswith(b"\n"))
            return lines + sum(
                map(partial(_further, steps=steps_of(contract.each)), body.split(b"\n") if contract.each else ())
            )
        if body.startswith(_PARQUET):
            rows: int = pq.ParquetFile(pa.BufferReader(body)).metadata.num_rows
            return rows
        return None if body.startswith(_AVRO) else _rows_of_csv(body, contract.settings.csv)
    except (
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        zipfile.BadZipFile,
        zstandard.ZstdError,
        pa.ArrowException,
        csv.Error,
    ):
        return None


def _further(line: bytes, steps: Sequence[str]) -> int:
    """Count the elements of a line's lists after the first one, each of which is a record of its own."""
    try:
        found = json.loads(line.decode("utf-8-sig"), object_pairs_hook=tuple, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return 0
    return max(sum(_records_in(one, steps) for one in (found if isinstance(found, list) else [found])) - 1, 0)


def _records_in(value: object, steps: Sequence[str]) -> int:
    """Count the records of a line, or of an element of one that is a list: one at least."""
    try:
        return (_elements(value, steps) if steps else 0) or 1
    except ValueError:
        return 1


def _elements(value: object, steps: Sequence[str]) -> int:
    """Count the elements of the lists below some names; an element without such a list counts once beside those that have one."""
    if isinstance(value, list):
        counts = [_elements(one, steps) if steps else 1 for one in value]
        return sum(one or 1 for one in counts) if any(counts) else 0
    if not isinstance(value, tuple) or not steps:
        return 0
    named = [one for name, one in value if name == steps[0]]
    if len(named) > 1:
        raise ValueError(f"{steps[0]} is there twice")
    return _elements(named[0], steps[1:]) if named else 0


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _unpacked(body: bytes) -> bytes:
    while body[:4] in (_ZSTD, _ZIP) or body[:2] == _GZIP:
        if body[:2] == _GZIP:
            body = gzip.decompress(body)
        elif body[:4] == _ZSTD:
            body = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True).read()
        else:
            with zipfile.ZipFile(io.BytesIO(body)) as packed:
                body = packed.read(next(one for one in packed.infolist() if not one.is_dir()))
    return body


def _rows_of_csv(body: bytes, dialect: Dialect) -> int | None:
    """Count the rows below the header. Where quotes are not sound, no other reading says what a row is."""
    text = body.decode(dialect.encoding, "replace").removeprefix("\ufeff")
    if re.match(r"sep=.[\r\n]", text, re.IGNORECASE):
        text = text.split("\n", 1)[-1]
    rows = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        quoting=csv.QUOTE_NONE if dialect.quote is None else csv.QUOTE_MINIMAL,
        escapechar=None if dialect.escape == dialect.quote else dialect.escape,
        strict=True,
    )
    found = sum(1 for row in rows if row)
    return found if dialect.header else max(found - 1, 0)
