"""Bring what Spark reads to a place that it sees, and Spark's tables back, where Spark does not see the home: S3, or a folder.

Below the place each home has a folder of its own, which no other home touches. In it every file has the path that it has in the home.
It is emptied before a build and after it, however it ends: it is no store, and what a killed build leaves there the next one removes.
"""

import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import IO

from pyarrow import fs

from ingestion import atomic
from ingestion.errors import ClearwellError, Permanent
from ingestion.home import Home
from ingestion.land import Report
from ingestion.sources import s3

# The place: s3a://bucket/prefix, s3://bucket/prefix, or a folder. Without it, Spark sees the home under the same path.
PLACE = "CLEARWELL_SPARK_FILES"
# The file in the home that names the home's folder in a place.
_NAMED = "spark-files.json"
_FILE, _S3A = "file://", "s3a://"
# Spark reads some of them as a pattern; others end a name in SQL.
_NO_PART_OF_A_PLACE = frozenset("*?[]{}\\`'\"\n")
_AT_ONCE = 4
_PIECE_BYTES = 8 << 20
# Copies of more than this say how far they are.
_LONG_BYTES = 256 << 20


@dataclass(frozen=True)
class Exchange:
    """A home as Spark sees it: at `address`, which is the home itself if there is no place."""

    home: Home
    address: str
    _there: set[Path] = field(default_factory=set, repr=False)

    @property
    def is_home(self) -> bool:
        return self.address == str(self.home.root)

    def seen(self, path: Path) -> str:
        """Return the address under which Spark sees a path of the home."""
        return str(path) if self.is_home else f"{self.address}/{path.relative_to(self.home.root)}"

    def put(self, files: Iterable[Path], report: Report) -> None:
        """Copy files of the home to the place, each once. One that does not exist is left out: of a retracted batch none is read."""
        if self.is_home:
            return
        new = {path: path.stat().st_size for path in files if path not in self._there and path.is_file()}
        store, root = _store(self.address)

        def copy(path: Path, is_over: Event) -> None:
            target = f"{root}/{path.relative_to(self.home.root)}"
            with _told(self.seen(path), "written"), path.open("rb") as file:
                if not isinstance(store, fs.S3FileSystem):  # which has no folders
                    store.create_dir(target.rpartition("/")[0])
                with store.open_output_stream(target) as copied:
                    _copy(file, copied, is_over)

        _copy_all(copy, new, f"to {self.address}", report)
        self._there.update(new)

    def fetch(self, folder: Path, report: Report) -> None:
        """Copy the Parquet files below a folder of the home, as Spark wrote it, to the home. Those that are there already are left."""
        if self.is_home:
            return
        store, root = _store(self.address)
        under = f"{root}/{folder.relative_to(self.home.root)}"
        with _told(self.seen(folder), "read"):
            found = store.get_file_info(fs.FileSelector(under, recursive=True, allow_not_found=True))
        new = {}
        for one in found:
            parts = one.path.removeprefix(f"{under}/").split("/")
            # what begins so is not the table's: Spark's own notes, and what it has not committed
            is_of_table = one.is_file and one.path.endswith(".parquet") and not any(part[0] in "_." for part in parts)
            if is_of_table and not (path := folder.joinpath(*parts)).exists():
                new[path] = one.size

        def copy(path: Path, is_over: Event) -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            source = f"{root}/{path.relative_to(self.home.root)}"
            with _told(self.seen(path), "read"), store.open_input_stream(source) as file, path.open("wb") as copied:
                _copy(file, copied, is_over)

        _copy_all(copy, new, f"from {self.address}", report)

    def empty(self) -> None:
        """Remove what the place has of this home. A place that does not exist is Permanent."""
        store, root = _store(self.address)
        with _told(self.address, "read"):
            is_there = store.get_file_info(root).type != fs.FileType.NotFound
        if is_there:
            with _told(self.address, "deleted"):
                store.delete_dir(root)
            return
        place = self.address.rpartition("/")[0]
        if _is_s3(place):
            s3.check_bucket(_as_s3(place))
        elif not Path(place.removeprefix(_FILE) or "/").is_dir():
            raise Permanent(
                "the folder for Spark's files does not exist",
                where=place,
                todo=f"create or mount it where Clearwell and Spark see it, or set {PLACE} to another",
            )


