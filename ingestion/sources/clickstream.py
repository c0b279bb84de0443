"""The landing folder: `YYYY-MM-DD/HH/*.jsonl` or `.ndjson`, plain, `.gz` or `.zst`: every file once, every line as it is.

A run looks at the hours of its window and at those before it in which late files are still expected. A batch holds
what was new in one folder hour, so its window is that hour; a quiet day that had not landed is one batch, if a run covers
all of it (see `line_batches`). A file is known by path, size and checksum.

Files and folders that are not read are reported. If they may be data of an hour (a file of another kind, a folder within
the hour, an hour whose name is written differently), they wait and hold that hour's watermark. If they belong to no hour
(another name or level), they are a message of the run and hold nothing. What cannot be data is not reported: hidden files,
names that start with `_`, notes and checksums, empty files of other kinds, empty folders (see `landing_names`).
"""

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from ingestion import bronze, faults
from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.kinds import Problem
from ingestion.land import Landing, Run, staging
from ingestion.locks import hold
from ingestion.manifest import Manifest, Waiting
from ingestion.sources import counts, landing_names, line_batches
from ingestion.sources.landing_names import Strays
from ingestion.sources.line_batches import Batches, LineBatch, Upcoming
from ingestion.sources.lines import LineFile, compression
from ingestion.window import DAY, HOUR, Window

DATASET = "clickstream"


def ingest(source: str, run: Run) -> Landing:
    """Land what is new in the hours of the window, and in the hours before it that may still get late files."""
    if missing := _missing(run.home):
        raise missing
    contract = run.contracts[DATASET]
    # a sweep visits each of the earlier days by itself
    look_back = timedelta(0) if run.is_sweep else contract.lateness
    window = Window(run.window.start - look_back, run.window.end)
    listed = counts.list_files(run.home, run.window) if run.is_sweep else {}
    with Upcoming() as upcoming:
        hours = _Hours(run, contract, landing_names.strays(run.home.landing, window), upcoming)
        for part in line_batches.days_and_hours(window, run.window):
            with hold(run.home.staging / f"{DATASET}.lock", "lands clicks", run.report):
                is_landed = part.length == DAY and hours.land_together(part)
            for hour in () if is_landed else part.hours():
                with hold(run.home.staging / f"{DATASET}.lock", "lands clicks", run.report):
                    hours.land(hour)
    hours.batches.expect_records()
    if run.is_sweep:
        hours.count(listed)
    return hours.batches.landing()


def check(source: str, _contracts: Sequence[Contract], home: Home) -> list[Problem]:
    """Find what would keep the landing folder from being read: it does not exist, or may not be listed."""
    if missing := _missing(home):
        return [Problem.of(missing, source)]
    try:
        next(os.scandir(home.landing), None)
    except OSError as error:
        what = f"the landing folder cannot be listed: {error.strerror}"
        todo = "give the user that runs Clearwell the right to read it"
        return [Problem(source, "", what, str(home.landing), todo)]
    return []


def size(home: Home, window: Window) -> int:
    """Return the bytes of the files in the hours of a window, as stored; what cannot be looked at has none."""
    found = 0
    for hour in window.hours():
        with suppress(OSError):
            found += sum(entry.stat().st_size for entry in os.scandir(_hour_folder(home, hour)))
    return found


def _hour_folder(home: Home, hour: Window) -> Path:
    return home.landing / f"{hour.start:%Y-%m-%d}" / f"{hour.start:%H}"


def _missing(home: Home) -> Permanent | None:
    if home.landing.is_dir():
        return None
    return Permanent(
        "the landing folder of the clickstream does not exist",
        where=str(home.landing),
        todo="create it, or point CLICKSTREAM_LANDING at it; if the company has no clickstream, leave clickstream out of"
        " CLEARWELL_SOURCES",
    )


