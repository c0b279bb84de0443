"""Raw records, append-only: `bronze/<dataset>/<window date>/<batch_id>/` with Parquet and a manifest.

A batch is written in a staging folder, forced to disk and renamed into place: it exists whole or not at all. Nothing
here edits or removes a batch: only `forgotten.py` replaces the files of one. A damaged batch is listed separately, so that it
does not stop the others. The records of old small batches may lie together in one file of their day (`ingestion/compacted.py`).
"""

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ingestion import compacted
from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from ingestion.locks import locked
from ingestion.manifest import File, Manifest
from ingestion.window import Window

if TYPE_CHECKING:  # it takes a tenth of a second to import, and many commands only name a batch's folder
    from pyarrow import fs

MANIFEST = "manifest.json"
_SURELY_ANOTHER_TICK_NS = 1_000_000_000
# The files that this process has verified, with their size and time at that moment.
_VERIFIED: dict[Path, tuple[object, ...]] = {}


@dataclass(frozen=True, order=True)
class BatchRef:
    """Where a batch lies, known from the folder names alone."""

    dataset: str
    date: date
    batch_id: str


def list_batches(home: Home, dataset: str | None = None, day: date | None = None) -> list[BatchRef]:
    """List all batches, those of a dataset, or those of a dataset's day, from folder names alone."""
    return sorted(list_files(home, dataset, day))


def list_files(home: Home, dataset: str | None = None, day: date | None = None) -> dict[BatchRef, dict[str, int]]:
    """List the same batches, each with the files in its folder and their bytes. No file is opened."""
    from pyarrow import fs

    if day and not dataset:
        raise ValueError("a day is listed for one dataset")
    under = home.bronze / (dataset or "") / (day.isoformat() if day else "")
    found = _files().get_file_info(fs.FileSelector(str(under), recursive=True, allow_not_found=True))
    root = f"{home.bronze}/"
    batches: dict[BatchRef, dict[str, int]] = {}
    for info in found:
        parts = info.path.removeprefix(root).split("/")
        if len(parts) == 4 and (of_day := _date(parts[1])):
            batches.setdefault(BatchRef(parts[0], of_day, parts[2]), {})[info.base_name] = info.size or 0
    return {ref: files for ref, files in batches.items() if MANIFEST in files}


def _files() -> "fs.FileSystem":
    from pyarrow import fs

    return fs.LocalFileSystem()


def _date(text: str) -> date | None:
    """Read the name of a day's folder; None for any other, which holds no batches."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def batch_folder(home: Home, ref: BatchRef) -> Path:
    """Return the folder of a batch, whether or not it exists."""
    return home.bronze / ref.dataset / ref.date.isoformat() / ref.batch_id


def reference(manifest: Manifest) -> BatchRef:
    """Return the folder names a manifest's batch lies under."""
    return BatchRef(manifest.dataset, manifest.window.date, manifest.batch_id)


def read_manifest(home: Home, ref: BatchRef) -> Manifest:
    """Read one batch's manifest. A batch that is not there is Permanent, one that is damaged is Broken."""
    path = batch_folder(home, ref) / MANIFEST
    try:
        with _files().open_input_stream(str(path)) as stream:
            text = stream.read().decode()
    except FileNotFoundError:
        raise Permanent(f"there is no batch {ref.batch_id}", where=str(path), todo="clearwell repair") from None
    except UnicodeDecodeError as error:
        raise Broken("a manifest is not UTF-8 text", where=str(path)) from error
    manifest = Manifest.from_json(text, where=str(path))
    if reference(manifest) != ref:
        raise Broken("a manifest names a different batch than its folder", where=str(path))
    return manifest


def readable(home: Home, refs: Iterable[BatchRef], check: Callable[[Manifest], None] | None = None) -> list[Manifest]:
    """Read the manifests of some batches, without those that are damaged or fail the check: `status` lists these."""
    return list(_sorted_out(home, refs, check).manifests)


