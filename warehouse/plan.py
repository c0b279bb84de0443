"""Plan a build: the batches that enter, those that leave, and the state it starts from."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from ingestion import atomic, bronze, lake
from ingestion.bronze import BatchRef
from ingestion.errors import Broken, Permanent
from ingestion.home import LAKE, Home
from ingestion.land import Report, silent
from ingestion.manifest import OF_PLAN, Manifest
from ingestion.run_log import Taken
from ingestion.sources import decisions
from ingestion.window import parse_time
from warehouse import lakehouse, state
from warehouse.engines import DUCKDB


@dataclass(frozen=True)
class Request:
    """What a build is asked for: new batches; or a half-open range of dates, or everything, again from bronze.

    `taken_only` leaves out batches that are not in the state. `again` are batches whose files have changed: those of them that
    are in the state are read again.
    """

    from_date: date | None = None
    to_date: date | None = None
    full: bool = False
    reason: str = ""
    dry_run: bool = False
    taken_only: bool = False
    again: tuple[str, ...] = ()
    engine: str = DUCKDB

    def __post_init__(self) -> None:
        if (self.from_date is None) != (self.to_date is None):
            raise Permanent("a range needs a start and an end", todo="give --from and --to")
        if self.from_date and self.to_date and self.from_date >= self.to_date:
            raise Permanent(
                f"the range {self.from_date} to {self.to_date} is empty",
                todo="give a --from before --to; the date of --to is not part of the range",
            )
        if self.full and self.from_date:
            raise Permanent("--full and a range cannot be combined", todo="leave out --full, or the range")

    @property
    def is_replay(self) -> bool:
        return self.full or self.from_date is not None


@dataclass(frozen=True)
class Plan:
    """A planned build. `base` is the state's last build, now and when this one is applied."""

    build_id: str
    base: str
    number: int
    full: bool
    reason: str
    planned_at: str
    entering: tuple[str, ...]
    leaving: tuple[str, ...]
    # The batches that the audit of this build holds, each with the check that it fails.
    held: Mapping[str, str] = field(default_factory=dict)
    engine: str = DUCKDB

    @property
    def is_whole(self) -> bool:
        """Say whether the build makes every row of the state: it is full, or the first one."""
        return self.full or not self.base

    def save(self, folder: Path) -> None:
        atomic.write(folder / PLAN, json.dumps(asdict(self), indent=1) + "\n")


PLAN = "plan.json"
VERDICT = "findings.json"
# So many decisions are said as the reason of a build.
_DECISIONS = 3


@dataclass(frozen=True)
class Build:
    """The folder of one build, and the paths in it."""

    home: Home
    build_id: str

    @property
    def folder(self) -> Path:
        return self.home.builds / self.build_id

    @property
    def file(self) -> Path:
        return self.folder / "build.duckdb"

    @property
    def is_planned(self) -> bool:
        return self.plan_file.is_file()

    @property
    def plan_file(self) -> Path:
        return self.folder / PLAN

    @property
    def scratch(self) -> Path:
        """Holds the tables of staging, which nothing needs after the build."""
        return self.folder / "scratch.duckdb"

    @property
    def batches(self) -> Path:
        return self.folder / "batches.jsonl"

    @property
    def verdict(self) -> Path:
        """The audit's verdict as JSON. Without this file the build was not audited."""
        return self.folder / VERDICT

    @property
    def made(self) -> Path:
        """An empty file that exists once every table of the build is complete: an interrupted transform leaves only some."""
        return self.folder / "made"

    @property
    def times(self) -> Path:
        """The seconds that each model took, as JSON, once all are built."""
        return self.folder / "models.json"

    @property
    def target(self) -> Path:
        return self.folder / "target"

    @property
    def made_by(self) -> Path:
        """The models that the build was made by, as dbt lists them."""
        return self.target / "manifest.json"

    def plan(self) -> Plan:
        try:
            body = json.loads(self.plan_file.read_text())
            return Plan(**{**body, "entering": tuple(body["entering"]), "leaving": tuple(body["leaving"])})
        except FileNotFoundError:
            raise Permanent(
                f"there is no build {self.build_id}", where=str(self.folder), todo="clearwell builds list"
            ) from None
        except (KeyError, TypeError, ValueError) as error:
            raise Broken(f"the plan of a build cannot be read: {error!r}", where=str(self.folder)) from error

    def start_state(self) -> Path:
        """The file that the transform reads as the state: an empty one for a full build."""
        return self.empty if self.plan().full else self.state

    @property
    def state(self) -> Path:
        """The state as it is read for this build: other machines may change a lake meanwhile, so it is read as it was planned."""
        return self.pinned if lake.is_lake(self.home.state) else self.home.state

    @property
    def pinned(self) -> Path:
        """The file that names the snapshot of a lake which the build was planned over."""
        return self.folder / f"state{LAKE}"

    @property
    def empty(self) -> Path:
        """A file without tables, which a full build starts from."""
        return self.folder / "empty.duckdb"