@dataclass
class _Hours:
    """Land folder hours one after the other."""

    run: Run
    contract: Contract
    strays: Strays
    upcoming: Upcoming
    batches: Batches = field(init=False)
    _read: dict[str, Manifest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.batches = Batches(
            self.run, self.contract, str(self.run.home.landing), self.upcoming, told=self.strays.messages
        )

    def land(self, hour: Window) -> None:
        """Land what is new in one folder hour. Meanwhile the files of the next one are read: what has landed of them is known by now."""
        batch = self._folder(hour, self._holding(hour))
        batch.read_ahead(self.upcoming)
        following = Window(hour.end, hour.end + HOUR)
        if batch.looked[0] and following.date == hour.date and following.end <= self.run.window.end:
            self._folder(following, self._known(following)).read_ahead(self.upcoming)
        self.batches.land(batch)

    def land_together(self, day: Window) -> bool:
        """Land what is new in a day as one batch, if it is a quiet one; return whether it was."""
        if any(map(self.strays.waiting.get, day.hours())):
            return False
        return self.batches.land(_Folders.of(self.run, self.contract, day, self._holding(day)), if_quiet=True)

    def count(self, listed: Mapping[date, list[counts.Listed]]) -> None:
        """Count the files of each day, as they were listed before they were landed."""
        counted = counts.count_files(listed, self.run.home)
        with staging(self.run.home) as staged:
            folder = staged.folder(counts.DATASET)
            manifest = counts.stage(folder, self.run, DATASET, counted) if counted else None
            if manifest:
                staged.add(folder, manifest)
                self.batches.commit(staged)

    def _holding(self, part: Window) -> list[Manifest]:
        """Read the manifests of the batches that may hold files of an hour, or of a day."""
        for ref in bronze.list_batches(self.run.home, DATASET, part.date):
            if ref.batch_id not in self._read:
                self._read |= {one.batch_id: one for one in bronze.readable(self.run.home, [ref])}
        return self._known(part)

    def _known(self, part: Window) -> list[Manifest]:
        return [one for one in self._read.values() if one.window.start < part.end and one.window.end > part.start]

    def _folder(self, hour: Window, holding: Sequence[Manifest]) -> "_Folders":
        return _Folders.of(self.run, self.contract, hour, holding, self.strays.waiting.get(hour, ()))


@dataclass(frozen=True)
class _Folders(LineBatch[Path]):
    """One folder hour, or those of a day."""

    strays: Sequence[Waiting] = ()

    def _look(self) -> tuple[list[Path], list[Waiting]]:
        waiting = {stray.path: stray.reason for stray in self.strays}
        found = [path for hour in self.window.hours() for path in self._list(hour, waiting)]
        return found, [Waiting(*left) for left in waiting.items()]

    def _list(self, hour: Window, waiting: dict[str, str]) -> list[Path]:
        """List an hour's files to read by name; put those that cannot be read yet in `waiting`, with the reason."""
        folder = _hour_folder(self.run.home, hour)
        found: list[Path] = []
        try:
            names = sorted(entry.name for entry in os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            names = []  # a file in place of the hour's folder is reported as a stray
        except OSError as error:
            if faults.is_of_process(error):
                raise
            names, waiting[self._name(folder)] = [], os.strerror(error.errno or 0).lower()
        for path in (folder / name for name in names):
            try:
                now = path.stat()
            except OSError as error:
                reason = landing_names.why_not_found(path, error)
            else:
                reason = landing_names.why_not_read(path, now)
                is_read = reason is None and stat.S_ISREG(now.st_mode) and compression(path.name)
                if is_read and (self._name(path), now.st_size, now.st_mtime_ns) not in self.landed_files:
                    found.append(path)
            if reason:
                waiting[self._name(path)] = reason
        return found

    def _open(self, item: Path) -> LineFile:
        return LineFile(item)

    def _open_ahead(self, item: Path) -> LineFile:
        return self._open(item)

    def _size(self, item: Path) -> int:
        return item.stat().st_size if item.exists() else 0

    def _name(self, item: Path) -> str:
        return landing_names.name_of(item, self.run.home.landing)

    def _is_there(self, item: Path) -> bool:
        return os.path.lexists(item)
