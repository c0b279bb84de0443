"""Move damaged files aside instead of deleting them: to `broken/` in the home, each with a file that says why."""

import json
from pathlib import Path

from ingestion.bronze import force_to_disk, make_durable_folder
from ingestion.database import write_ahead
from ingestion.home import Home


def set_aside(home: Home, path: Path, why: str) -> Path:
    """Move a file or folder of the home to `broken/`, under the same names; return its new path.

    A database's write-ahead log is moved first: DuckDB must not replay it into a new database under the same name.
    """
    log = write_ahead(path)
    if log.exists():
        set_aside(home, log, why)
    target = _free(home.broken / path.relative_to(home.root))
    make_durable_folder(target.parent, home.root)
    reason = target.with_name(f"{target.name}.reason.json")
    reason.write_text(json.dumps({"was": str(path.relative_to(home.root)), "why": why}, indent=1) + "\n")
    force_to_disk(reason)
    _move(path, target)
    return target


def put_back(home: Home, aside: Path, path: Path) -> None:
    """Move a file or folder back from `broken/`."""
    _move(aside, path)
    aside.with_name(f"{aside.name}.reason.json").unlink()


def _move(path: Path, target: Path) -> None:
    path.rename(target)
    force_to_disk(target.parent)
    force_to_disk(path.parent)


def _free(target: Path) -> Path:
    number = 1
    found = target
    while found.exists():
        number += 1
        found = target.with_name(f"{target.name}-{number}")
    return found
