"""Land files of lines: every file once, every line as it is, in one batch for each hour, day or window that has new ones.

A file is known by path, size and checksum. One that cannot be read whole waits: it holds its window's watermark until it lands
or is gone. What differs by source is where files are found: it subclasses `LineBatch`.

Where each hour has a folder, a year of little traffic would be a batch an hour. So a run that covers a whole day lands it as one
batch, if most of its hours have never landed, its new files are small, and none waits. Whatever comes later is a batch of its hour.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from ingestion.contract import Contract
from ingestion.errors import Broken, Permanent
from ingestion.land import Landing, Run, Staging, Written, describe, expect_records, landed, staging
from ingestion.manifest import Input, Manifest, Waiting, still_waiting
from ingestion.parquet import PartWriter
from ingestion.sources.landing_names import STILL_BEING_WRITTEN
from ingestion.sources.lines import PARTS_AHEAD, SCHEMA, LineFile, Memory, Unreadable
from ingestion.sources.read_ahead import ReadAhead
from ingestion.window import HOUR, Window, joined

QUIET = timedelta(seconds=3)
_SECOND_NS = 1_000_000_000
# Seconds after which a file that is written again has another time, also if the clocks differ a little.
_TICKS = 3
# The stored size of the new files of a quiet day, at most.
QUIET_DAY_BYTES = 4 << 20
# How a source refers to a file.
Item = TypeVar("Item")


def days_and_hours(span: Window, window: Window) -> list[Window]:
    """List the days of a span that lie in a run's window, and the hours of the other days."""
    parts: list[Window] = []
    for day in span.days():
        is_whole = day.start >= window.start and day.end <= window.end
        parts += [day] if is_whole else day.within(span).hours()
    return parts


