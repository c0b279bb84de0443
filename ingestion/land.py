"""Land records as batches. Only here is a batch described, a source's count compared, a window's silence refused, a commit made.

A source reads a window and stages batches (`Staging`): it writes files to a folder, and describes them (`describe`) with the
number of records that it counted. They are committed afterwards, each whole or not at all; those that share a snapshot enter
a build together.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion import bronze, log
from ingestion.contract import Contract, say_duration
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.manifest import File, Manifest, Waiting
from ingestion.window import Window

if TYPE_CHECKING:  # pyarrow takes a tenth of a second to import, and much that imports this module only reports
    import pyarrow as pa

Report = Callable[[str], None]


def silent(_line: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Run:
    """One window of one source to land. `landed_at` is the run's only clock."""

    window: Window
    home: Home
    contracts: Mapping[str, Contract]
    landed_at: datetime
    report: Report = silent
    # Whether to count the window, of whole days, at the source as well, and to find deletions.
    is_sweep: bool = False
    # The days before the window that this sweep also lands whole.
    swept: tuple[Window, ...] = ()


@dataclass(frozen=True)
class Landing:
    """The batches that now hold the window, those that this run landed, and the files that it could not read."""

    source: str
    window: Window
    manifests: tuple[Manifest, ...]
    new: frozenset[str]
    waiting: tuple[Waiting, ...] = ()
    messages: tuple[str, ...] = ()

    @property
    def records(self) -> int:
        """The number of records that this run landed."""
        return sum(manifest.records_written for manifest in self.manifests if manifest.batch_id in self.new)


@dataclass(frozen=True)
class Written:
    """The Parquet files in a staged folder, and their number of records."""

    files: tuple[File, ...]
    records: int


def write(folder: Path, table: "pa.Table", *, dictionary: Sequence[str] = ()) -> Written:
    """Write a table that fits in memory to a staged folder. The columns in `dictionary` have few different values."""
    from ingestion.parquet import PartWriter

    writer = PartWriter(folder, table.schema, dictionary=list(dictionary))
    if table.num_rows:
        writer.begin()
        writer.add(table)
        writer.keep()
    return Written(writer.finish(), writer.records)


def describe(
    written: Written,
    *,
    dataset: str,
    source: str,
    window: Window,
    contract_version: int,
    landed_at: datetime,
    counted: int,
    content: Iterable[object],
    **more: Any,
) -> Manifest:
    """Describe a staged batch; `more` are further fields of its manifest.

    `content` is what the batch's id is derived from: equal content in a window is the same batch. A source that counted
    another number of records than were written is Permanent.
    """
    if written.records != counted:
        raise Permanent(
            f"the source counted {counted:,} records, but {written.records:,} were written",
            where=f"{dataset} {window}",
            todo=f"clearwell ingest {source} {window.options}; if it fails again, report it as a bug in Clearwell",
        )
    return Manifest(
        dataset=dataset,
        batch_id=bronze.identify(dataset, window, content),
        source=source,
        window=window,
        contract_version=contract_version,
        landed_at=landed_at,
        counted_by_source=counted,
        records_written=written.records,
        files=written.files,
        **more,
    )


def expect_records(
    run: Run, contract: Contract, where: str, has_any: Callable[[], bool], more: Iterable[str] = ()
) -> None:
    """Refuse a window without a single record, if it is as long as the contract expects some; `more` may explain it."""
    expected = contract.expect_records_every
    if expected and run.window.length >= expected and not has_any():
        raise Permanent(
            f"no records of {contract.dataset} for {run.window}, but the contract expects some every"
            f" {say_duration(expected)}{''.join(f'; {message}' for message in more)}",
            where=where,
            todo=f"find out why there are none, then run `clearwell ingest {contract.source} {run.window.options}`",
        )


@dataclass
class Staging:
    """Batches that are staged and not committed yet, in the order in which they were added."""

    home: Home
    _stack: ExitStack
    folders: list[Path] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)

    def folder(self, dataset: str) -> Path:
        """Return an empty folder to write in, which lasts as long as this staging."""
        return self._stack.enter_context(bronze.staged(self.home, dataset))

    def add(self, folder: Path, manifest: Manifest) -> Manifest:
        """Add a batch whose files are in one of these folders."""
        self.folders.append(folder)
        self.manifests.append(manifest)
        return manifest

    def files(self, dataset: str, part: str) -> list[str]:
        """List the Parquet files of a dataset's staged batches that are this part of it."""
        return [
            str(folder / file.name)
            for folder, manifest in zip(self.folders, self.manifests, strict=True)
            if (manifest.dataset, manifest.part) == (dataset, part)
            for file in manifest.files
        ]

    def commit(self, *, as_snapshot: bool = False) -> list[tuple[Manifest, bool]]:
        """Move the batches into bronze; return each with whether it is new. In a snapshot, all of them enter a build or none does.

        Forgotten people stay out.
        """
        from ingestion import forgotten  # it imports pyarrow, which whoever lands has done already

        with forgotten.list_stays(self.home):
            staged = zip(self.folders, self.manifests, strict=True)
            manifests = [forgotten.keep_out(self.home, folder, manifest) for folder, manifest in staged]
            manifests = _as_snapshot(manifests) if as_snapshot else manifests
            return [
                _commit(self.home, folder, manifest) for folder, manifest in zip(self.folders, manifests, strict=True)
            ]


def _commit(home: Home, folder: Path, manifest: Manifest) -> tuple[Manifest, bool]:
    held, is_new = bronze.commit(home, folder, manifest)
    log.event(
        "batch landed" if is_new else "batch had landed before",
        dataset=held.dataset,
        batch_id=held.batch_id,
        records=held.records_written,
        bytes=held.bytes,
    )
    return held, is_new


@contextmanager
def staging(home: Home) -> Iterator[Staging]:
    """Give a `Staging`. What it has not committed at the end is deleted."""
    with ExitStack() as stack:
        yield Staging(home, stack)


def _as_snapshot(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Return the manifests, each of which names all batches of the snapshot."""
    batches: dict[str, str] = {}
    for manifest in manifests:
        number = sum(name.split(" ")[0] == manifest.dataset for name in batches)
        batches[f"{manifest.dataset} {number + 1}" if number else manifest.dataset] = manifest.batch_id
    snapshot_id = hashlib.sha256(repr(sorted(batches.items())).encode()).hexdigest()[:20]
    return [replace(manifest, snapshot_id=snapshot_id, snapshot_batches=batches) for manifest in manifests]


def landed(
    run: Run,
    source: str,
    committed: Iterable[tuple[Manifest, bool]],
    messages: Sequence[str] = (),
    waiting: Iterable[Waiting] = (),
) -> Landing:
    """Return the result of a run, and report its messages."""
    for message in messages:
        run.report(message)
    batches = list(committed)
    return Landing(
        source,
        run.window,
        tuple(manifest for manifest, _ in batches),
        frozenset(manifest.batch_id for manifest, is_new in batches if is_new),
        tuple(sorted(waiting)),
        tuple(messages),
    )
