"""Cache the parsed dbt project, as parsing takes seconds: in memory and in the home, until a file of the project changes."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ingestion.home import Home
from warehouse.version import MAKING_TABLES, source_files

# A home may serve two checkouts, or one that switches between two versions.
_KEPT = 4
_IN_MEMORY: dict[str, "_Files"] = {}


@dataclass(frozen=True)
class _Files:
    """The manifest in both forms: dbt's objects, pickled, and the JSON that all other code reads."""

    packed: bytes
    listed: bytes


def project_key(project: Path) -> str:
    """Return 16 hex digits of what dbt's parsing depends on: its version, the project's files, and when each changed."""
    profile = project / "profiles.yml"
    files = [*source_files(project, (*MAKING_TABLES, "tests")), (str(profile), profile.stat().st_mtime_ns)]
    return sha256(json.dumps([version("dbt-core"), version("dbt-duckdb"), str(project), files]).encode()).hexdigest()[
        :16
    ]


def parsed(home: Home, project: Path, parse: Callable[[], Any]) -> tuple[Any, bytes]:
    """Return dbt's manifest of a project, a copy that a run may write into, and the same as JSON.

    `parse` makes the manifest when neither this process nor the home has it. Two processes may do so at once: a file gets its
    name when it is whole.
    """
    key = project_key(project)
    files = _IN_MEMORY.get(key) or _read(home, key)
    if files:
        with suppress(Exception):  # if the file is damaged in any way, it is made again
            manifest = _unpack(files.packed)
            _remember(home, key, files)
            return manifest, files.listed
    files = _pack(parse())
    _remember(home, key, files)
    return _unpack(files.packed), files.listed


def listed(home: Home, project: Path, parse: Callable[[], Any]) -> bytes:
    """Return the manifest as JSON alone: without loading dbt, which takes seconds, where the home or this process has it."""
    key = project_key(project)
    files = _IN_MEMORY.get(key) or _read(home, key)
    if files and files.listed:
        return files.listed
    return parsed(home, project, parse)[1]


def _folder(home: Home) -> Path:
    return home.root / "parsed"


def _read(home: Home, key: str) -> _Files | None:
    try:
        return _Files(*((_folder(home) / f"{key}.{kind}").read_bytes() for kind in ("msgpack", "json")))
    except FileNotFoundError:
        return None


def _remember(home: Home, key: str, files: _Files) -> None:
    """Keep the manifest in memory, and in the home if it is not there yet; delete the oldest ones in the home."""
    _IN_MEMORY.clear()
    _IN_MEMORY[key] = files
    folder = _folder(home)
    if _read(home, key) == files:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for kind, content in (("msgpack", files.packed), ("json", files.listed)):
        part = folder / f"{key}.{kind}.{os.getpid()}"
        part.write_bytes(content)
        part.replace(folder / f"{key}.{kind}")
    for old in sorted(folder.iterdir(), key=lambda path: -path.stat().st_mtime_ns)[2 * _KEPT :]:
        old.unlink(missing_ok=True)


def _pack(manifest: Any) -> _Files:
    from dbt.parser.manifest import extended_mashumaro_encoder

    listed = json.dumps(manifest.writable_manifest().to_dict(omit_none=False, context={"artifact": True}))
    return _Files(manifest.to_msgpack(extended_mashumaro_encoder), listed.encode())


def _unpack(packed: bytes) -> Any:
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    return Manifest.from_msgpack(packed, decoder=extended_mashumuro_decoder)