def counting(home: Home, dataset: str) -> list[Manifest]:
    """Read the manifests of a dataset's batches whose own snapshots are all there: what others hold, no build may ever see."""
    manifests = readable(home, list_batches(home, dataset))
    datasets = {name.split(" ")[0] for manifest in manifests for name in manifest.snapshot_batches}
    there = {ref.batch_id for name in datasets for ref in list_batches(home, name)}
    return [manifest for manifest in manifests if there.issuperset(manifest.snapshot_batches.values())]


def find_manifest(home: Home, batch_id: str) -> Manifest:
    """Read the manifest of a batch known by its id alone. A batch that is not there is Permanent."""
    for ref in list_batches(home):
        if ref.batch_id == batch_id:
            return read_manifest(home, ref)
    raise Permanent(f"there is no batch {batch_id}", where=str(home.bronze), todo="clearwell batches list")


@dataclass(frozen=True)
class Found:
    """The intact batches, and the damaged ones, each with its fault."""

    manifests: tuple[Manifest, ...]
    broken: Mapping[BatchRef, str]


def committed(home: Home, known: frozenset[str] = frozenset()) -> list[Manifest]:
    """Read the manifests of batches not in `known`, without those that are damaged or whose snapshot is not all there."""
    return list(look(home, known).manifests)


def look(home: Home, known: frozenset[str] = frozenset(), check: Callable[[Manifest], None] | None = None) -> Found:
    """Tell the batches not in `known` apart: those that count, and those that are damaged or fail the check.

    A run killed between two tables leaves part of a snapshot; the next run may find one of these tables unchanged and
    share its batch. So a batch counts as soon as one whole snapshot holds it, whichever wrote it.
    """
    refs = list_batches(home)
    found = _sorted_out(home, (ref for ref in refs if ref.batch_id not in known), check)
    there = {ref.batch_id for ref in refs if ref not in found.broken}
    whole = {
        batch_id
        for manifest in found.manifests
        if there.issuperset(manifest.snapshot_batches.values())
        for batch_id in (manifest.batch_id, *manifest.snapshot_batches.values())
    }
    return Found(tuple(manifest for manifest in found.manifests if manifest.batch_id in whole), found.broken)


def _sorted_out(home: Home, refs: Iterable[BatchRef], check: Callable[[Manifest], None] | None) -> Found:
    manifests: list[Manifest] = []
    broken: dict[BatchRef, str] = {}
    for ref in refs:
        try:
            manifest = read_manifest(home, ref)
            if check:
                check(manifest)
        except Broken as error:
            broken[ref] = f"{error.what} ({error.where})"
        else:
            manifests.append(manifest)
    return Found(tuple(manifests), broken)


def parquet_files(home: Home, manifest: Manifest) -> list[str]:
    """List the paths of the Parquet files that hold a batch's records; none for a batch of zero records.

    A file in a folder of compacted batches holds those of others as well: the column `bronze_batch` tells them apart.
    """
    folder = records_folder(home, manifest)
    return [str(folder / file.name) for file in manifest.files]


def records_folder(home: Home, manifest: Manifest) -> Path:
    """Return the folder with a batch's Parquet: its own, or that of the compacted batches that it is one of."""
    there = _compacted(home, manifest)
    return there.folder if there else batch_folder(home, reference(manifest))


def _compacted(home: Home, manifest: Manifest) -> compacted.Compacted | None:
    folder = batch_folder(home, reference(manifest))
    if len(manifest.files) != 1 or (folder / manifest.files[0].name).exists():
        return None
    return next((one for one in compacted.of_day(folder.parent) if one.holds(manifest)), None)


def verify(home: Home, manifest: Manifest, *, anew: bool = True) -> None:
    """Compare sizes and checksums with the manifest. A difference is Broken.

    Unless `anew`, a file that this process has verified and that has not been written since is not read again. Nor is a file
    of compacted batches that was the last one verified: batch after batch, it would be read once for each.
    """
    try:
        _verify(home, manifest, anew=anew)
    except FileNotFoundError:  # it may have been compacted at this moment
        try:
            _verify(home, manifest, anew=anew)
        except FileNotFoundError as error:
            raise Broken("a file of a bronze batch is missing", where=str(error.filename)) from None


