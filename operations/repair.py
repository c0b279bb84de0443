"""Repair damaged files: move each aside, and make it again from sound ones.

A batch comes from its manifest's copy beside the builds, or from its source; the state from bronze; the published file
from the state. The files of a lake stay where they are: its tables are replaced in a new snapshot.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from ingestion import bronze, compaction, faults, sources
from ingestion.aside import put_back, set_aside
from ingestion.bronze import BatchRef
from ingestion.contract import read_contracts
from ingestion.errors import Broken, ClearwellError, Permanent
from ingestion.home import Home
from ingestion.lake import is_lake
from ingestion.land import Report
from ingestion.manifest import Manifest
from ingestion.sources import counts, decisions
from ingestion.sources.decisions import Decision, Target
from ingestion.window import Window
from operations.damage import Damage, is_still
from warehouse import lake_renewal, lakehouse, plan, publish, state
from warehouse.apply import copy_tables
from warehouse.build import Request, build

WAYS = {
    "pin": "set aside; readers keep the pinned state until `clearwell builds unpin`",
    "build": "set aside; no data is lost with it",
    "batch": "its manifest restored from a build's copy; else set aside, and its window landed again",
    "state": "set aside, and built again from bronze; in a lake, its tables are replaced",
    "published": "set aside, and published again from the state",
    "kept": "set aside",
}


def repair(home: Home, found: Sequence[Damage], now: datetime, report: Report) -> list[str]:
    """Repair all damage; return what could not be repaired, each with the next step. Files are moved to `broken/`."""
    # In the order in which one is made from another. Decisions come first: they say which batches are not read.
    order = list(WAYS)
    left = []
    # a build at this moment would start without a state
    with state.lock_build(home, report):
        found = [one for one in found if is_still(home, one)]
        asides = _clear_state(home, found)
        for one in sorted(found, key=lambda one: (order.index(one.kind), not _is_decision(one))):
            report(f"{one.kind} {one.name}: {one.what}")
            try:
                left += [line for line in [_repair_one(home, one, asides, now, report)] if line]
            except ClearwellError as error:
                left.append(f"{one.kind} {one.name}: {error}")
    return left


def _is_decision(one: Damage) -> bool:
    return one.ref is not None and one.ref.dataset == decisions.DATASET


def _clear_state(home: Home, found: Sequence[Damage]) -> list[Path]:
    """Move a damaged state aside first: landings read the state, and it is better to have none than a damaged one."""
    with state.lock(home):
        return [set_aside(home, one.path, one.what) for one in found if one.kind == "state" and not is_lake(one.path)]


def _repair_one(home: Home, one: Damage, asides: Sequence[Path], now: datetime, report: Report) -> str:
    if one.ref:
        return _Batch(home, one.ref, one.what, now, report).repair()
    if one.kind == "state" and is_lake(one.path):
        return _build_lake(home, one, now, report)
    if one.kind == "state":
        return _build_state(home, asides[0], now, report)
    if one.kind == "published":
        return _publish(home, one)
    with state.lock(home):
        set_aside(home, one.path, one.what)
        if one.kind == "pin":
            _pin_again(home, now)
    return ""


# --- the published file ---


def _publish(home: Home, one: Damage) -> str:
    pin = publish.pinned(home)
    with state.lock(home):
        set_aside(home, one.path, one.what)
        publish.catch_up(home)
    if pin:
        publish.pin(home, pin.build_id, pin.reason, pin.pinned_by, datetime.fromisoformat(pin.pinned_at))
    return ""


def _pin_again(home: Home, now: datetime) -> None:
    """Write the pin again, for the published state, if that is not the present one."""
    given = state.last_build(home.published)
    if given and given != state.last_build(home.state):
        publish.write_pin(home, publish.Pin(given, "the earlier pin could not be read", "repair", now.isoformat()))


# --- the state ---


class _Elsewhere(Home):
    """A home within a home, which builds a state of its own from the same bronze."""

    @property
    def bronze(self) -> Path:
        return self.root.parent / "bronze"


def _build_state(home: Home, aside: Path, now: datetime, report: Report) -> str:
    """Build and publish a new state from the batches of the old one, if a file still lists them, else from all batches."""
    with _built_elsewhere(home, aside, now, report) as built:
        if built:
            state.durable_rename(built, home.state)
        publish.catch_up(home)
    return ""


def _build_lake(home: Home, one: Damage, now: datetime, report: Report) -> str:
    """Build a new state in a file, and put its tables in the place of the lake's. Builds that the lake had stay, as far as it has them."""
    try:
        base = lakehouse.last(home.state)
    except (ClearwellError, duckdb.Error):
        return (
            f"the state's lake is damaged: {one.what}; and its catalog does not say which build is the last. "
            f"Next: restore the catalog's database and the files from a backup; or rm {one.path}, "
            "clearwell lake use CONNECTION FILES with an empty database and an empty place, and clearwell build"
        )
    with _built_elsewhere(home, home.state, now, report) as built:
        if not built:
            return f"the state's lake is damaged: {one.what}; and bronze has no batches to build it from. Next: restore bronze from a backup"
        lake_renewal.replace_all(home.state, built, base)
        publish.catch_up(home)
    return ""


