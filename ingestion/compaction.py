"""Put the records of a day's small batches together in one Parquet file. The batches stay: their ids, manifests and records.

A folder `compacted-<id>/` is written in staging, read back, compared record by record with the files of the batches, and renamed
into place; only then are these removed, one by one. A batch is read from its own file while that exists, so at no moment is a
record in two places or in none. What was interrupted is finished by the next run.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion import bronze, compacted
from ingestion.aside import set_aside
from ingestion.bronze import BatchRef, batch_folder
from ingestion.compacted import Compacted
from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from ingestion.manifest import File, Manifest
from ingestion.names import BRONZE_BATCH, RECORD_NO
from ingestion.parquet import encodings, options

# A file of this size is small, and one with so many of them is large enough. Both are in bytes on disk.
SMALL, ENOUGH = 2_000_000, 16_000_000


@dataclass(frozen=True)
class Group:
    """Small batches of one day and dataset that go into one file, or whose own files are still there after that."""

    dataset: str
    date: date
    manifests: tuple[Manifest, ...]

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.manifests)


def find(home: Home, before: date, is_settled: Callable[[BatchRef], bool]) -> list[Group]:
    """List the groups of settled batches whose window began before a date. Nothing is changed.

    Left where they are: batches of several files, which are not small; those that hold a whole table, which later ones refer
    to; and a batch that would be alone.
    """
    days: dict[tuple[str, date], list[BatchRef]] = defaultdict(list)
    for ref, files in bronze.list_files(home).items():
        own = [size for name, size in files.items() if name != bronze.MANIFEST]
        if ref.date < before and len(own) == 1 and own[0] <= SMALL and is_settled(ref):
            days[ref.dataset, ref.date].append(ref)
    return [
        Group(dataset, day, tuple(group))
        for (dataset, day), refs in sorted(days.items())
        if len(refs) > 1
        for group in _groups(home, refs)
    ]


def _groups(home: Home, refs: Iterable[BatchRef]) -> Iterator[list[Manifest]]:
    alike: dict[str, list[Manifest]] = defaultdict(list)
    for one in bronze.readable(home, refs):
        if len(one.files) == 1 and not one.whole:
            # a reader finds the common file under the name of the batch's own
            alike[repr((one.files[0].name, one.columns, dict(one.renamed)))].append(one)
    for manifests in alike.values():
        group: list[Manifest] = []
        for one in sorted(manifests, key=lambda one: (one.window.start, one.batch_id)):
            if group and sum(other.bytes for other in group) + one.bytes > ENOUGH:
                yield group
                group = []
            group.append(one)
        if len(group) > 1:
            yield group


def compact(home: Home, group: Group) -> bool:
    """Put the batches of a group together; False if one is damaged or has other columns: then all stay as they are."""
    try:
        for one in group.manifests:
            bronze.verify(home, one)
    except Broken:
        return False
    with bronze.staged(home, group.dataset) as folder:
        written = _write(home, group, folder)
        if written is None:
            return False
        day = batch_folder(home, bronze.reference(group.manifests[0])).parent
        target = day / f"{compacted.PREFIX}{_identify(group.manifests)}"
        (folder / compacted.INDEX).write_text(replace(written, folder=target).to_json(), encoding="utf-8")
        for path in (*sorted(folder.iterdir()), folder):
            bronze.force_to_disk(path)
        if not target.exists():
            folder.rename(target)
            bronze.force_to_disk(day)
    finish(home, day)
    return True


def _identify(manifests: Iterable[Manifest]) -> str:
    digest = hashlib.sha256("\n".join(f"{one.batch_id} {one.files[0].sha256}" for one in manifests).encode())
    return digest.hexdigest()[:20]


def _write(home: Home, group: Group, folder: Path) -> Compacted | None:
    """Write the file and compare it with those that it is made of; None if they do not have the same columns."""
    paths = {one.batch_id: batch_folder(home, bronze.reference(one)) / one.files[0].name for one in group.manifests}
    schemas = [pq.read_schema(path) for path in paths.values()]
    if any(not one.equals(schemas[0]) for one in schemas) or BRONZE_BATCH in schemas[0].names:
        return None
    made = folder / group.manifests[0].files[0].name
    dictionary, numbered = encodings(map(pq.read_metadata, paths.values()))
    encoded = options([BRONZE_BATCH, *dictionary], [RECORD_NO, BRONZE_BATCH, *dictionary], numbered)
    with pq.ParquetWriter(made, _with_batch(schemas[0]), **encoded) as writer:
        tables = [_add_batch(_read(path), batch_id) for batch_id, path in paths.items()]
        table = pa.concat_tables(tables).unify_dictionaries()
        writer.write_table(table, row_group_size=max(table.num_rows, 1))
    written = Compacted(folder, bronze.describe(made), {one.batch_id: one.files[0] for one in group.manifests})
    there = _read(made)
    for batch_id, path in paths.items():
        if not _same(_of_batch(there, batch_id), _read(path)):
            raise Permanent(
                f"the records of batch {batch_id} differ after they were compacted",
                where="nothing was changed",
                todo="report it as a bug in Clearwell",
            )
    if there.num_rows != sum(one.records_written for one in group.manifests):
        raise Permanent("a compacted file has other records than its batches", where="nothing was changed")
    return written


def _read(path: Path) -> pa.Table:
    return pq.read_table(path, partitioning=None)


def _with_batch(schema: pa.Schema) -> pa.Schema:
    return schema.insert(0, pa.field(BRONZE_BATCH, pa.string(), nullable=False))


def _add_batch(table: pa.Table, batch_id: str) -> pa.Table:
    ids = pa.array([batch_id]).take(pa.array([0] * table.num_rows, pa.int64()))
    return table.add_column(0, _with_batch(table.schema).field(0), ids)


def _of_batch(table: pa.Table, batch_id: str) -> pa.Table:
    its = pa.compute.equal(table[BRONZE_BATCH], batch_id)
    return table.filter(its).drop_columns([BRONZE_BATCH])


def _same(one: pa.Table, other: pa.Table) -> bool:
    """Say whether two tables hold equal records in the same order, whatever their chunks and dictionaries."""
    return one.schema.equals(other.schema) and (one.equals(other) or one.to_pylist() == other.to_pylist())


def finish(home: Home, day: Path) -> None:
    """Remove the own files of the compacted batches of a day, once their common file is found to be whole.

    If that file is damaged, and the batches were landed again, it is set aside.
    """
    for one in compacted.of_day(day):
        own = {batch_id: day / batch_id / file.name for batch_id, file in one.batches.items()}
        left = {batch_id: path for batch_id, path in own.items() if path.exists()}
        if not left:
            continue
        path = one.folder / one.file.name
        if path.is_file() and bronze.describe(path) == one.file:
            for batch_id, at in left.items():
                if bronze.describe(at) == one.batches[batch_id]:
                    at.unlink()
                    bronze.force_to_disk(at.parent)
        elif left.keys() == own.keys():
            set_aside(home, one.folder, "its batches have files of their own again")


def unfinished(home: Home) -> list[Path]:
    """List the days with a compacted batch that still has a file of its own."""
    found = set()
    for path in home.bronze.glob(f"*/*/{compacted.PREFIX}*"):
        for one in compacted.of_day(path.parent):
            if any((path.parent / batch_id / file.name).exists() for batch_id, file in one.batches.items()):
                found.add(path.parent)
    return sorted(found)


def reindex(home: Home, day: Path) -> bool:
    """Write the lost index of a day's compacted batches again; return whether there was one, and it could be.

    The file names its batches, and their manifests say which file each had. The folder is named after these, so none is missing, and
    each must have all of its records. That the file's bytes are those that were written, nothing but the index could tell: the
    nightly recount compares the records with the state.
    """
    known = {one.folder for one in compacted.of_day(day)}
    lost = [one for one in sorted(day.glob(f"{compacted.PREFIX}*")) if one not in known]
    return bool([one for one in lost if _reindex(home, one)])


def _reindex(home: Home, folder: Path) -> bool:
    try:
        (path,) = folder.glob("*.parquet")
        table = _read(path)
        day = date.fromisoformat(folder.parent.name)
        ids = pa.compute.unique(table[BRONZE_BATCH]).to_pylist()
        found = [bronze.read_manifest(home, BatchRef(folder.parents[1].name, day, one)) for one in ids]
    except (Broken, KeyError, OSError, ValueError, pa.ArrowException):
        return False
    manifests = sorted(found, key=lambda one: (one.window.start, one.batch_id))
    if folder.name != f"{compacted.PREFIX}{_identify(manifests)}" or not all(
        _is_all_of(table, one) for one in manifests
    ):
        return False
    index = Compacted(folder, bronze.describe(path), {one.batch_id: one.files[0] for one in manifests})
    with bronze.staged(home, "index") as aside:
        written = aside / compacted.INDEX
        written.write_text(index.to_json(), encoding="utf-8")
        bronze.force_to_disk(written)
        written.replace(folder / compacted.INDEX)
        bronze.force_to_disk(folder)
    return True


def _is_all_of(table: pa.Table, manifest: Manifest) -> bool:
    """Say whether a table has every record of a batch once."""
    numbers = _of_batch(table, manifest.batch_id)[RECORD_NO]
    return len(numbers) == manifest.records_written == pa.compute.count_distinct(numbers).as_py()


def unpack(home: Home, day: Path) -> None:
    """Give the compacted batches of a day files of their own again, and remove their common one.

    Such a file has the batch's records in their order. It is written as one row group, with the encodings of the common file, so it
    usually has the bytes that the batch landed with. Where it has not (the batch had several row groups or other encodings than those
    it was compacted with, or another version of the Parquet library writes it), the batch's manifest gets its new size and checksum.
    """
    for one in compacted.of_day(day):
        table = None
        for batch_id, was in one.batches.items():
            manifest = bronze.read_manifest(home, BatchRef(day.parent.name, date.fromisoformat(day.name), batch_id))
            own = day / batch_id / was.name
            if not one.holds(manifest) or (own.exists() and bronze.describe(own) == was):
                continue
            if bronze.describe(one.folder / one.file.name) != one.file:
                raise Broken("a file of compacted batches is damaged", where=str(one.folder), todo="clearwell repair")
            table = _read(one.folder / one.file.name) if table is None else table
            dictionary, numbered = encodings([pq.read_metadata(one.folder / one.file.name)])
            dictionary.remove(BRONZE_BATCH)
            made = _write_own(_of_batch(table, batch_id), own, dictionary, numbered)
            if made != was:
                bronze.write_manifest(own.parent, replace(manifest, files=(made,)))
        _remove(home, one.folder)


def _write_own(table: pa.Table, path: Path, dictionary: list[str], numbered: list[str]) -> File:
    """Write a batch's records with these encodings, and rename the file into place; return its size and checksum."""
    part = path.with_name(f".{path.name}.part")
    table = table.combine_chunks().unify_dictionaries()
    encoded = options(dictionary, [RECORD_NO, *dictionary], numbered)
    with pq.ParquetWriter(part, table.schema, **encoded) as writer:
        writer.write_table(table, row_group_size=max(table.num_rows, 1))
    bronze.force_to_disk(part)
    part.replace(path)
    bronze.force_to_disk(path.parent)
    return bronze.describe(path)


def _remove(home: Home, folder: Path) -> None:
    """Remove a folder of bronze: first by a rename, so that it is there whole or not at all."""
    with bronze.staged(home, "removed") as gone:
        folder.rename(gone / folder.name)
        bronze.force_to_disk(folder.parent)
