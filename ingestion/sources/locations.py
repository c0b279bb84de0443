"""Find the files of a window by the location in a contract: its variables, its date parts, its wildcards.

`${NAME}` and `${NAME:-default}` are read from the environment. `{date}`, or `{year}`, `{month}`, `{day}` and `{hour}`, stand
for a time in UTC, and `{milliseconds}` for the start of a day. `*` stands for any characters of one folder's or file's name. Files
are found in the order of their names.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from pyarrow import fs

from ingestion.addresses import SFTP, is_http, is_sftp, shown
from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.file_settings import PARTS, expanded, is_of_days, parts_of, wrong_parts
from ingestion.sources import places, s3, sftp
from ingestion.sources.landing_names import may_be_data
from ingestion.window import Window

_PACKAGE = "package:"
# How the date parts are written, the largest first.
_SHAPES = {
    "date": r"\d{4}-\d{2}-\d{2}",
    "milliseconds": r"\d{13}",
    "year": r"\d{4}",
    **dict.fromkeys(("month", "day", "hour"), r"\d{2}"),
}
_MARKS = re.compile(rf"\{{({'|'.join(_SHAPES)})\}}|(\*)")


@dataclass(frozen=True, order=True)
class Found:
    """A file, with its size and the time of its last change where they are known without reading it."""

    place: str
    size: int = -1
    mtime_ns: int = 0


@dataclass(frozen=True)
class _Entry:
    """What is in a folder."""

    name: str
    file: Found
    is_folder: bool


# List what a folder has under the names that a pattern means.
_Entries = Callable[[str, str], Iterator[_Entry]]
# So many names of a folder are kept.
_KEPT_NAMES = 100_000


class ListedOnce:
    """What the folders of a store have, as they are first listed: a folder of a year is then not listed again for each of its hours."""

    def __init__(self) -> None:
        self._folders: dict[str, list[_Entry]] = {}

    def entries(self, folder: str, pattern: str) -> Iterator[_Entry]:
        """List a folder, or what is kept of it. One with very many names is listed each time, as memory is bounded."""
        kept: list[_Entry] | None = []
        for entry in self._folders.get(folder) or _objects(folder, "*"):
            if kept is not None:
                kept.append(entry)
                kept = kept if len(kept) <= _KEPT_NAMES else None
            if matches(entry.name, pattern):
                yield entry
        if kept is not None:
            self._folders[folder] = kept


@dataclass(frozen=True)
class Listing:
    """The files of a pattern, by name, and what its wildcards met that is not read, with the reason."""

    files: tuple[Found, ...]
    skipped: tuple[str, ...] = ()


def location_of(contract: Contract) -> str:
    """Return the location in a contract, with the values of its variables."""
    return resolved(
        contract.settings.location, contract.dataset, f"; or leave {contract.source} out of CLEARWELL_SOURCES"
    )


def resolved(location: str, dataset: str, otherwise: str = "") -> str:
    """Return a location of a dataset with the values of its variables. One that no contract may have is Permanent."""

    def missing(name: str) -> str:
        raise Permanent(
            f"{dataset} is read from ${{{name}}}, which is not set",
            todo=f"set {name} to a path or an address{otherwise}",
        )

    location = expanded(location, missing)
    wrong = wrong_parts(location)
    if not wrong and has_wildcard(location) and not _is_listed(location):
        wrong = "has a *, but neither an address nor a package can be listed"
    if wrong:
        raise Permanent(
            f"the location of {dataset} {wrong}",
            where=shown(location),
            todo="correct `location` in its contract, or the variable that it names",
        )
    return location


def has_wildcard(location: str) -> bool:
    # A * in the address of an API is a character like any other.
    return "*" in location and not (is_http(location) and "?" in location)


def is_dated(location: str) -> bool:
    """Say whether each day, or each hour, has files of its own."""
    return is_of_days(location)


def has_hours(location: str) -> bool:
    """Say whether each hour has files of its own."""
    return "hour" in parts_of(location)


def units(location: str, window: Window) -> list[Window]:
    """List the hours or days of a window of which each has files of its own."""
    return window.hours() if has_hours(location) else window.days()


def filled(location: str, unit: Window) -> str:
    """Return a location with the date parts of the time at which a unit starts."""
    for name, written in PARTS.items():
        location = location.replace(f"{{{name}}}", written(unit.start))
    return location


def period(location: str, unit: Window) -> str:
    """Name the time that the files of a unit are of, by the location's date parts; empty of files for all days."""
    parts = parts_of(location)
    return " ".join(written(unit.start) for name, written in PARTS.items() if name in parts)


