"""Cache the parsed dbt project, as parsing takes seconds: in memory and on disk, until a file of the project changes.

Then dbt starts from what was parsed last, and parses only the files that have changed.

On disk it is kept twice: in the project's `target`, where a new home finds it, and in the home, which outlives a container.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ingestion.home import Home
from warehouse.version import MAKING_TABLES, source_files

# A checkout may switch between versions, and a home may serve two checkouts.
_KEPT = 4
# What an earlier Clearwell kept is made anew if this differs: dbt could not start from a manifest of its first form.
_FORM = 2
_IN_MEMORY: dict[str, "_Files"] = {}


@dataclass(frozen=True)
class _Files:
    """The manifest in both forms: dbt's objects, pickled, and the JSON that all other code reads."""

    packed: bytes
    listed: bytes

    def by_name(self, key: str) -> dict[str, bytes]:
        """Return the content of each file by its name."""
        return {f"{key}.msgpack": self.packed, f"{key}.json": self.listed}


def project_key(project: Path) -> str:
    """Return 16 hex digits of what dbt's parsing depends on: its version, the project's files, and when each changed."""
    profile = project / "profiles.yml"
    files = [*source_files(project, (*MAKING_TABLES, "tests")), (str(profile), profile.stat().st_mtime_ns)]
    return sha256(
        json.dumps([_FORM, version("dbt-core"), version("dbt-duckdb"), str(project), files]).encode()
    ).hexdigest()[:16]


# Makes dbt's manifest of a project. It is given the file of the manifest that was kept last, if there is one.
Parse = Callable[[Path | None], Any]


def parsed(home: Home, project: Path, parse: Parse) -> tuple[Any, bytes]:
    """Return dbt's manifest of a project, a copy that a run may write into, and the same as JSON.

    `parse` makes the manifest when neither this process nor the disk has it. Two processes may do so at once: a file gets its
    name when it is whole.
    """
    key, folders = project_key(project), _folders(home, project)
    files = _IN_MEMORY.get(key) or _read(folders, key)
    if files:
        with suppress(Exception):  # if the file is damaged in any way, it is made again
            manifest = _unpack(files.packed)
            _remember(folders, key, files)
            return manifest, files.listed
    files = _pack(parse(_last(folders, "msgpack")))
    _remember(folders, key, files)
    return _unpack(files.packed), files.listed


def listed(home: Home, project: Path, parse: Parse) -> bytes:
    """Return the manifest as JSON alone: without loading dbt, which takes seconds, where the disk or this process has it."""
    key = project_key(project)
    files = _IN_MEMORY.get(key) or _read(_folders(home, project), key)
    if files and files.listed:
        return files.listed
    return parsed(home, project, parse)[1]


def kept(home: Home, project: Path, name: str) -> bytes | None:
    """Return a file that was made of the parsed project and kept beside it; None if there is none."""
    for folder in _folders(home, project):
        with suppress(OSError):
            return (folder / name).read_bytes()
    return None


def kept_last(home: Home, project: Path, kind: str) -> bytes | None:
    """Return the file of a kind that was kept last, whatever the project was then; None if there is none."""
    last = _last(_folders(home, project), kind)
    with suppress(OSError):
        return last.read_bytes() if last else None
    return None


def keep(home: Home, project: Path, name: str, content: bytes) -> None:
    """Keep a file beside the parsed project, in both places."""
    shared, own = _folders(home, project)
    with suppress(OSError):
        _write(shared, {name: content})
    _write(own, {name: content})


def _folders(home: Home, project: Path) -> tuple[Path, Path]:
    """Return where the files are kept. The first may not be writable: a checkout may belong to another user."""
    return project / "target" / "parsed", home.root / "parsed"


def _last(folders: Iterable[Path], kind: str) -> Path | None:
    """Return the file of a kind that was written last; None if there is none."""
    return max((path for folder in folders for path in folder.glob(f"*.{kind}")), key=_changed, default=None)


def _read(folders: Iterable[Path], key: str) -> _Files | None:
    for folder in folders:
        with suppress(OSError):
            return _Files(*((folder / f"{key}.{kind}").read_bytes() for kind in ("msgpack", "json")))
    return None


def _remember(folders: Sequence[Path], key: str, files: _Files) -> None:
    """Keep the manifest in memory, and on disk where it is not there yet."""
    _IN_MEMORY.clear()
    _IN_MEMORY[key] = files
    shared, own = folders
    if _read([shared], key) != files:
        with suppress(OSError):
            _write(shared, files.by_name(key))
    if _read([own], key) != files:
        _write(own, files.by_name(key))


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files by name, and delete the oldest ones of each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        part = folder / f"{name}.{os.getpid()}"
        part.write_bytes(content)
        part.replace(folder / name)
        for old in sorted(folder.glob(f"*{Path(name).suffix}"), key=_changed, reverse=True)[_KEPT:]:
            old.unlink(missing_ok=True)


def _changed(path: Path) -> int:
    """Return when a file was written; 0 for one that another process has just deleted."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _pack(manifest: Any) -> _Files:
    from dbt.parser.manifest import extended_mashumaro_encoder

    # dbt would not read a YAML file that has the time of the one it knows; times are the same where an image sets them
    for file in manifest.files.values():
        file.path.modification_time = 0.0
    listed = json.dumps(manifest.writable_manifest().to_dict(omit_none=False, context={"artifact": True}))
    return _Files(manifest.to_msgpack(extended_mashumaro_encoder), listed.encode())


def _unpack(packed: bytes) -> Any:
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    return Manifest.from_msgpack(packed, decoder=extended_mashumuro_decoder)