@contextmanager
def _built_elsewhere(home: Home, had: Path, now: datetime, report: Report) -> Iterator[Path | None]:
    """Build everything into another file and yield it with the state locked; None if there is nothing to build from.

    `had` is the state that is damaged.
    """
    elsewhere = _Elsewhere(home.root / "repair", home.landing, home.shop_url)
    shutil.rmtree(elsewhere.root, ignore_errors=True)
    elsewhere.root.mkdir()
    has_memory = any(
        _remember(elsewhere, path) for path in (had, home.published, *sorted(publish.kept_states(home))[::-1])
    )
    reason = "repair: the state was damaged"
    outcome = build(elsewhere, Request(full=True, reason=reason, taken_only=has_memory), now, report)
    with state.lock(home):
        if outcome.plan:
            home.builds.mkdir(exist_ok=True)
            (elsewhere.builds / outcome.plan.build_id).rename(home.builds / outcome.plan.build_id)
        yield elsewhere.state if outcome.plan else None
    shutil.rmtree(elsewhere.root)


def _remember(home: Home, path: Path) -> bool:
    """Create a state that lists the batches and builds of another file; False if that file cannot be read."""
    state.drop(home.state)
    try:
        with faults.named():
            if not state.last_build(path):
                return False
            with state.connect(path) as connection:
                tables = [(row["table_schema"], row["table_name"]) for row in state.rows(connection, _OPS)]
            with state.connect(home.state, read_only=False) as connection:
                copy_tables(connection, path, tables)
    except Broken:
        state.drop(home.state)
        return False
    return True


_OPS = """
    select table_schema, table_name from information_schema.tables
    where table_catalog = current_database() and table_type = 'BASE TABLE' and table_schema = 'ops'
"""


# --- batches ---