@dataclass(frozen=True)
class Waiting:
    """The batches in bronze that no build has taken and that are not held; and the damaged ones, each with its fault."""

    manifests: tuple[Manifest, ...]
    broken: Mapping[BatchRef, str]


def waiting_batches(home: Home) -> list[Manifest]:
    """Read the manifests of the batches in bronze that the next build takes."""
    return list(look(home).manifests)


def look(home: Home) -> Waiting:
    """Look through the batches that no build has taken, and compare their files with their manifests."""
    found = bronze.look(home, taken(home), partial(verify, home, anew=False))
    waiting = found.manifests
    held = _held(home)
    # A batch shared by two snapshots enters with this one, even if the other is held.
    shared = {
        batch_id
        for manifest in waiting
        if manifest.batch_id not in held
        for batch_id in manifest.snapshot_batches.values()
        if held.get(batch_id, batch_id) != batch_id
    }
    entering = tuple(one for one in waiting if one.batch_id not in held or one.batch_id in shared)
    return Waiting(entering, found.broken)


def pending(home: Home) -> bool:
    """Say whether any batches wait for a build."""
    return bool(waiting_batches(home))


def make_plan(home: Home, request: Request, now: datetime, report: Report = silent) -> Plan | None:
    """Write the plan of the next build; None if there is nothing to do.

    A damaged batch is left out. If it is in the state and must be read again, it is Broken. Overtaken if another machine
    changes the state meanwhile.
    """
    base = state.last_build(home.state)
    waiting = look(home)
    for ref, why in waiting.broken.items():
        report(f"batch {ref.batch_id} of {ref.dataset}, {ref.date}, stays out: {why}. Next: clearwell repair")
    not_taken = () if request.taken_only else waiting.manifests
    new = {manifest.batch_id: manifest for manifest in [*not_taken, *_held_again(home, request)]}
    replayed = _replayed(home, request) if request.is_replay else []
    if not request.full:
        decided = _decided(home, new.values(), frozenset(one.batch_id for one in replayed))
        if request.again:
            decided += _in_state(home, frozenset(request.again) - {one.batch_id for one in (*replayed, *decided)})
        replayed += [manifest for manifest in decided if manifest.batch_id not in new]
    if not new and not replayed:
        return None
    entering = tuple(sorted([*new, *(manifest.batch_id for manifest in replayed)]))
    plan = Plan(
        build_id=f"{now:%Y%m%dT%H%M%SZ}-{_fingerprint(base, entering, request)}",
        base=base,
        number=_number(home) + 1,
        full=request.full,
        reason=_reason(request, decisions.told(home, new.values())),
        planned_at=now.isoformat(),
        entering=entering,
        leaving=() if request.full else tuple(sorted(manifest.batch_id for manifest in replayed)),
        engine=request.engine,
    )
    _save(home, plan, [*new.values(), *replayed])
    return plan


