"""Land people's decisions about batches and records as records, so that a full build repeats them.

The latest decision about a thing counts. A decision is undone by its opposite, and stays in bronze with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from ingestion import bronze
from ingestion.contract import read_contracts
from ingestion.home import Home
from ingestion.land import describe, staging, write
from ingestion.manifest import Manifest
from ingestion.window import Window, iso, parse_time

DATASET = "decisions"


@dataclass(frozen=True)
class Target:
    """A batch, or one record of it."""

    dataset: str
    batch_id: str
    record_no: int | None = None

    def __str__(self) -> str:
        return self.batch_id if self.record_no is None else f"{self.batch_id}:{self.record_no}"


@dataclass(frozen=True)
class Decision:
    """One decision. `subject` is the aspect of the target that is decided: its presence, its content, its hold, a difference, an anomaly or a person.

    Actions: withdraw or keep (presence), correct (content, with the record that corrects), accept (hold, difference, anomaly), forget (person).
    """

    subject: str
    action: str
    target: Target
    reason: str
    decided_by: str
    decided_at: datetime
    correcting: Target | None = None


def withdraw(target: Target, reason: str, by: str, at: datetime) -> Decision:
    """Return the decision that a batch or record does not count."""
    return Decision("presence", "withdraw", target, reason, by, at)


def keep(target: Target, reason: str, by: str, at: datetime) -> Decision:
    """Return the opposite decision: it counts again."""
    return Decision("presence", "keep", target, reason, by, at)


def correct(target: Target, correcting: Target, reason: str, by: str, at: datetime) -> Decision:
    """Return the decision that another record replaces this one."""
    return Decision("content", "correct", target, reason, by, at, correcting)


def accept(target: Target, reason: str, by: str, at: datetime) -> Decision:
    """Return the decision that a held batch enters."""
    return Decision("hold", "accept", target, reason, by, at)


def accept_difference(target: Target, reason: str, by: str, at: datetime) -> Decision:
    """Return the decision that a source's count may differ from what landed, by exactly today's difference."""
    return Decision("difference", "accept", target, reason, by, at)


def accept_anomaly(target: Target, reason: str, by: str, at: datetime) -> Decision:
    """Return the decision that an unusual number is no longer told. The target has its name in place of a batch."""
    return Decision("anomaly", "accept", target, reason, by, at)


def forget(target: Target, reason: str, by: str, at: datetime) -> Decision:
    """Return the decision that a person is forgotten. The target has the id of the receipt in place of a batch."""
    return Decision("person", "forget", target, reason, by, at)


def land(home: Home, decisions: Sequence[Decision]) -> Manifest:
    """Land decisions made at one time as one batch."""
    with staging(home) as staged:
        folder = staged.folder(DATASET)
        staged.add(folder, stage(folder, decisions))
        return staged.commit()[0][0]


def stage(folder: Path, decisions: Sequence[Decision]) -> Manifest:
    """Write decisions made at one time to a folder; return their manifest."""
    at = decisions[0].decided_at
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    window = Window(day, day + timedelta(days=1))
    rows = [asdict(_row(decision)) for decision in decisions]
    import pyarrow as pa

    schema = pa.schema([(field.name, pa.string()) for field in fields(_Row)])
    return describe(
        write(folder, pa.Table.from_pylist(rows, schema=schema)),
        dataset=DATASET,
        source=DATASET,
        window=window,
        contract_version=read_contracts()[DATASET].version,
        landed_at=at,
        counted=len(rows),
        content=(tuple(row.values()) for row in rows),
        columns=tuple(schema.names),
    )


def standing(home: Home) -> dict[tuple[str, Target], Decision]:
    """Read from bronze the latest decision about each subject and target."""
    found: dict[tuple[str, Target], Decision] = {}
    for decision in sorted(_all(home), key=lambda one: (one.decided_at, one.action)):
        found[decision.subject, decision.target] = decision
    return found


def told(home: Home, manifests: Iterable[Manifest]) -> list[str]:
    """Say the decisions of these batches: what was done to which batch or to how many records, why, and by whom."""
    found: dict[tuple[datetime, str, str, str], list[Target]] = {}
    for manifest in manifests:
        if manifest.dataset == DATASET:
            for one in _of(home, manifest):
                found.setdefault((one.decided_at, one.action, one.reason, one.decided_by), []).append(one.target)
    return [
        f"{action} {targets[0] if len(targets) == 1 else f'{len(targets):,} targets'}: {reason} (decided by {by})"
        for (_, action, reason, by), targets in sorted(found.items(), key=lambda one: one[0])
    ]


def is_made(home: Home, by: str, at: datetime) -> bool:
    """Say whether somebody's decisions of a time have landed, also if later ones have undone them."""
    return any((one.decided_by, one.decided_at) == (by, at) for one in _all(home))