def name_below(location: str, place: str) -> str:
    """Return a file's path below the part of the location that is the same for all files, so that their folder may move."""
    if is_http(place):
        return shown(place)
    if is_sftp(place):  # its password may have any sign, also one of a pattern
        location, place = (one[len(SFTP) :].partition("/")[2] for one in (location, place))
        is_local = False
    else:
        is_local = is_path(place)
    above = re.split(r"[{*]", location, maxsplit=1)[0].rpartition("/")[0]
    if is_local:
        top = os.sep if location.startswith("/") else os.curdir
        name = os.path.relpath(Path(place).expanduser(), Path(above or top).expanduser())
    else:
        name = place.removeprefix(f"{above}/")
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def find(location: str, once: ListedOnce | None = None) -> Listing:
    """List the files that a location without date parts means. An address is not asked whether it exists.

    `once` is for the many locations of a run: it keeps what the folders of a store have.
    """
    if not _is_listed(location):
        return Listing((Found(location),))
    if not has_wildcard(location):
        found = _object(location) if s3.is_s3(location) else _remote(location) if is_sftp(location) else _file(location)
        return Listing((found,) if found else ())
    skipped: list[str] = []
    entries, folder, parts = _top(location)
    if once and s3.is_s3(location):
        entries = once.entries
    return Listing(tuple(sorted(_walk(entries, folder, parts, skipped))), tuple(sorted(skipped)))


def of_any_time(location: str, *, newest_first: bool = False) -> Iterator[tuple[Found, str | None]]:
    """Yield the files of all days of a location, by their time and name, with the day of each if the location says it.

    A folder is listed when it is reached: the first file costs one listing per folder above it. An address is not listed.
    """
    if not _is_listed(location) or not _MARKS.search(location):
        yield from ((file, None) for file in find(location).files)
    else:
        yield from _walk_by_time(*_top(location), said={}, newest_first=newest_first)


def _top(location: str) -> tuple[_Entries, str, tuple[str, ...]]:
    """Return how to list what a location is in, the topmost folder, and the names below it."""
    if is_sftp(location):
        host, *names = location[len(SFTP) :].split("/")
        return _remotes, f"{SFTP}{host}", tuple(names)
    if not s3.is_s3(location):
        path = Path(location).expanduser()
        return _files, path.anchor, path.parts[bool(path.anchor) :]
    bucket, *parts = location[len(s3.SCHEME) :].split("/")
    if _MARKS.search(bucket):
        raise Permanent("a bucket's name has no * and no date", where=shown(location), todo="name the bucket")
    return _objects, f"{s3.SCHEME}{bucket}", tuple(parts)


def say_missing(dataset: str, missing: Sequence[tuple[Window, str]]) -> list[str]:
    """Say which patterns of a window meet no file, in one line per day."""
    of_days: dict[date, list[str]] = {}
    for unit, pattern in missing:
        of_days.setdefault(unit.date, []).append(shown(pattern))
    return [
        f"{dataset} {day}: {patterns[0]} does not exist yet"
        if len(patterns) == 1
        else f"{dataset} {day}: {len(patterns)} patterns meet no file yet, from {patterns[0]} to {patterns[-1]}"
        for day, patterns in of_days.items()
    ]


def check_there(location: str) -> None:
    """Refuse a location that cannot be read, without reading a file: of one with date parts or wildcards, the folder before them."""
    is_pattern = bool(parts_of(location)) or has_wildcard(location)
    if s3.is_s3(location):
        bucket = location[len(s3.SCHEME) :].split("/")[0]
        if is_pattern:
            next(s3.entries(f"{s3.SCHEME}{bucket}"), None)
        elif not s3.look(location):
            raise Permanent("the object does not exist", where=shown(location), todo="check the bucket and the key")
    elif is_sftp(location):
        _check_remote(location, is_pattern=is_pattern)
    elif not is_pattern:
        places.check_there(location)
    elif not is_http(location):
        before = re.split(r"[*{]", location, maxsplit=1)[0]
        places.check_there(str(Path(f"{before}_").parent))


def _file(location: str) -> Found | None:
    try:
        now = Path(location).expanduser().stat()
    except FileNotFoundError:
        return None
    except OSError:
        return Found(location)  # reading it will say why
    return Found(location, now.st_size, now.st_mtime_ns)


def _object(location: str) -> Found | None:
    now = s3.look(location)
    return Found(location, now.size, now.mtime_ns) if now else None


def _remote(location: str) -> Found | None:
    now = sftp.look(location)
    return Found(location, now.size, now.mtime_ns) if now else None


def _check_remote(location: str, *, is_pattern: bool) -> None:
    """Refuse a file of a server that is not there; of a pattern, the folder before it, which must be one that can be listed."""
    wanted = f"{re.split(r'[*{]', location, maxsplit=1)[0]}_".rpartition("/")[0] if is_pattern else location
    if not sftp.look(wanted):
        what = "folder" if is_pattern else "file"
        raise Permanent(
            f"the {what} does not exist", where=shown(wanted), todo="check the path, and the connection's login"
        )
    if is_pattern:
        next(sftp.entries(wanted), None)


def why_skipped(name: str, pattern: str) -> str | None:
    """Return why a file that a wildcard met is not read; empty if it is no data, None if it is read."""
    if name[0] in "._" and pattern.startswith("*"):
        return ""  # tools write their own files and those that are not ready under such names
    if pattern.endswith("*") and not may_be_data(name):
        return "its name is that of a by-product, or of a file that is still being written"
    return None


