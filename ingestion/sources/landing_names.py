"""Interpret names in the landing folder: a file's date and hour, and why a file is not read."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from ingestion.manifest import Waiting
from ingestion.sources.lines import compression
from ingestion.window import Window

STILL_BEING_WRITTEN = "still being written"
MESSAGES = 20
_HALF_WRITTEN_NAMES = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")
_ABOUT_DATA = re.compile(r".*\.(crc|md5|sha\d*|sum|sig|asc|done|ok|ready|complete|success|lock)", re.IGNORECASE)
_NO_DATA = re.compile(
    r"[._].*|readme.*|license.*|.*\.md|thumbs\.db|desktop\.ini|lost\+found|(md5|sha\d+)sums?", re.IGNORECASE
)
_OTHER_KIND = "only .jsonl and .ndjson files are read, plain, .gz or .zst: convert it, move it away, or read files of any name by `location` in the contract"
_FOLDER = "a folder within an hour is not read: move its files up into the hour, or move it away"
_NO_FILE = "it is a pipe, a socket or a device, not a file: move it away"
# The ways in which people and tools write a date or an hour: 2026-1-5, 20260105, dt=2026-01-05; 9, 09h, hour=09.
_DATE = re.compile(r"(?:\w+=)?(\d{4})[-_.]?(\d{1,2})[-_.]?(\d{1,2})")
_HOUR = re.compile(r"(?:\w+=)?(\d{1,2})h?", re.IGNORECASE)
_Entry = os.DirEntry[str]


@dataclass
class Strays:
    """Files and folders of the landing folder that are not read: those that wait, by hour, and those of no hour."""

    waiting: dict[Window, list[Waiting]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


def why_not_read(path: Path, now: os.stat_result) -> str | None:
    """Return why something in an hour is not read; None for line files and for what cannot be data."""
    lower = path.name.lower()
    if stat.S_ISDIR(now.st_mode):
        if lower == "_temporary":  # Spark and Hadoop write here until they are done
            return STILL_BEING_WRITTEN
        return None if _is_no_data(lower) or _is_empty(path) else _FOLDER
    if _is_half_written(lower):
        return STILL_BEING_WRITTEN
    if compression(lower):
        return None if stat.S_ISREG(now.st_mode) else _NO_FILE
    if _is_no_data(lower):
        return None
    if not stat.S_ISREG(now.st_mode):
        return _NO_FILE
    return _OTHER_KIND if now.st_size else None


def may_be_data(name: str) -> bool:
    """Say whether a name is neither a by-product of tools nor an unfinished file."""
    return not _is_no_data(name) and not _is_half_written(name.lower())


def why_not_found(path: Path, error: OSError) -> str | None:
    """Return why something listed in an hour cannot be examined; None if it is gone, or cannot be data."""
    if _is_no_data(path.name) or not os.path.lexists(path):
        return None
    if isinstance(error, FileNotFoundError):
        return "a link to nothing"
    return os.strerror(error.errno or 0).lower()


def strays(landing: Path, window: Window) -> Strays:
    """Find the files and folders at the top and in a window's date folders that are in no hour folder.

    It lists the top folder and the window's folders only: its cost does not grow with what landed before.
    """
    found = Strays()
    dates = {day.date for day in window.days()}
    hours = set(window.hours())
    for entry in _entries(landing):
        day = _date_of(entry.name)
        if not is_folder(entry):
            _tell(found, entry, landing, "is in no hour's folder: move it to YYYY-MM-DD/HH")
        elif day is None:
            _tell(found, entry, landing, "is not a date: files are read from YYYY-MM-DD/HH")
        elif day in dates:
            _look_into(found, entry, day, landing, hours)
        elif entry.name != day.isoformat():
            _tell(found, entry, landing, f"is not read: rename it to {day}")
    if len(found.messages) > MESSAGES:
        more = len(found.messages) - MESSAGES
        found.messages[MESSAGES:] = [f"and {more:,} more files and folders in {landing} belong to no hour"]
    return found


def name_of(path: Path, landing: Path) -> str:
    """Return the name of a file relative to the landing folder, in characters that any reader accepts."""
    return os.fsencode(path.relative_to(landing)).decode("utf-8", "backslashreplace")


def _look_into(found: Strays, folder: _Entry, day: date, landing: Path, hours: set[Window]) -> None:
    """Search a date folder. A folder with an unexpected name holds the hours in it."""
    is_named_right = folder.name == day.isoformat()
    for entry in _entries(Path(folder.path)):
        number = _hour_of(entry.name)
        if number is None or not _may_be_an_hour(entry):
            _tell(found, entry, landing, f"is in no hour's folder: move it to {day}/HH")
        elif not (is_named_right and entry.name == f"{number:02d}" and is_folder(entry)):
            start = datetime.combine(day, time(number), UTC)
            hour = Window(start, start + timedelta(hours=1))
            where = f"{day}/{number:02d}"
            what = f"a folder of this name is not read: move its files to {where}"
            if not is_folder(entry):
                what = f"a file where a folder should be is not read: move it into a folder {where}"
            if hour in hours and not (is_folder(entry) and _is_empty(Path(entry.path))):
                found.waiting.setdefault(hour, []).append(Waiting(name_of(Path(entry.path), landing), what))


def _tell(found: Strays, entry: _Entry, landing: Path, what: str) -> None:
    if not _is_no_data(entry.name) and not (is_folder(entry) and _is_empty(Path(entry.path))):
        found.messages.append(f"{name_of(Path(entry.path), landing)} {what}")


def _date_of(name: str) -> date | None:
    match = _DATE.fullmatch(name.strip())
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None


def _hour_of(name: str) -> int | None:
    match = _HOUR.fullmatch(name.strip())
    return int(match[1]) if match and int(match[1]) < 24 else None


def _may_be_an_hour(entry: _Entry) -> bool:
    """Say whether a name may be an hour: a file named 09 is where the hour's folder should be; one named 9 may be anything."""
    return is_folder(entry) or len(entry.name) == 2


def _entries(folder: Path) -> Iterator[_Entry]:
    """List a folder by name; empty if it cannot be listed, which its hours report themselves."""
    try:
        with os.scandir(folder) as found:
            yield from sorted(found, key=lambda entry: entry.name)
    except OSError:
        return


def is_folder(entry: _Entry) -> bool:
    """Say whether something is a folder, or must be treated as one because its kind cannot be read."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself: opening it will report that
        return True


def _is_empty(folder: Path) -> bool:
    """Say whether a folder is empty. A folder that cannot be listed counts as not empty."""
    try:
        with os.scandir(folder) as found:
            return next(found, None) is None
    except OSError:
        return False


def _is_half_written(lower: str) -> bool:
    is_hidden_line_file = lower.startswith(".") and "json" in lower and not _ABOUT_DATA.fullmatch(lower)
    return is_hidden_line_file or lower.endswith(_HALF_WRITTEN_NAMES)


def _is_no_data(name: str) -> bool:
    return bool(_NO_DATA.fullmatch(name) or _ABOUT_DATA.fullmatch(name))