def _reason(request: Request, decided: Sequence[str]) -> str:
    """Return why there is this build: what is asked for, and the last decisions that it carries out for the first time."""
    more = [f"and {len(decided) - _DECISIONS:,} decisions before"] if len(decided) > _DECISIONS else []
    return "; ".join([*([request.reason] if request.reason else []), *decided[-_DECISIONS:], *more])


def make_trial_plan(build: Build, manifests: Iterable[Manifest], now: datetime) -> None:
    """Write a plan for some batches that will never be applied."""
    listed = list(manifests)
    entering = tuple(sorted(manifest.batch_id for manifest in listed))
    base = state.last_build(build.home.state)
    _save(build.home, Plan(build.build_id, base, 0, True, "trial", now.isoformat(), entering, ()), listed)


def _save(home: Home, plan: Plan, manifests: Iterable[Manifest]) -> None:
    build = Build(home, plan.build_id)
    build.folder.mkdir(parents=True, exist_ok=True)
    if lake.is_lake(home.state):
        lakehouse.pin(home.state, plan.base, plan.build_id, build.pinned)
    build.batches.write_text("".join(batch_lines(home, manifests, frozenset(plan.leaving))))
    plan.save(build.folder)


def make_same_plan(home: Home, build_id: str, now: datetime) -> Plan:
    """Write a plan for a full build of exactly the state's batches, held ones included. Its result must equal the state."""
    base = state.last_build(home.state)
    # The ledger as well: a row lost from the list of batches must not go unnoticed.
    taken = {
        row["batch_id"]
        for name in ("batches", "ledger", "held")
        for row in state.read(home.state, f"ops.{name}", f"select distinct batch_id from ops.{name}")
    }
    manifests = [_read_again(home, ref) for ref in bronze.list_batches(home) if ref.batch_id in taken]
    entering = tuple(sorted(manifest.batch_id for manifest in manifests))
    query = "select batch_id, cause from ops.held where batch_id = broken_batch_id and cause <> 'refused_records'"
    held = {row["batch_id"]: row["cause"] for row in state.read(home.state, "ops.held", query)}
    plan = Plan(build_id, base, 0, True, "recount", now.isoformat(), entering, (), held)
    _save(home, plan, manifests)
    return plan


def verify(home: Home, manifest: Manifest, *, anew: bool = True) -> None:
    """Compare a batch's files with its manifest, as bronze does. The files of a retracted batch are not read."""
    try:
        bronze.verify(home, manifest, anew=anew)
    except Broken:
        if manifest.batch_id not in decisions.retracted(home):
            raise


def _read_again(home: Home, ref: BatchRef) -> Manifest:
    """Read the manifest of a batch that must be read again, and verify its files."""
    try:
        manifest = bronze.read_manifest(home, ref)
        verify(home, manifest, anew=False)
    except Broken as error:
        what = f"batch {ref.batch_id} of {ref.dataset}, {ref.date}, must be read again but is damaged: {error.what}"
        raise Broken(what, where=error.where) from error
    return manifest


def batch_lines(home: Home, manifests: Iterable[Manifest], leaving: frozenset[str]) -> Iterable[str]:
    """Yield one JSON line per batch: its manifest, the folder of its files, and whether it enters and leaves."""
    for manifest in sorted(manifests, key=lambda one: one.batch_id):
        body = json.loads(manifest.to_json())
        folder = f"{bronze.records_folder(home, manifest)}/"
        body |= dict(zip(OF_PLAN, (folder, True, manifest.batch_id in leaving), strict=True))
        yield json.dumps(body) + "\n"


def entering(build: Build) -> Taken:
    """Return the records and bytes that enter in a build, going by its plan."""
    batches = _batches(build)
    return Taken(records=sum(one["records_written"] for one in batches), bytes=sum(one["bytes"] for one in batches))


def files(build: Build) -> list[Path]:
    """Return the Parquet files of the batches that enter or leave in a build, each once: compacted batches share one."""
    named = {Path(one["folder"], file["name"]) for one in _batches(build) for file in one["files"]}
    return sorted(named)