@contextmanager
def opened(home: Home, build_id: str, report: Report) -> Iterator[Exchange]:
    """Yield the home as Spark sees it. A place is emptied first, and at the end, also after an error."""
    place = os.environ.get(PLACE, "")
    if not place:
        yield Exchange(home, str(home.root))
        return
    exchange = Exchange(home, f"{parse(place)}/{_own_folder(home, build_id)}")
    exchange.empty()
    try:
        yield exchange
    except BaseException:
        try:
            exchange.empty()
        except (ClearwellError, OSError) as error:
            report(f"the files of this build stay in {exchange.address} until the next build on Spark: {error}")
        raise
    exchange.empty()


def parse(place: str) -> str:
    """Return a place as Spark is told it, without a slash at its end. What is no place is Permanent."""
    scheme, sign, rest = place.partition("://")
    known = f"{scheme.lower()}{sign}{rest}".rstrip("/")
    if _is_s3(known):
        s3.path_of(_as_s3(known))
    elif not known.startswith((f"{_FILE}/", "/")):
        raise Permanent(
            f"{PLACE} is neither in S3 nor a folder",
            where=PLACE,
            todo="set it to s3a://bucket/prefix, file:///folder or /folder, where Clearwell and Spark both see it",
        )
    if odd := sorted(_NO_PART_OF_A_PLACE & {*known}):
        raise Permanent(
            f"{PLACE} cannot be read by Spark: it misreads {' '.join(map(repr, odd))}",
            where=PLACE,
            todo="leave them out",
        )
    return known


def _own_folder(home: Home, build_id: str) -> str:
    """Return the name of the home's folder in a place.

    Two machines may have a home at the same path, and a machine may change its name: so the first build that needs it names the folder,
    and the home keeps the name. A copy of a home, at another path, gets a name of its own.
    """
    file, root = home.root / _NAMED, str(home.root)
    try:
        named = json.loads(file.read_text())
        if named["home"] == root and len(bytes.fromhex(named["id"])) == 8:
            return f"clearwell-{named['id']}"
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        pass
    name = sha256("\n".join([socket.gethostname(), root, build_id]).encode()).hexdigest()[:16]
    atomic.write(file, json.dumps({"home": root, "id": name}) + "\n")
    return f"clearwell-{name}"


def _is_s3(place: str) -> bool:
    return s3.is_s3(place) or place.startswith(_S3A)


def _as_s3(place: str) -> str:
    return f"{s3.SCHEME}{place.partition('://')[2]}"


def _store(address: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of an address, and its path there."""
    if _is_s3(address):
        return s3.filesystem(), s3.path_of(_as_s3(address))
    return fs.LocalFileSystem(), address.removeprefix(_FILE)


def _told(address: str, does: str) -> AbstractContextManager[None]:
    """Return what turns errors of S3 into errors that say what next. Those of folders are told where all errors of files are."""
    return s3.told(_as_s3(address), does=does) if _is_s3(address) else nullcontext()


def _copy(file: "IO[bytes] | fs.NativeFile", copied: "IO[bytes] | fs.NativeFile", is_over: Event) -> None:
    while not is_over.is_set() and (piece := file.read(_PIECE_BYTES)):
        copied.write(piece)


def _copy_all(copy: Callable[[Path, Event], None], files: dict[Path, int], where: str, report: Report) -> None:
    """Copy files, several at once. After an error or Ctrl-C, those that are being copied end early, and the others are left out."""
    total, done, told = sum(files.values()), 0, 0
    if not files:
        return
    report(f"transform: copying {len(files):,} files, {total / 1e6:,.1f} MB, {where}")
    is_over = Event()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running = {pool.submit(copy, path, is_over): size for path, size in files.items()}
        try:
            for one in as_completed(running):
                one.result()
                done += running[one]
                if total > _LONG_BYTES and (tenths := done * 10 // total) > told:
                    told = tenths
                    report(f"transform: copied {done / 1e6:,.1f} MB of {total / 1e6:,.1f} MB")
        except BaseException:
            is_over.set()
            pool.shutdown(cancel_futures=True)
            raise
