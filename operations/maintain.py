"""Keep a home in order: remove files that nothing reads any more, and rewrite those that have become wasteful.

Removed: logs and findings of old builds, logs of old runs, and what killed processes left. Rewritten: the small batches of a day
into one file, and a state that is half empty. Raw records, the state's tables, plans, copies of manifests, published files and
`broken/` stay. An old build's plan and its copies of manifests are read by `repair`; a published build's findings are in
`ops.findings`, and those of an old refused one are gone.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ingestion import bronze, compaction, run_log
from ingestion.bronze import BatchRef
from ingestion.database import spill_folder, write_ahead
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Report, silent
from ingestion.locks import locked
from ingestion.sources import counts, decisions
from warehouse import build, publish, rewrite, state
from warehouse.audit import last_refused
from warehouse.plan import Build

KEEP_DAYS = 90
# Late data and late corrections make new batches for some days.
COMPACT_AFTER = timedelta(days=7)
# Spilled data older than this belongs to no running query: a running one keeps writing to its file.
_IDLE = timedelta(days=1)
# A build reads the run log of this month and the one before.
_MONTHS_READ = 2
REMOVED, REWRITTEN = "removed", "rewritten"
# How long an uploaded file waits for its run to be repeated.
_UPLOADED = timedelta(days=7)


@dataclass(frozen=True)
class Task:
    """Something to remove or to rewrite: what it is, where, and its size in bytes; of the state, that of its free blocks."""

    kind: str
    path: Path
    size: int
    does: str = REMOVED


@dataclass(frozen=True)
class Layer:
    """What a home keeps of one kind: its bytes, for how long it is kept, and why."""

    layer: str
    bytes: int
    kept: str
    why: str


def maintain(
    home: Home,
    now: datetime,
    keep_days: int = KEEP_DAYS,
    *,
    dry_run: bool = False,
    report: Report = silent,
) -> list[Task]:
    """Do what is to do and return it; with `dry_run`, only return it. Waits for a build that runs.

    `keep_days` is how long the logs and findings of builds and runs stay.
    """
    oldest = now - timedelta(days=keep_days)
    with state.lock_build(home, report):
        found = [
            *(
                _measured(kind, path)
                for kind, path in (
                    *_builds(home, oldest),
                    *_spilled(home, now),
                    *_uploaded(home, now),
                    *_logs(home, oldest),
                )
            ),
            *_asides(home, report),
        ]
        if not dry_run:
            _remove(found)
            _prune(home.airflow / "logs", now - _IDLE)
        found += _rewrites(home, now, report, dry_run=dry_run)
    if home.staging.is_dir():
        with locked(home.staging):
            staged = [_measured("batch of a killed landing", path) for path in bronze.strays(home.staging)]
            if not dry_run:
                _remove(staged)
            found += staged
    return sorted(found, key=lambda one: (one.does, one.kind, one.path))


def _builds(home: Home, oldest: datetime) -> Iterator[tuple[str, Path]]:
    """Find the files of killed builds, and those of old builds except the plan. No build runs meanwhile."""
    spared = {last_refused(home), Build(home, state.last_build(home.state)), *build.made_aside(home)}
    for folder in sorted(home.builds.glob("*")):
        one = Build(home, folder.name)
        if one in spared:
            continue
        if not one.is_planned:
            yield "build without a plan", folder
        elif folder.name < f"{oldest:%Y%m%dT%H%M%S}":
            kept = (one.plan_file, one.batches)
            yield from (("file of an old build", path) for path in sorted(folder.iterdir()) if path not in kept)


def _spilled(home: Home, now: datetime) -> Iterator[tuple[str, Path]]:
    """Find data that killed queries spilled to disk, beside the files that people query."""
    for folder in {home.root, home.published.parent}:
        for path in folder.glob(f"{spill_folder(Path('*.duckdb'))}/*"):
            if _is_older(path, now - _IDLE):
                yield "data spilled by a killed query", path


def _logs(home: Home, oldest: datetime) -> Iterator[tuple[str, Path]]:
    """Find old logs of runs: Clearwell's own, by month, and those of the Airflow that lives in this home."""
    months = sorted(run_log.folder(home).glob("*.jsonl"))[:-_MONTHS_READ]
    yield from (("log of an old month", path) for path in months if path.stem < f"{oldest:%Y-%m}")
    for path in sorted((home.airflow / "logs").rglob("*")):
        if path.is_file() and not path.is_symlink() and _is_older(path, oldest):
            yield "old log of Airflow", path


