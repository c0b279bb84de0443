"""Remove files that nothing reads any more: logs of old builds, and what killed processes left.

Bronze, the state, the published files and `broken/` are never touched. An old build's plan and its copies of manifests stay,
as `repair` reads them; a published build's findings stay in `ops.findings`, and those of an old refused one are gone.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ingestion import bronze
from ingestion.database import spill_folder
from ingestion.home import Home
from ingestion.land import Report, silent
from ingestion.locks import locked
from warehouse import build, state
from warehouse.audit import last_refused
from warehouse.plan import Build

KEEP_DAYS = 90
# Spilled data older than this belongs to no running query: a running one keeps writing to its file.
_IDLE = timedelta(days=1)
# How long an uploaded file waits for its run to be repeated.
_UPLOADED = timedelta(days=7)


@dataclass(frozen=True)
class Leftover:
    """A file or folder that nothing reads any more; its size in bytes."""

    kind: str
    path: Path
    size: int


def maintain(
    home: Home, now: datetime, keep_days: int = KEEP_DAYS, *, dry_run: bool = False, report: Report = silent
) -> list[Leftover]:
    """Remove the leftovers and return them; with `dry_run`, only return them. Waits for a build that runs.

    `keep_days` is how long the files of a build stay.
    """
    with state.lock_build(home, report):
        leftovers = (*_builds(home, now, keep_days), *_spilled(home, now), *_uploaded(home, now))
        found = [_measured(kind, path) for kind, path in leftovers]
        if not dry_run:
            _remove(found)
    if home.staging.is_dir():
        with locked(home.staging):
            staged = [_measured("batch of a killed landing", path) for path in bronze.strays(home.staging)]
            if not dry_run:
                _remove(staged)
            found += staged
    return sorted(found, key=lambda one: (one.kind, one.path))


def _builds(home: Home, now: datetime, keep_days: int) -> Iterator[tuple[str, Path]]:
    """Find the files of killed builds, and those of old builds except the plan. No build runs meanwhile."""
    oldest = f"{now - timedelta(days=keep_days):%Y%m%dT%H%M%S}"
    spared = {last_refused(home), Build(home, state.last_build(home.state)), *build.made_aside(home)}
    for folder in sorted(home.builds.glob("*")):
        one = Build(home, folder.name)
        if one in spared:
            continue
        if not one.is_planned:
            yield "build without a plan", folder
        elif folder.name < oldest:
            kept = (one.plan_file, one.batches)
            yield from (("file of an old build", path) for path in sorted(folder.iterdir()) if path not in kept)


def _spilled(home: Home, now: datetime) -> Iterator[tuple[str, Path]]:
    """Find data that killed queries spilled to disk, beside the files that people query."""
    oldest = (now - _IDLE).timestamp()
    for folder in {home.root, home.published.parent}:
        for path in folder.glob(f"{spill_folder(Path('*.duckdb'))}/*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    yield "data spilled by a killed query", path


def _uploaded(home: Home, now: datetime) -> Iterator[tuple[str, Path]]:
    """Find corrected records whose run has failed: a run that lands them removes them."""
    oldest = (now - _UPLOADED).timestamp()
    for path in home.uploads.glob("*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                yield "uploaded file that was not resubmitted", path


def _measured(kind: str, path: Path) -> Leftover:
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    return Leftover(kind, path, sum(one.stat().st_size for one in files))


def _remove(found: Iterable[Leftover]) -> None:
    for one in found:
        if one.path.is_dir():
            shutil.rmtree(one.path)
        else:
            one.path.unlink(missing_ok=True)