def days(build: Build) -> int:
    """Count the dates in the windows of the batches that enter or leave in a build, going by its plan."""
    windows = {(one["window_start"][:10], one["window_end"]) for one in _batches(build)}
    dates = set()
    for first, end in windows:
        start, last = date.fromisoformat(first), (parse_time(end) - timedelta(microseconds=1)).date()
        dates |= {*range(start.toordinal(), last.toordinal() + 1)}
    return len(dates)


def _batches(build: Build) -> list[dict[str, Any]]:
    """Return the manifests of the plan's batches, as the models read them."""
    return [json.loads(line) for line in build.batches.read_text().splitlines()]


def hold(build: Build, held: Mapping[str, str]) -> None:
    """Add held batches to a plan, each with the check that it fails."""
    plan = build.plan()
    replace(plan, held={**plan.held, **held}).save(build.folder)


def taken(home: Home) -> frozenset[str]:
    """Return the ids of the batches in the state."""
    return frozenset(
        row["batch_id"] for row in state.read(home.state, "ops.batches", "select batch_id from ops.batches")
    )


def _held(home: Home) -> dict[str, str]:
    """Return the held batches, each with the batch it is held for. An accepted or retracted batch holds no others."""
    rows = state.read(home.state, "ops.held", "select batch_id, broken_batch_id from ops.held")
    settled = decisions.settled(home) if rows else frozenset()
    return {
        row["batch_id"]: row["broken_batch_id"]
        for row in rows
        if not settled & {row["batch_id"], row["broken_batch_id"]}
    }


def _decided(home: Home, new: Iterable[Manifest], replayed: frozenset[str]) -> list[Manifest]:
    """Read the manifests of the batches in the state that a new decision retracts or restores.

    They leave and enter again: a retracted batch is not parsed, a restored one is.
    """
    batches = [manifest for manifest in new if manifest.dataset == decisions.DATASET]
    if not batches:
        return []
    return _in_state(home, decisions.whole_batches(home, batches) - replayed)


def _in_state(home: Home, wanted: Iterable[str]) -> list[Manifest]:
    """Read the manifests of those of some batches that are in the state."""
    query = "select dataset, window_date, batch_id from ops.batches where list_contains($1, batch_id)"
    return [
        _read_again(home, BatchRef(row["dataset"], row["window_date"], row["batch_id"]))
        for row in state.read(home.state, "ops.batches", query, [sorted(wanted)])
    ]


def _held_again(home: Home, request: Request) -> list[Manifest]:
    """Read the manifests of the held batches in the requested range: a fixed contract may accept them now."""
    if not request.is_replay:
        return []
    query = "select dataset, window_date, batch_id from ops.held where $1 or (window_start < $3 and window_end > $2)"
    parameters = [request.full, request.from_date, request.to_date]
    return [
        _read_again(home, BatchRef(row["dataset"], row["window_date"], row["batch_id"]))
        for row in state.read(home.state, "ops.held", query, parameters)
    ]


def _replayed(home: Home, request: Request) -> list[Manifest]:
    """Read the manifests of the batches in the state that have a record or a window on the requested dates."""
    query = "select distinct dataset, window_date, batch_id from ops.batches"
    parameters: list[object] = []
    if not request.full:
        query += """
            where (window_date >= $1 and window_date < $2)
            or batch_id in (select batch_id from ops.batch_dates where record_date >= $1 and record_date < $2)
        """
        parameters = [request.from_date, request.to_date]
    found = state.read(home.state, "ops.batches", query, parameters)
    return [_read_again(home, BatchRef(row["dataset"], row["window_date"], row["batch_id"])) for row in found]


def _number(home: Home) -> int:
    found = state.read(home.state, "ops.builds", "select max(build_number) as number from ops.builds")
    return (found[0]["number"] or 0) if found else 0


def _fingerprint(base: str, entering: tuple[str, ...], request: Request) -> str:
    return sha256("\n".join([base, str(request), *entering]).encode()).hexdigest()[:8]
