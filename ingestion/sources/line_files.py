"""Datasets that come as files of JSON lines, at the location in their contract. Lines land as those of the clickstream do.

With date parts in the location, a batch holds what is new of one day, or hour; of a day that is the window's own, the window's
part. Without them, it holds what is new since any batch before it. A file is landed once, by path, size and checksum.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from ingestion import bronze, faults
from ingestion.addresses import shown
from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.land import Run
from ingestion.locks import hold
from ingestion.manifest import Manifest, Waiting, still_waiting
from ingestion.sources import locations, places
from ingestion.sources.line_batches import Batches, LineBatch, Upcoming, days_and_hours
from ingestion.sources.lines import LineFile, Unreadable, compression_of, explain
from ingestion.sources.locations import Found
from ingestion.window import DAY, Window


def land(run: Run, contract: Contract) -> Batches:
    """Land what is new in a window, and in the days before it that may still get late files."""
    location = locations.location_of(contract)
    # copies of a landing that is killed are deleted with its other strays
    with Upcoming() as upcoming, bronze.staged(run.home, f"{contract.dataset}-copies") as copies:
        batches = Batches(run, contract, shown(location), upcoming)
        files = _Landing(run, contract, location, batches, copies)
        for part in _parts(run, contract, location):
            files.land(part)
    batches.expect_records()
    return batches


@dataclass(frozen=True)
class _Part:
    """The patterns of the files that one batch takes; `unit` is the time that they are of, None if they are of any.

    A day whose hours have files of their own has a part for each of them as well: it is one batch only if it is quiet.
    """

    window: Window
    unit: Window | None
    patterns: tuple[str, ...]
    hours: tuple["_Part", ...] = ()


def _parts(run: Run, contract: Contract, location: str) -> Iterator[_Part]:
    # a sweep visits each of the earlier days by itself
    look_back = timedelta(0) if run.is_sweep else contract.lateness
    span = Window(run.window.start - look_back, run.window.end)
    units = locations.units(location, span)
    if not locations.is_dated(location):
        patterns = dict.fromkeys(locations.filled(location, unit) for unit in units)
        yield _Part(run.window, None, tuple(patterns))
    elif locations.has_hours(location):
        for part in days_and_hours(span, run.window):
            hours = tuple(_part(run, location, hour) for hour in part.hours())
            if part.length == DAY:
                yield _Part(part, part, tuple(pattern for hour in hours for pattern in hour.patterns), hours)
            else:
                yield from hours
    else:
        yield from (_part(run, location, unit) for unit in units)


def _part(run: Run, location: str, unit: Window) -> _Part:
    is_own = unit.start < run.window.end and unit.end > run.window.start
    return _Part(unit.within(run.window) if is_own else unit, unit, (locations.filled(location, unit),))


@dataclass(frozen=True)
class _Landing:
    """Land the parts of one run; `copies` is a folder for copies of files, and `once` keeps what was listed."""

    run: Run
    contract: Contract
    location: str
    batches: Batches
    copies: Path
    once: locations.ListedOnce = field(default_factory=locations.ListedOnce)

    def land(self, part: _Part) -> None:
        with hold(
            self.run.home.staging / f"{self.contract.dataset}.lock", f"lands {self.contract.dataset}", self.run.report
        ):
            holding = _holding(self.run, self.contract, part)
            more = (part, self.location, self.batches.told, self.copies, self.once)
            batch = _Files.of(self.run, self.contract, part.window, holding, *more)
            is_landed = self.batches.land(batch, if_quiet=bool(part.hours))
        for hour in () if is_landed else part.hours:
            self.land(hour)


def _holding(run: Run, contract: Contract, part: _Part) -> list[Manifest]:
    """Read the manifests of the batches that may hold the files: those of their day, or all."""
    refs = bronze.list_batches(run.home, contract.dataset, part.unit.date if part.unit else None)
    unit = part.unit
    return [
        manifest
        for manifest in bronze.readable(run.home, refs)
        if not unit or (manifest.window.start < unit.end and manifest.window.end > unit.start)
    ]


@dataclass(frozen=True)
class _Files(LineBatch[Found]):
    """The files of some patterns. `skipped` collects what their wildcards met and is not read; `copies` is a folder for copies."""

    part: _Part
    location: str
    skipped: list[str]
    copies: Path
    once: locations.ListedOnce

    def _look(self) -> tuple[list[Found], list[Waiting]]:
        found: list[Found] = []
        missing: list[tuple[Window, str]] = []
        for pattern in self.part.patterns:
            listing = locations.find(pattern, self.once)
            self.skipped.extend(listing.skipped)
            found += listing.files
            if not listing.files and pattern == self.location and not locations.has_wildcard(pattern):
                raise Permanent("the file does not exist", where=shown(pattern), todo="check the path")
            if not listing.files:
                missing.append((self.window, pattern))
        for line in locations.say_missing(self.contract.dataset, missing):
            self.run.report(line)
        new = [one for one in found if (self._name(one), one.size, one.mtime_ns) not in self.landed_files]
        if not self.part.unit and self.run.window in self.run.swept:
            # A sweep visits earlier days before its own: what is new lands with its own.
            waiting = {left.path for left in still_waiting(self.earlier)}
            new = [one for one in new if self._name(one) in waiting]
        return new, []

    def _open(self, item: Found) -> LineFile:
        path = Path(item.place).expanduser()
        if not locations.is_path(item.place):
            # its end says how an empty one is packed
            path = self.copies / f"copy{path.suffix}"
            places.copy(item.place, path)
            if item.mtime_ns:  # as it is listed: a store may say it more exactly there
                os.utime(path, ns=(item.mtime_ns, item.mtime_ns))
        try:
            kind = compression_of(path)
        except OSError as error:
            if faults.is_of_process(error):
                raise
            raise Unreadable(explain(error)) from None
        return LineFile(path, kind, self.contract.each)

    def _open_ahead(self, item: Found) -> LineFile | None:
        if not locations.is_path(item.place):
            return None  # only one is copied at a time
        try:
            return self._open(item)
        except Unreadable:
            return None  # its turn will tell

    def _size(self, item: Found) -> int:
        return max(item.size, 0)

    def _name(self, item: Found) -> str:
        return locations.name_below(self.location, item.place)

    def _is_there(self, item: Found) -> bool:
        return not locations.is_path(item.place) or os.path.lexists(Path(item.place).expanduser())