@dataclass(frozen=True)
class LineBatch(ABC, Generic[Item]):
    """What one window has: its files, compared with those that landed before."""

    run: Run
    contract: Contract
    window: Window
    # The window's batches, and all those that may hold a file that is found.
    earlier: Sequence[Manifest]
    holding: Sequence[Manifest]

    @classmethod
    def of(cls, run: Run, contract: Contract, window: Window, holding: Sequence[Manifest], *more: Any) -> Self:
        """Return a window's batch, of which other batches, also of other windows, may hold files."""
        return cls(run, contract, window, [one for one in holding if one.window == window], holding, *more)

    @abstractmethod
    def _look(self) -> tuple[list[Item], list[Waiting]]:
        """List the window's files by name: those to read, and those that cannot be read yet."""

    @abstractmethod
    def _open(self, item: Item) -> LineFile:
        """Return a file to read. Raise Unreadable if it cannot be had."""

    def _open_ahead(self, item: Item) -> LineFile | None:
        """Return a file to read before its turn; None if it has to wait for that."""
        return None

    @abstractmethod
    def _size(self, item: Item) -> int:
        """Return the size of a file as it is stored."""

    @abstractmethod
    def _name(self, item: Item) -> str:
        """Return the name under which a file is known."""

    @abstractmethod
    def _is_there(self, item: Item) -> bool:
        """Say whether a file that could not be read still exists."""

    def read_ahead(self, upcoming: "Upcoming") -> None:
        """Begin to read the files that are to be landed, if they can be read before their turn."""
        for item in self.looked[0]:
            if self._name(item) not in upcoming and (file := self._open_ahead(item)):
                upcoming.add(self._name(item), file)

    def stage(self, folder: Path, upcoming: "Upcoming") -> Manifest:
        """Write the new files' lines into a staged folder and describe the window as it is now."""
        self.read_ahead(upcoming)
        writer = PartWriter(folder, SCHEMA, dictionary=["file"], numbered=["line_number"])
        inputs: list[Input] = []
        found, waiting = self.looked
        waiting = [*waiting]
        for item in found:
            try:
                landed = self._write(item, writer, upcoming)
            except Unreadable as error:
                writer.drop()
                if self._is_there(item):
                    waiting.append(Waiting(self._name(item), str(error)))
            else:
                if landed:
                    inputs.append(landed)
        return self._describe(writer, inputs, waiting)

    @cached_property
    def looked(self) -> tuple[list[Item], list[Waiting]]:
        """The window's files, listed once."""
        return self._look()

    @property
    def is_quiet(self) -> bool:
        """Whether most of the window's hours have never landed, what is new in them is small, and nothing waits."""
        landed = joined(one.window for one in self.holding)
        left = sum((part.length for part in self.window.without(landed)), timedelta(0))
        if left * 2 <= self.window.length or still_waiting(self.holding):
            return False
        found, waiting = self.looked
        return not waiting and sum(map(self._size, found)) <= QUIET_DAY_BYTES

    def _write(self, item: Item, writer: PartWriter, upcoming: "Upcoming") -> Input | None:
        """Write one file's lines; None if it has landed before or is gone."""
        writer.begin()
        name, before = self._name(item), writer.records
        file = upcoming.take(name) or self._open(item)
        for table in file.tables(name):
            writer.add(table)
        landed = Input(name, file.size, file.sha256, file.records, file.mtime_ns)
        if (landed.path, landed.bytes, landed.sha256) in self._landed_content:
            writer.drop()
            return None
        self._check_complete(file)
        if writer.records - before != file.records:
            raise Permanent(f"{file.records} records were read but {writer.records - before} were written", where=name)
        writer.keep()
        return landed

    @cached_property
    def _landed_content(self) -> set[tuple[str, int, str]]:
        return {(old.path, old.bytes, old.sha256) for manifest in self.holding for old in manifest.inputs}

    @cached_property
    def landed_files(self) -> set[tuple[str, int, int]]:
        """The files that have landed, as they looked: those that look the same are not read again.

        Where times are whole seconds, a file that landed as soon as it was written may have changed and look the same.
        """
        return {
            (file.path, file.bytes, file.mtime_ns)
            for manifest in self.holding
            for file in manifest.inputs
            if file.mtime_ns % _SECOND_NS or manifest.landed_at.timestamp() - file.mtime_ns / _SECOND_NS > _TICKS
        }

    def _check_complete(self, file: LineFile) -> None:
        """Raise Unreadable for a plain file that ends within a line while its writer may still be at work."""
        recent = self.run.landed_at.timestamp() - file.mtime_ns / 1e9 < QUIET.total_seconds()
        if recent and file.kind == "plain" and not (file.lines and file.ends_with_newline):
            raise Unreadable(STILL_BEING_WRITTEN)

    def _describe(self, writer: PartWriter, inputs: list[Input], waiting: list[Waiting]) -> Manifest:
        now = {left.path for left in waiting} | {file.path for file in inputs}
        resolved = sorted(left.path for left in still_waiting(self.earlier) if left.path not in now)
        waiting = sorted(waiting)
        return describe(
            Written(writer.finish(), writer.records),
            dataset=self.contract.dataset,
            source=self.contract.source,
            window=self.window,
            contract_version=self.contract.version,
            landed_at=self.run.landed_at,
            counted=sum(file.records for file in inputs),
            content=self._content(inputs, waiting, resolved),
            inputs=tuple(inputs),
            waiting=tuple(waiting),
            resolved=tuple(resolved),
        )

    def _content(self, inputs: list[Input], waiting: list[Waiting], resolved: list[str]) -> Iterator[object]:
        """Return the content that the batch id is derived from: its files and, for what it says of others, what was said before.

        Without the latter, a file that waits, goes and waits again would get the first batch's id again, and be lost.
        """
        yield from sorted((file.path, file.bytes, file.sha256) for file in inputs)
        yield from (("waiting", left.path, left.reason) for left in waiting)
        yield from (("resolved", path) for path in resolved)
        told = {left.path for left in waiting} | set(resolved)
        yield from sorted(
            ("after", manifest.batch_id)
            for manifest in self.earlier
            if told
            & {*(left.path for left in manifest.waiting), *(f.path for f in manifest.inputs), *manifest.resolved}
        )


