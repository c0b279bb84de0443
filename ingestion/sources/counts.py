"""Count a source a second time, by event date, to compare with what a landing took in the same view of it.

It shares no code with the landing: other SQL, other readers. Tables are counted in the landing's own transaction (see
`table_counts`); files are those of a listing made before the landing, as long as they do not change. So a change at the
source is in both counts or in neither, and a difference is a loss. The counts are the dataset `source_counts`.
"""

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from datetime import date
from functools import partial
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from ingestion import bronze
from ingestion.home import Home
from ingestion.land import Run, describe, write
from ingestion.manifest import Manifest, still_waiting
from ingestion.sources import landing_names
from ingestion.window import Window, iso

DATASET = "source_counts"
_READ_BYTES = 1 << 20
_NAMED_FILES = 5


@dataclass(frozen=True, order=True)
class Count:
    """A source's count for one date, and what the landing took: records, and money of one currency. All text, as in bronze.

    `note` names what the source holds but the landing cannot read.
    """

    dataset: str
    event_date: str
    currency: str | None
    records: str
    amount: str | None
    landed_records: str
    landed_amount: str | None = None
    note: str | None = None


COLUMNS = (*(field.name for field in fields(Count)), "counted_at")


def stage(folder: Path, run: Run, source: str, counts: list[Count]) -> Manifest | None:
    """Write counts to a staged folder; return None if they equal those landed last for the window."""
    last = max(_earlier(run.home, source, run.window), key=lambda manifest: manifest.landed_at, default=None)
    if last and _read(run.home, last) == counts:
        return None
    rows = [(*astuple(one), iso(run.landed_at)) for one in counts]
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    table = pa.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in rows], schema=schema)
    # The time of counting is not part of the batch id. The previous counts are: a count that returns to an old value is newest.
    content = (source, *(astuple(one) for one in counts), last.batch_id if last else None)
    return describe(
        write(folder, table, dictionary=COLUMNS),
        dataset=DATASET,
        source=source,
        window=run.window,
        contract_version=run.contracts[DATASET].version if DATASET in run.contracts else 1,
        landed_at=run.landed_at,
        counted=len(counts),
        content=content,
        columns=COLUMNS,
    )


def _earlier(home: Home, source: str, window: Window) -> Iterator[Manifest]:
    refs = bronze.list_batches(home, DATASET, window.date)
    for manifest in bronze.readable(home, refs, partial(bronze.verify, home)):
        if (manifest.source, manifest.window) == (source, window):
            yield manifest


def _read(home: Home, manifest: Manifest) -> list[Count]:
    rows = pa.concat_tables(pq.read_table(path) for path in bronze.parquet_files(home, manifest)).to_pylist()
    return [Count(**{field.name: row.get(field.name) for field in fields(Count)}) for row in rows]


# --- files ---


@dataclass(frozen=True)
class Listed:
    """One file as a listing found it: its name relative to the landing folder, and what tells whether it has changed since."""

    name: str
    path: Path
    mark: tuple[int, int, int]


def list_files(home: Home, window: Window) -> dict[date, list[Listed]]:
    """List every file under a folder of each day, with any name, and however the folder's name spells the date."""
    return {day: [*_walk(home, folders)] for day, folders in _folders(home.landing, window).items()}


def _walk(home: Home, folders: Iterable[Path]) -> Iterator[Listed]:
    for folder in sorted(folders):
        for at, _, names in os.walk(folder):
            for name in sorted(names):
                path = Path(at, name)
                mark = mark_of(path)
                if mark:
                    shown = os.fsencode(path.relative_to(home.landing)).decode("utf-8", "backslashreplace")
                    yield Listed(shown, path, mark)


def count_files(listed: Mapping[date, Iterable[Listed]], home: Home) -> list[Count]:
    """Count the lines of the listed files that did not change, and those that landed; a day without a folder is not counted.

    A file that waits is named by its landing, and holds the watermark: it is not counted here.
    """
    return [_count_day(day, files, home) for day, files in sorted(listed.items())]


def _count_day(day: date, listed: Iterable[Listed], home: Home) -> Count:
    hours: dict[Window, list[Manifest]] = {}
    for manifest in bronze.readable(home, bronze.list_batches(home, "clickstream", day)):
        hours.setdefault(manifest.window, []).append(manifest)
    landed = {
        (file.path, file.sha256): file.records for of_hour in hours.values() for one in of_hour for file in one.inputs
    }
    waiting = {file.path for of_hour in hours.values() for file in still_waiting(of_hour)}
    records = taken = 0
    unread: list[str] = []
    for file in listed:
        above = {file.name, *map(str, PurePosixPath(file.name).parents)}
        if above & waiting or not landing_names.may_be_data(file.path.name):
            continue
        lines, sha256 = _lines_of(file.path)
        if mark_of(file.path) != file.mark:
            continue  # it grew, moved or vanished meanwhile: the next count includes it
        records += lines
        if (file.name, sha256) in landed:
            taken += landed[file.name, sha256]
        elif lines:
            unread.append(f"{file.name} ({lines} lines)")
    more = f" and {len(unread) - _NAMED_FILES} more" if len(unread) > _NAMED_FILES else ""
    note = f"not read: {', '.join(unread[:_NAMED_FILES])}{more}" if unread else None
    return Count("clickstream", day.isoformat(), None, str(records), None, str(taken), None, note)


_DATE = re.compile(r"(\d{4})-?(\d{1,2})-?(\d{1,2})")


def _folders(landing: Path, window: Window) -> dict[date, list[Path]]:
    """List the folders of each date of a window, including those that spell the date differently."""
    wanted = {day.date.isoformat(): day.date for day in window.days()}
    try:
        entries = list(os.scandir(landing))
    except OSError:
        return {}
    found: dict[date, list[Path]] = {}
    for entry in entries:
        match = _DATE.fullmatch(entry.name)
        day = wanted.get("{}-{:0>2}-{:0>2}".format(*match.groups())) if match else None
        if day and landing_names.is_folder(entry):
            found.setdefault(day, []).append(Path(entry.path))
    return found


def mark_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file changes; None for anything that is not a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if path.is_file() else None


def _lines_of(path: Path) -> tuple[int, str]:
    """Count one file's lines, the last one also without a newline, and its checksum as stored; 0 lines if it cannot be read to its end."""
    lines, last, digest = 0, b"\n", hashlib.sha256()
    try:
        with path.open("rb") as stored:
            for piece in iter(lambda: stored.read(_READ_BYTES), b""):
                digest.update(piece)
        for piece in _pieces(path):
            lines += piece.count(b"\n")
            last = piece[-1:] or last
    except (OSError, EOFError, zlib.error, zstandard.ZstdError):
        return 0, ""
    return lines + (last != b"\n"), digest.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    if path.name.lower().endswith(".gz"):
        with gzip.open(path) as inflated:
            yield from iter(lambda: inflated.read(_READ_BYTES), b"")
    elif path.name.lower().endswith(".zst"):
        with path.open("rb") as stored:
            yield from _zstd_pieces(iter(lambda: stored.read(_READ_BYTES >> 4), b""))
    else:
        with path.open("rb") as plain:
            yield from iter(lambda: plain.read(_READ_BYTES), b"")


def _zstd_pieces(stored: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress concatenated frames; raise EOFError if one is cut short, which zstandard's own reader does not report."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    for data in stored:
        while data:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(data)
            data = frame.unused_data
    if not frame.eof:
        raise EOFError