def is_path(place: str) -> bool:
    """Say whether a place is a path on this machine."""
    return _is_listed(place) and not s3.is_s3(place) and not is_sftp(place)


def may_grow(place: str) -> bool:
    """Say whether a file may be seen while it is written: an object of S3 and an answer of a server are whole."""
    return is_path(place) or is_sftp(place)


def matches(name: str, pattern: str) -> bool:
    """Say whether a name is one that a pattern means. Case matters."""
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL))


def _is_listed(location: str) -> bool:
    return not is_http(location) and not location.startswith(_PACKAGE)


def _walk_by_time(
    entries: _Entries, folder: str, parts: tuple[str, ...], said: dict[str, str], newest_first: bool
) -> Iterator[tuple[Found, str | None]]:
    """Yield the files under a folder that the rest of a pattern means, whatever their time. `said` are the parts above them."""
    name, *rest = parts
    while rest and not _MARKS.search(name):
        folder, (name, *rest) = f"{folder.rstrip('/')}/{name}" if folder else name, rest
    shape = _shape(name, said)
    found = []
    for entry in entries(folder, _MARKS.sub("*", name)):
        match = shape.fullmatch(entry.name)
        if match and why_skipped(entry.name, _MARKS.sub(lambda mark: mark[2] or "0", name)) is None:
            here = said | match.groupdict()
            found.append(([here.get(part, "") for part in _SHAPES], entry.name, entry, here))
    for *_, entry, here in sorted(found, key=lambda one: one[:2], reverse=newest_first):
        if rest and entry.is_folder:
            yield from _walk_by_time(entries, entry.file.place, tuple(rest), here, newest_first)
        elif not rest and not entry.is_folder:
            yield entry.file, _day(here)


def _shape(name: str, said: dict[str, str]) -> re.Pattern[str]:
    """Return the pattern of the names that a part of a location means, with a group for each part of a date not said yet."""
    pattern, start, new = "", 0, set[str]()
    for mark in _MARKS.finditer(name):
        pattern += re.escape(name[start : mark.start()])
        part, start = mark[1], mark.end()
        if part in said:
            pattern += re.escape(said[part])
        else:
            pattern += ".*" if mark[2] else f"(?P={part})" if part in new else f"(?P<{part}>{_SHAPES[part]})"
            new.add(part)
    return re.compile(pattern + re.escape(name[start:]), re.DOTALL)


def _day(said: dict[str, str]) -> str | None:
    """Return the day that the parts of a date say; None if they say none."""
    if "milliseconds" in said:
        return f"{datetime.fromtimestamp(int(said['milliseconds']) / 1000, UTC):%Y-%m-%d}"
    if not {"year", "month", "day"} <= set(said):
        return said.get("date")
    return said.get("date") or f"{said['year']}-{said['month']}-{said['day']}"


def _walk(entries: _Entries, folder: str, parts: tuple[str, ...], skipped: list[str]) -> Iterator[Found]:
    """Yield the files under a folder that the rest of a pattern means. Only folders that may hold some are listed."""
    name, *rest = parts
    while rest and "*" not in name:
        folder, (name, *rest) = f"{folder.rstrip('/')}/{name}" if folder else name, rest
    for entry in entries(folder, name):
        if rest:
            if entry.is_folder and why_skipped(entry.name, name) is None:
                yield from _walk(entries, entry.file.place, tuple(rest), skipped)
            continue
        why = "it is a folder" if entry.is_folder else why_skipped(entry.name, name)
        if why is None:
            yield entry.file
        elif why:
            skipped.append(f"{shown(entry.file.place)} is not read: {why}")


def _files(folder: str, pattern: str) -> Iterator[_Entry]:
    """List a folder on this machine. One that does not exist is empty; one that cannot be listed is Permanent."""
    try:
        with os.scandir(folder or os.curdir) as listed:
            found = [entry for entry in listed if matches(entry.name, pattern)]
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise Permanent(
            f"the folder cannot be listed: {error.strerror}",
            where=shown(folder),
            todo="check the path and the folder's permissions",
        ) from None
    for entry in found:
        try:
            now = entry.stat()
        except OSError:
            yield _Entry(entry.name, Found(entry.path), False)  # a link to nothing, or gone: reading it will say so
        else:
            yield _Entry(entry.name, Found(entry.path, now.st_size, now.st_mtime_ns), entry.is_dir())


def _objects(folder: str, pattern: str) -> Iterator[_Entry]:
    for one in s3.entries(folder):
        if not matches(one.base_name, pattern):
            continue
        file = Found(f"{s3.SCHEME}{one.path}", one.size or 0, one.mtime_ns or 0)
        yield _Entry(one.base_name, file, one.type == fs.FileType.Directory)


def _remotes(folder: str, pattern: str) -> Iterator[_Entry]:
    for one in sftp.entries(folder, lambda name: matches(name, pattern)):
        yield _Entry(one.place.rpartition("/")[2], Found(one.place, one.size, one.mtime_ns), one.is_folder)