class Upcoming:
    """Files that are read before their turn, in the order in which they are added. Leaving it ends this.

    What is added is only a guess at what will be landed: whatever is not taken in turn is dropped.
    """

    def __init__(self) -> None:
        self._ahead = ReadAhead(PARTS_AHEAD)
        self._memory = Memory()
        self._files: dict[str, LineFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ahead.__exit__()

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def add(self, name: str, file: LineFile) -> None:
        """Read a file, known by a name, after those that were added before."""
        file.read_ahead(self._ahead, self._memory)
        self._files[name] = file

    def take(self, name: str) -> LineFile | None:
        """Return the file of a name, and drop those that were added before; None if it is not read ahead, or not as it is now."""
        while name in self._files:
            first = next(iter(self._files))
            file = self._files.pop(first)
            if first == name and not file.has_changed:
                return file
            file.drop()
        return None


@dataclass
class Batches:
    """Land the batches of one run after the other, and collect the results. One whose earlier batch is damaged is reported."""

    run: Run
    contract: Contract
    where: str
    upcoming: Upcoming
    manifests: dict[str, Manifest] = field(default_factory=dict)
    new: set[str] = field(default_factory=set)
    waiting: list[Waiting] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    _empty: list[Manifest] = field(default_factory=list)
    _broken: list[str] = field(default_factory=list)

    def land(self, batch: LineBatch[Any], *, if_quiet: bool = False) -> bool:
        """Land what is new in a window, if anything is; a part of the run's own window is always held by a manifest.

        Return whether that is done: `if_quiet` leaves a window that is not quiet, to be landed hour by hour.
        """
        if if_quiet and not batch.is_quiet:
            return False
        window = batch.window
        holding = [one for one in batch.holding if one.window.start < window.end and one.window.end > window.start]
        in_window = window.end > self.run.window.start
        if in_window:
            self.manifests.update((manifest.batch_id, manifest) for manifest in holding)
        with staging(self.run.home) as staged:
            folder = staged.folder(self.contract.dataset)
            manifest = batch.stage(folder, self.upcoming)
            if if_quiet and manifest.waiting:
                return False
            self.waiting.extend(manifest.waiting)
            nothing_new = not manifest.inputs and not manifest.resolved
            is_held = not window.without(joined(one.window for one in holding))
            known = set(still_waiting(batch.earlier))
            if nothing_new and set(manifest.waiting) == known and (is_held or not in_window):
                return True
            if in_window and not manifest.records_written:
                self._empty.append(manifest)  # written once it is known that the window is not empty by mistake
                return True
            staged.add(folder, manifest)
            self.commit(staged)
            return True

    def expect_records(self) -> None:
        """Refuse a window without a single record where the contract expects some; else land its empty parts."""
        held = [one for one in self.manifests.values() if one.window.end > self.run.window.start]
        more = self.messages()[:3]
        expect_records(self.run, self.contract, self.where, lambda: any(one.records_written for one in held), more)
        for manifest in self._empty:
            with staging(self.run.home) as staged:
                staged.add(staged.folder(self.contract.dataset), manifest)
                self.commit(staged)

    def commit(self, staged: Staging) -> None:
        """Commit one batch. If an earlier one is damaged, the others still land."""
        try:
            ((manifest, is_new),) = staged.commit()
        except Broken as error:
            self._broken.append(f"{_said(staged.manifests[0].window)} is not landed: {error}")
            return
        self.manifests[manifest.batch_id] = manifest
        if is_new:
            self.new.add(manifest.batch_id)
        if is_new and manifest.dataset == self.contract.dataset:
            self.run.report(
                f"{manifest.dataset} {_said(manifest.window)}: {manifest.records_written:,} records"
                f" from {len(manifest.inputs)} file(s)"
            )

    def landing(self) -> Landing:
        """Return the result of the run, and report its messages."""
        return landed(self.run, self.contract.source, self.committed(), self.messages(), self.waiting)

    def committed(self) -> list[tuple[Manifest, bool]]:
        """Return the batches that hold the window, each with whether this run landed it."""
        by_window = sorted(self.manifests.values(), key=lambda manifest: (manifest.window, manifest.batch_id))
        return [(manifest, manifest.batch_id in self.new) for manifest in by_window]

    def messages(self) -> tuple[str, ...]:
        return (*self._broken, *(f"{left.path} waits: {left.reason}" for left in self.waiting), *self.told)


def _said(window: Window) -> str:
    return f"{window.start:%Y-%m-%d %H}h" if window.length == HOUR else str(window)
