"""The landing folder: `YYYY-MM-DD/HH/*.jsonl` or `.ndjson`, plain, `.gz` or `.zst`: every file once, every line as it is.

A run looks at the hours of its window and at those before it in which late files are still expected. A batch holds
what was new in one folder hour, so its window is that hour. A file is known by path, size and checksum.

Files and folders that are not read are reported. If they may be data of an hour (a file of another kind, a folder within
the hour, an hour whose name is written differently), they wait and hold that hour's watermark. If they belong to no hour
(another name or level), they are a message of the run and hold nothing. What cannot be data is not reported: hidden files,
names that start with `_`, notes and checksums, empty files of other kinds, empty folders (see `landing_names`).
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

from ingestion import bronze, faults
from ingestion.contract import Contract
from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from ingestion.kinds import Problem
from ingestion.land import Landing, Run, Staging, Written, describe, expect_records, landed, staging
from ingestion.locks import hold
from ingestion.manifest import Input, Manifest, Waiting, still_waiting
from ingestion.parquet import PartWriter
from ingestion.sources import counts, landing_names
from ingestion.sources.landing_names import STILL_BEING_WRITTEN, Strays
from ingestion.sources.lines import SCHEMA, LineFile, Unreadable, compression
from ingestion.window import Window

DATASET = "clickstream"
QUIET = timedelta(seconds=3)


def ingest(source: str, run: Run) -> Landing:
    """Land what is new in the hours of the window, and in the hours before it that may still get late files."""
    if missing := _missing(run.home):
        raise missing
    contract = run.contracts[DATASET]
    # a sweep visits each of the earlier days by itself
    look_back = timedelta(0) if run.is_sweep else contract.lateness
    window = Window(run.window.start - look_back, run.window.end)
    listed = counts.list_files(run.home, run.window) if run.is_sweep else {}
    hours = _Hours(run, contract, landing_names.strays(run.home.landing, window))
    for hour in window.hours():
        with hold(run.home.staging / f"{DATASET}.lock", "lands clicks", run.report):
            hours.land(hour)
    hours.expect_records()
    if run.is_sweep:
        hours.count(listed)
    return hours.landing()


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
    """Land folder hours one after the other, and collect the results. An hour whose earlier batch is damaged is reported."""

    run: Run
    contract: Contract
    strays: Strays
    manifests: dict[str, Manifest] = field(default_factory=dict)
    new: set[str] = field(default_factory=set)
    waiting: list[Waiting] = field(default_factory=list)
    empty: list[Manifest] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _read: dict[str, Manifest] = field(default_factory=dict)

    def land(self, hour: Window) -> None:
        """Land what is new in one folder hour, if anything is; an hour of the window always gets a manifest."""
        earlier = self._earlier(hour)
        in_window = hour.end > self.run.window.start
        if in_window:
            self.manifests.update((manifest.batch_id, manifest) for manifest in earlier)
        with staging(self.run.home) as staged:
            folder = staged.folder(DATASET)
            strays = self.strays.waiting.get(hour, ())
            manifest = _Hour(self.run, hour, earlier, strays, self.contract.version).stage(folder)
            self.waiting.extend(manifest.waiting)
            nothing_new = not manifest.inputs and not manifest.resolved
            if nothing_new and set(manifest.waiting) == set(still_waiting(earlier)) and (earlier or not in_window):
                return
            if in_window and not manifest.records_written:
                self.empty.append(manifest)  # written once it is known that the window is not empty by mistake
                return
            staged.add(folder, manifest)
            self._commit(staged)

    def expect_records(self) -> None:
        """Refuse a window without a single record where the contract expects some; else land its empty hours."""
        held = [one for one in self.manifests.values() if one.window.end > self.run.window.start]
        where, more = str(self.run.home.landing), self._messages()[:3]
        expect_records(self.run, self.contract, where, lambda: any(one.records_written for one in held), more)
        for manifest in self.empty:
            with staging(self.run.home) as staged:
                staged.add(staged.folder(DATASET), manifest)
                self._commit(staged)

    def count(self, listed: Mapping[date, list[counts.Listed]]) -> None:
        """Count the files of each day, as they were listed before they were landed."""
        counted = counts.count_files(listed, self.run.home)
        with staging(self.run.home) as staged:
            folder = staged.folder(counts.DATASET)
            manifest = counts.stage(folder, self.run, DATASET, counted) if counted else None
            if manifest:
                staged.add(folder, manifest)
                self._commit(staged)

    def landing(self) -> Landing:
        by_window = sorted(self.manifests.values(), key=lambda manifest: (manifest.window, manifest.batch_id))
        committed = [(manifest, manifest.batch_id in self.new) for manifest in by_window]
        return landed(self.run, DATASET, committed, self._messages(), self.waiting)

    def _messages(self) -> tuple[str, ...]:
        return (*self.broken, *(f"{left.path} waits: {left.reason}" for left in self.waiting), *self.strays.messages)

    def _commit(self, staged: Staging) -> None:
        try:
            ((manifest, is_new),) = staged.commit()
        except Broken as error:  # an earlier batch is damaged: land the other hours
            self.broken.append(f"{staged.manifests[0].window.start:%Y-%m-%d %H}h is not landed: {error}")
            return
        self.manifests[manifest.batch_id] = manifest
        if is_new:
            self.new.add(manifest.batch_id)
        if is_new and manifest.dataset == DATASET:
            self.run.report(
                f"clickstream {manifest.window.start:%Y-%m-%d %H}h: {manifest.records_written:,} records"
                f" from {len(manifest.inputs)} file(s)"
            )

    def _earlier(self, hour: Window) -> list[Manifest]:
        for ref in bronze.list_batches(self.run.home, DATASET, hour.date):
            if ref.batch_id not in self._read:
                self._read |= {one.batch_id: one for one in bronze.readable(self.run.home, [ref])}
        return [manifest for manifest in self._read.values() if manifest.window == hour]


@dataclass(frozen=True)
class _Hour:
    """One folder hour: its files, compared with those that landed before."""

    run: Run
    hour: Window
    earlier: list[Manifest]
    strays: Sequence[Waiting]
    contract_version: int

    def stage(self, folder: Path) -> Manifest:
        """Write the new files' lines into a staged folder and describe the hour as it is now."""
        writer = PartWriter(folder, SCHEMA, dictionary=["file"])
        inputs: list[Input] = []
        found, waiting = self._look()
        for path in found:
            try:
                landed = self._write(path, writer)
            except Unreadable as error:
                writer.drop()
                if os.path.lexists(path):
                    waiting.append(Waiting(self._name(path), str(error)))
            else:
                if landed:
                    inputs.append(landed)
        return self._describe(writer, inputs, waiting)

    def _look(self) -> tuple[list[Path], list[Waiting]]:
        """List the hour's files by name: those to read, and those that cannot be read yet."""
        folder = self.run.home.landing / f"{self.hour.start:%Y-%m-%d}" / f"{self.hour.start:%H}"
        found: list[Path] = []
        waiting = {stray.path: stray.reason for stray in self.strays}
        try:
            names = sorted(entry.name for entry in os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            names = []  # a file in place of the hour's folder is reported as a stray
        except OSError as error:
            if faults.is_of_process(error):
                raise
            names, waiting[self._name(folder)] = [], os.strerror(error.errno or 0).lower()
        landed = {(file.path, file.bytes, file.mtime_ns) for manifest in self.earlier for file in manifest.inputs}
        for path in (folder / name for name in names):
            try:
                now = path.stat()
            except OSError as error:
                reason = landing_names.why_not_found(path, error)
            else:
                reason = landing_names.why_not_read(path, now)
                is_read = reason is None and stat.S_ISREG(now.st_mode) and compression(path.name)
                if is_read and (self._name(path), now.st_size, now.st_mtime_ns) not in landed:
                    found.append(path)
            if reason:
                waiting[self._name(path)] = reason
        return found, [Waiting(*left) for left in waiting.items()]

    def _write(self, path: Path, writer: PartWriter) -> Input | None:
        """Write one file's lines; None if it has landed before or is gone."""
        file, name, before = LineFile(path), self._name(path), writer.records
        writer.begin()
        for table in file.tables(name):
            writer.add(table)
        landed = Input(name, file.size, file.sha256, file.lines, file.mtime_ns)
        if self._known(landed):
            writer.drop()
            return None
        self._check_complete(file)
        if writer.records - before != file.lines:
            raise Permanent(f"{file.lines} lines were read but {writer.records - before} were written", where=str(path))
        writer.keep()
        return landed

    def _known(self, file: Input) -> bool:
        return (file.path, file.bytes, file.sha256) in self._landed_content

    @cached_property
    def _landed_content(self) -> set[tuple[str, int, str]]:
        return {(old.path, old.bytes, old.sha256) for manifest in self.earlier for old in manifest.inputs}

    def _check_complete(self, file: LineFile) -> None:
        """Raise Unreadable for a plain file that ends within a line while its writer may still be at work."""
        recent = self.run.landed_at.timestamp() - file.mtime_ns / 1e9 < QUIET.total_seconds()
        if recent and compression(file.path.name) == "plain" and not (file.lines and file.ends_with_newline):
            raise Unreadable(STILL_BEING_WRITTEN)

    def _describe(self, writer: PartWriter, inputs: list[Input], waiting: list[Waiting]) -> Manifest:
        now = {left.path for left in waiting} | {file.path for file in inputs}
        resolved = sorted(left.path for left in still_waiting(self.earlier) if left.path not in now)
        waiting = sorted(waiting)
        return describe(
            Written(writer.finish(), writer.records),
            dataset=DATASET,
            source=DATASET,
            window=self.hour,
            contract_version=self.contract_version,
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

    def _name(self, path: Path) -> str:
        return landing_names.name_of(path, self.run.home.landing)