def _uploaded(home: Home, now: datetime) -> Iterator[tuple[str, Path]]:
    """Find corrected records whose run has failed: a run that lands them removes them."""
    for path in home.uploads.glob("*"):
        if _is_older(path, now - _UPLOADED):
            yield "uploaded file that was not resubmitted", path


def _asides(home: Home, report: Report) -> list[Task]:
    """Find files that a killed publish or rewrite left before it could rename them."""
    with state.lock(home, report):
        names = [one for path in (publish.next_file(home), rewrite.aside(home)) for one in (path, write_ahead(path))]
        return [_measured("file of a killed publish", path) for path in names if path.exists()]


def _rewrites(home: Home, now: datetime, report: Report, *, dry_run: bool) -> Iterator[Task]:
    """Rewrite what has become wasteful, or only find it."""
    used = rewrite.usage(home.state)
    if used.is_worth_rewriting:
        if not dry_run:
            rewrite.rewrite(home, report)
        yield Task("state that is half empty", home.state, used.free_bytes, REWRITTEN)
    # what is built again to be compared reads bronze
    with state.lock_aside(home, report):
        if not dry_run:
            for day in compaction.unfinished(home):
                compaction.finish(home, day)
        settled = _settled(home)
        for group in compaction.find(home, (now - COMPACT_AFTER).date(), lambda ref: ref in settled):
            if dry_run or compaction.compact(home, group):
                days = home.bronze / group.dataset / group.date.isoformat()
                yield Task(f"{len(group.manifests)} small batches of a day", days, group.bytes, REWRITTEN)


def _settled(home: Home) -> frozenset[BatchRef]:
    """List the batches that no landing and no build that is under way reads: they are in the state, and none of them is retracted."""
    out = {*decisions.retracted(home)}
    last = state.last_build(home.state)
    for folder in home.builds.glob("*"):
        with suppress(Permanent):  # a build without a plan, or with a damaged one, is never made
            plan = Build(home, folder.name).plan()
            out |= {*plan.entering} if plan.base == last else set()
    query = "select dataset, window_date, batch_id from ops.batches where source not in ('decisions', 'corrections')"
    return frozenset(
        BatchRef(row["dataset"], row["window_date"], row["batch_id"])
        for row in state.read(home.state, "ops.batches", query)
        if row["batch_id"] not in out and row["dataset"] not in (decisions.DATASET, counts.DATASET)
    )


def layers(home: Home, keep_days: int = KEEP_DAYS) -> list[Layer]:
    """Say of each layer how large it is, how long it is kept, and what reads it."""
    always, days = "for ever", f"{keep_days} days"
    build_files = [path for path in home.builds.rglob("*") if path.is_file()]
    plans = [
        path for path in build_files if path.name in (Build(home, "").plan_file.name, Build(home, "").batches.name)
    ]
    listed: Mapping[str, tuple[int, str, str]] = {
        "bronze": (_size(home.bronze), always, "a rebuild, the nightly recount, repair and trace read it"),
        "state": (_size(home.state), always, "every later version of a record is compared with it"),
        "published": (_size(home.published.parent), f"the last {publish.KEPT_STATES}", "readers, and builds restore"),
        "plans of builds": (_sum(plans), always, "repair restores manifests from them"),
        "logs and findings of builds": (_sum(build_files) - _sum(plans), days, "people"),
        "run log": (
            _size(run_log.folder(home)),
            f"{days}, and {_MONTHS_READ} months",
            "builds, which take it over into ops.runs",
        ),
        "logs of Airflow": (_size(home.airflow / "logs"), days, "people"),
        "broken": (_size(home.broken), "until you delete it", "nothing"),
    }
    return [Layer(name, *of) for name, of in listed.items()]


def _is_older(path: Path, moment: datetime) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime < moment.timestamp()
    return False


def _measured(kind: str, path: Path) -> Task:
    return Task(kind, path, _size(path))


def _size(path: Path) -> int:
    return _sum([path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()])


def _sum(paths: Iterable[Path]) -> int:
    total = 0
    for path in paths:
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _remove(found: Iterable[Task]) -> None:
    for one in found:
        if one.path.is_dir():
            shutil.rmtree(one.path)
        else:
            one.path.unlink(missing_ok=True)


def _prune(folder: Path, since: datetime) -> None:
    """Remove the folders in a folder that have been empty for long: a young one may be about to get a file."""
    for path, _, _ in os.walk(folder, topdown=False):
        if Path(path) != folder and _is_older(Path(path), since):
            with suppress(OSError):  # it is not empty
                Path(path).rmdir()