@dataclass(frozen=True)
class _Batch:
    """A damaged batch, and the ways to restore it."""

    home: Home
    ref: BatchRef
    why: str
    now: datetime
    report: Report

    @property
    def _folder(self) -> Path:
        return bronze.batch_folder(self.home, self.ref)

    def repair(self) -> str:
        """Restore the batch; return what a person must do if that is not possible."""
        manifest = _manifest_in_place(self.home, self.ref)
        if compaction.reindex(self.home, self._folder.parent):
            self.report("the index of its file of compacted batches is written again, from that file and the manifests")
        if manifest and self._is_settled(manifest):
            return ""
        manifest = manifest or _copied_manifest(self.home, self.ref)
        if manifest and self._is_whole_under(manifest):
            set_aside(self.home, self._folder / bronze.MANIFEST, self.why)
            bronze.write_manifest(self._folder, manifest)
            self.report("its manifest is restored from a build's copy")
            return ""
        is_taken = self.ref.batch_id in _taken(self.home)
        aside = set_aside(self.home, self._folder, self.why) if self._folder.exists() else None
        trouble = self._land_again(manifest)
        if self._is_there():
            if manifest and self._is_whole_under(manifest):
                bronze.write_manifest(self._folder, manifest)  # with the time of its first landing
            self.report("its window landed again: it is the same batch")
            return ""
        if not is_taken:
            return self._left_out(trouble)
        if aside:
            put_back(self.home, aside, self._folder)
            if manifest:
                bronze.write_manifest(self._folder, manifest)
        return self._left_in_state(trouble, can_retract=bool(aside and manifest))

    def _land_again(self, manifest: Manifest | None) -> str:
        """Land the batch's window again; return why that failed, or an empty text."""
        try:
            for land in self._landings(manifest):
                land()
        except ClearwellError as error:
            return str(error)
        return ""

    def _landings(self, manifest: Manifest | None) -> Iterator[Callable[[], object]]:
        source, window = (manifest.source, manifest.window) if manifest else self._came_from()
        is_of_days = window == Window(window.days()[0].start, window.days()[-1].end)
        if self.ref.dataset == decisions.DATASET:
            yield lambda: decisions.land(self.home, _decisions_in_state(self.home, self.ref.batch_id))
        elif source not in sources.SOURCES:
            raise Permanent(f"the source {source} cannot be read again")
        elif is_of_days and (self.ref.dataset == counts.DATASET or (manifest and manifest.part)):
            yield lambda: sources.sweep(source, window, self.home, self.now, self.report, is_backfill=True)
        else:
            yield lambda: sources.ingest(source, window, self.home, self.now, self.report)

    def _came_from(self) -> tuple[str, Window]:
        """Return the window of a batch without a manifest: from the state, or from its snapshot's other batches; else its day."""
        query = "select source, window_start, window_end from ops.batches where batch_id = $1"
        for row in state.read(self.home.state, "ops.batches", query, [self.ref.batch_id]):
            return row["source"], Window(row["window_start"].replace(tzinfo=UTC), row["window_end"].replace(tzinfo=UTC))
        others = [ref for ref in bronze.list_batches(self.home) if ref.date == self.ref.date]
        for one in bronze.readable(self.home, others):
            if self.ref.batch_id in one.snapshot_batches.values():
                return one.source, one.window
        start = datetime(self.ref.date.year, self.ref.date.month, self.ref.date.day, tzinfo=UTC)
        contract = read_contracts().get(self.ref.dataset)
        return contract.source if contract else self.ref.dataset, Window(start, start + timedelta(days=1))

    def _is_there(self) -> bool:
        try:
            bronze.verify(self.home, bronze.read_manifest(self.home, self.ref))
        except Permanent:
            return False
        return True

    def _is_settled(self, manifest: Manifest) -> bool:
        """Say whether nothing is left to do: the repair of a decision may have retracted the batch."""
        try:
            plan.verify(self.home, manifest)
        except Broken:
            return False
        return True

    def _is_whole_under(self, manifest: Manifest) -> bool:
        try:
            bronze.verify(self.home, manifest)
        except Broken:
            return False
        return True

    def _left_out(self, trouble: str) -> str:
        told = f"batch {self.ref.batch_id} of {self.ref.dataset}, {self.ref.date}, is set aside in {self.home.broken}"
        if trouble:
            return f"{told}, and its window could not be landed again: {trouble}"
        self.report(f"{told}; its window was landed again, but the source's content has changed")
        return ""

    def _left_in_state(self, trouble: str, *, can_retract: bool) -> str:
        told = f"batch {self.ref.batch_id} of {self.ref.dataset}, {self.ref.date}, cannot be landed again with the same content"
        way = "Next: restore its folder from a backup"
        if can_retract:
            way += f", or clearwell batches retract {self.ref.batch_id} --reason TEXT, which withdraws its records"
        return f"{told}{f': {trouble}' if trouble else ''}. Its records stay in the state. {way}"


def _manifest_in_place(home: Home, ref: BatchRef) -> Manifest | None:
    try:
        return bronze.read_manifest(home, ref)
    except Permanent:
        return None


def _copied_manifest(home: Home, ref: BatchRef) -> Manifest | None:
    """Find a batch's manifest among the copies in the builds' plans."""
    for path in sorted(home.builds.glob("*/batches.jsonl"), reverse=True):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if ref.batch_id in line:
                try:
                    manifest = Manifest.from_json(line)
                except Broken:
                    continue
                if bronze.reference(manifest) == ref:
                    return manifest
    return None


def _taken(home: Home) -> frozenset[str]:
    """Return the batches of the state; without a state, those of the published file."""
    path = home.state if home.state.exists() else home.published
    try:
        with faults.named():
            rows = state.read(path, "ops.batches", "select batch_id from ops.batches")
    except Broken:
        return frozenset()
    return frozenset(row["batch_id"] for row in rows)


def _decisions_in_state(home: Home, batch_id: str) -> list[Decision]:
    """Read the decisions of a batch from the state, as they have no source. The same decisions give the same batch."""
    query = "select * from records.decisions where batch_id = $1 order by record_no"
    rows = state.read(home.state, "records.decisions", query, [batch_id])
    if not rows:
        raise Permanent("decisions cannot be landed again: they have no source", todo="make the decision again")
    return [
        Decision(
            row["subject"],
            row["action"],
            Target(row["target_dataset"], row["target_batch_id"], row["target_record_no"]),
            row["reason"],
            row["decided_by"],
            row["decided_at"].replace(tzinfo=UTC),
            Target(row["target_dataset"], row["correcting_batch_id"], row["correcting_record_no"])
            if row["correcting_batch_id"]
            else None,
        )
        for row in rows
    ]
