"""Where the records of small batches lie that were put together in one Parquet file: `compacted-<id>/` beside the batches.

Such a folder holds the file and `index.json`, which names the batches in it. The column `bronze_batch` says of each record whose it
is. A batch keeps its own folder with its manifest, unchanged; its records lie in its own file while that exists, and else here.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ingestion.manifest import File, Manifest

INDEX = "index.json"
PREFIX = "compacted-"


@dataclass(frozen=True)
class Compacted:
    """A folder of small batches: its file, and the one file that each batch had when it landed."""

    folder: Path
    file: File
    batches: Mapping[str, File]

    def holds(self, manifest: Manifest) -> bool:
        """Say whether the records of a batch, as its manifest describes them, are in this file."""
        return manifest.files == (self.batches.get(manifest.batch_id),)

    def to_json(self) -> str:
        batches = {batch_id: asdict(file) for batch_id, file in self.batches.items()}
        return json.dumps({"file": asdict(self.file), "batches": batches}, indent=1) + "\n"


def is_shared(path: str) -> bool:
    """Say whether a Parquet file of bronze holds the records of several batches."""
    return Path(path).parent.name.startswith(PREFIX)


def of_day(day: Path) -> list[Compacted]:
    """Read the folders of small batches in the folder of a day. One that cannot be read holds no batch: its batches are damaged."""
    found = []
    try:
        with os.scandir(day) as there:
            names = sorted(one.name for one in there if one.name.startswith(PREFIX))
    except FileNotFoundError:
        return []
    for name in names:
        with suppress(OSError, AttributeError, KeyError, TypeError, ValueError):
            path = day / name / INDEX
            seen = path.stat()
            found.append(_read(path, seen.st_mtime_ns, seen.st_ino))
    return found


@lru_cache(maxsize=1024)
def _read(path: Path, _mtime: int, _inode: int) -> Compacted:
    body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    batches = {batch_id: File(**file) for batch_id, file in body["batches"].items()}
    return Compacted(path.parent, File(**body["file"]), batches)