def accepted(home: Home) -> frozenset[str]:
    """List the held batches that a person accepted."""
    return frozenset(target.batch_id for (subject, target) in standing(home) if subject == "hold")


def settled(home: Home) -> frozenset[str]:
    """List the batches that no longer hold others: accepted by a person, or retracted."""
    return frozenset(
        target.batch_id
        for (subject, target), decision in standing(home).items()
        if subject == "hold" or (decision.action == "withdraw" and target.record_no is None)
    )


def retracted(home: Home) -> frozenset[str]:
    """List the retracted batches, which no build parses."""
    return frozenset(
        target.batch_id
        for (subject, target), decision in standing(home).items()
        if subject == "presence" and decision.action == "withdraw" and target.record_no is None
    )


def whole_batches(home: Home, manifests: Iterable[Manifest]) -> frozenset[str]:
    """List the batches that these batches of decisions retract or restore."""
    return frozenset(
        decision.target.batch_id
        for manifest in manifests
        for decision in _of(home, manifest)
        if decision.subject == "presence" and decision.target.record_no is None
    )


@dataclass(frozen=True)
class _Row:
    """A decision as bronze holds it: all text."""

    subject: str
    action: str
    target_dataset: str
    target_batch_id: str
    target_record_no: str | None
    correcting_batch_id: str | None
    correcting_record_no: str | None
    reason: str
    decided_by: str
    decided_at: str


def _row(decision: Decision) -> _Row:
    target, correcting = decision.target, decision.correcting
    return _Row(
        subject=decision.subject,
        action=decision.action,
        target_dataset=target.dataset,
        target_batch_id=target.batch_id,
        target_record_no=None if target.record_no is None else str(target.record_no),
        correcting_batch_id=correcting.batch_id if correcting else None,
        correcting_record_no=str(correcting.record_no) if correcting else None,
        reason=decision.reason,
        decided_by=decision.decided_by,
        decided_at=iso(decision.decided_at),
    )


def _all(home: Home) -> Iterable[Decision]:
    for manifest in bronze.readable(home, bronze.list_batches(home, DATASET), partial(bronze.verify, home)):
        yield from _of(home, manifest)


def _of(home: Home, manifest: Manifest) -> Iterable[Decision]:
    import pyarrow.parquet as pq

    for path in bronze.parquet_files(home, manifest):
        for row in pq.read_table(path, columns=[field.name for field in fields(_Row)]).to_pylist():
            yield _decision(_Row(**row))


def _decision(row: _Row) -> Decision:
    correcting = (
        Target(row.target_dataset, row.correcting_batch_id, int(row.correcting_record_no or 0))
        if row.correcting_batch_id
        else None
    )
    return Decision(
        subject=row.subject,
        action=row.action,
        target=Target(
            row.target_dataset, row.target_batch_id, int(row.target_record_no) if row.target_record_no else None
        ),
        reason=row.reason,
        decided_by=row.decided_by,
        decided_at=parse_time(row.decided_at),
        correcting=correcting,
    )
