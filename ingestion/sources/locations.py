"""Find the files of a window by the location in a contract: its variables, its date parts, its wildcards.

`${NAME}` and `${NAME:-default}` are read from the environment. `{date}`, or `{year}`, `{month}`, `{day}` and `{hour}`, stand
for a time in UTC. `*` stands for any characters of one folder's or file's name. Files are found in the order of their names.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingestion.addresses import is_http, shown
from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.kinds import PARTS, parts_of, wrong_parts
from ingestion.sources.landing_names import may_be_data
from ingestion.window import Window

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_PACKAGE = "package:"


@dataclass(frozen=True, order=True)
class Found:
    """A file, with its size and the time of its last change where they are known without reading it."""

    place: str
    size: int = -1
    mtime_ns: int = 0


@dataclass(frozen=True)
class Listing:
    """The files of a pattern, by name, and what its wildcards met that is not read, with the reason."""

    files: tuple[Found, ...]
    skipped: tuple[str, ...] = ()


def location_of(contract: Contract) -> str:
    """Return the location in a contract, with the values of its variables."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1]) or match[2]
        if not found:
            raise Permanent(
                f"{contract.dataset} is read from ${{{match[1]}}}, which is not set",
                todo=f"set {match[1]} to a path or an address; or leave {contract.source} out of CLEARWELL_SOURCES",
            )
        return found

    location = _VARIABLE.sub(value, contract.settings.location)
    wrong = wrong_parts(location)
    if not wrong and has_wildcard(location) and not _is_listed(location):
        wrong = "has a *, but neither an address nor a package can be listed"
    if wrong:
        raise Permanent(
            f"the location of {contract.dataset} {wrong}",
            where=shown(location),
            todo="correct `location` in its contract, or the variable that it names",
        )
    return location


def has_wildcard(location: str) -> bool:
    # A * in the address of an API is a character like any other.
    return "*" in location and not (is_http(location) and "?" in location)


def is_dated(location: str) -> bool:
    """Say whether each day, or each hour, has files of its own."""
    return bool(parts_of(location) & {"date", "day"})


def units(location: str, window: Window) -> list[Window]:
    """List the hours or days of a window of which each has files of its own."""
    return window.hours() if "hour" in parts_of(location) else window.days()


def filled(location: str, unit: Window) -> str:
    """Return a location with the date parts of the time at which a unit starts."""
    for name, form in PARTS.items():
        location = location.replace(f"{{{name}}}", f"{unit.start:{form}}")
    return location


def find(location: str) -> Listing:
    """List the files that a location without date parts means. An address is not asked whether it exists."""
    if not _is_listed(location):
        return Listing((Found(location),))
    path = Path(location).expanduser()
    if not has_wildcard(location):
        try:
            found = path.stat()
        except FileNotFoundError:
            return Listing(())
        except OSError:
            return Listing((Found(location),))  # reading it will say why
        return Listing((Found(location, found.st_size, found.st_mtime_ns),))
    skipped: list[str] = []
    files = sorted(_walk(Path(path.anchor), path.parts[len(Path(path.anchor).parts) :], skipped))
    return Listing(tuple(files), tuple(sorted(skipped)))


def why_skipped(name: str, pattern: str) -> str | None:
    """Return why a file that a wildcard met is not read; empty if it is no data, None if it is read."""
    if name[0] in "._" and pattern.startswith("*"):
        return ""  # tools write their own files and those that are not ready under such names
    if pattern.endswith("*") and not may_be_data(name):
        return "its name is that of a by-product, or of a file that is still being written"
    return None


def is_path(place: str) -> bool:
    """Say whether a place is a path on this machine."""
    return _is_listed(place)


def matches(name: str, pattern: str) -> bool:
    """Say whether a name is one that a pattern means. Case matters."""
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL))


def _is_listed(location: str) -> bool:
    return not is_http(location) and not location.startswith(_PACKAGE)


def _walk(folder: Path, parts: tuple[str, ...], skipped: list[str]) -> Iterator[Found]:
    """Yield the files under a folder that the rest of a pattern means. A folder that cannot be listed is Permanent."""
    name, *rest = parts
    while rest and "*" not in name:
        folder, (name, *rest) = folder / name, rest
    try:
        with os.scandir(folder) as listed:
            entries = [entry for entry in listed if matches(entry.name, name)]
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise Permanent(
            f"the folder cannot be listed: {error.strerror}",
            where=shown(str(folder)),
            todo="check the path and the folder's permissions",
        ) from None
    for entry in entries:
        if rest:
            if entry.is_dir() and why_skipped(entry.name, name) is None:
                yield from _walk(Path(entry.path), tuple(rest), skipped)
            continue
        why = "it is a folder" if entry.is_dir() else why_skipped(entry.name, name)
        if why is None:
            try:
                now = entry.stat()
            except FileNotFoundError:
                now = None  # a link to nothing, or gone: reading it will say so
            yield Found(entry.path, now.st_size, now.st_mtime_ns) if now else Found(entry.path)
        elif why:
            skipped.append(f"{shown(entry.path)} is not read: {why}")