def _verify(home: Home, manifest: Manifest, *, anew: bool) -> None:
    there = _compacted(home, manifest)
    folder = there.folder if there else batch_folder(home, reference(manifest))
    for file in (there.file,) if there else manifest.files:
        path = folder / file.name
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "", str(path))
        found = path.stat()
        version = (file, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
        if _VERIFIED.get(path) == version and (not anew or (there and next(reversed(_VERIFIED)) == path)):
            continue
        if found.st_size != file.bytes or describe(path) != file:
            raise Broken("a file of a bronze batch differs from its manifest in size or checksum", where=str(path))
        # A file written twice within a tick of the kernel's clock has one time for both. The clock reaches no result.
        if time.time_ns() - found.st_ctime_ns > _SURELY_ANOTHER_TICK_NS:
            _VERIFIED.pop(path, None)  # the last one verified is the last of the dict
            _VERIFIED[path] = version


def identify(dataset: str, window: Window, content: Iterable[object]) -> str:
    """Derive a batch's id from its dataset, window and content. Never from a clock or chance."""
    digest = hashlib.sha256(repr((dataset, str(window))).encode())
    for part in content:
        digest.update(repr(part).encode("utf-8", "backslashreplace"))
        digest.update(b"\n")
    return digest.hexdigest()[:20]


@contextmanager
def staged(home: Home, dataset: str) -> Iterator[Path]:
    """Give an empty folder to write a batch in. It is deleted afterwards, unless it was committed.

    The folder is locked while its process lives. The folder of a killed process has no lock: the next call deletes it.
    """
    home.staging.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with locked(home.staging):
            for stray in strays(home.staging):
                shutil.rmtree(stray, ignore_errors=True)
            # The name must not clash with a run in another container, where process ids repeat. It reaches no result.
            folder = Path(tempfile.mkdtemp(prefix=f"{dataset}-", dir=home.staging))
            held.enter_context(locked(folder))
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def strays(staging: Path) -> list[Path]:
    """List the folders whose process was killed. While `staging` itself is locked, no new one appears."""
    found = []
    for folder in staging.iterdir():
        with suppress(BlockingIOError, FileNotFoundError, NotADirectoryError), locked(folder, wait=False):
            found.append(folder)
    return found


def describe(path: Path) -> File:
    """Measure a written file: its name, size and checksum."""
    with path.open("rb") as stream:
        checksum = hashlib.file_digest(stream, "sha256").hexdigest()
    return File(path.name, path.stat().st_size, checksum)


def commit(home: Home, folder: Path, manifest: Manifest) -> tuple[Manifest, bool]:
    """Move a staged folder into place; return the manifest that counts and whether it is new.

    If the batch exists already, landed by an earlier or a simultaneous run, the existing one counts.
    """
    ref = reference(manifest)
    target = batch_folder(home, ref)
    if not (target / MANIFEST).exists():
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        for name in (MANIFEST, *(file.name for file in manifest.files)):
            force_to_disk(folder / name)
        force_to_disk(folder)
        make_durable_folder(target.parent, home.root)
        if _rename(folder, target):
            force_to_disk(target.parent)
            return manifest, True
    return read_manifest(home, ref), False


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a batch's folder, replacing any that is there."""
    part = folder / f".{MANIFEST}.part"
    part.write_text(manifest.to_json(), encoding="utf-8")
    force_to_disk(part)
    part.replace(folder / MANIFEST)
    force_to_disk(folder)


def _rename(folder: Path, target: Path) -> bool:
    """Rename a folder to a free name; False if another run was first."""
    if target.exists() and not (target / MANIFEST).exists():
        shutil.rmtree(target)  # a folder without a manifest is not a batch: it must not block this one
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def make_durable_folder(folder: Path, root: Path) -> None:
    """Create a folder and force each new name on the way to it to disk."""
    if folder.is_dir():
        return
    if folder != root:
        make_durable_folder(folder.parent, root)
    folder.mkdir(parents=folder == root, exist_ok=True)
    force_to_disk(folder.parent)


def force_to_disk(path: Path) -> None:
    """Make a file, or the names in a folder, outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
