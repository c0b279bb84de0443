"""Decisions about batches and records: check that they make sense, and land them. The next build carries them out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ingestion import bronze
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.manifest import Manifest
from ingestion.sources import corrections, decisions
from ingestion.sources.corrections import Correction
from ingestion.sources.decisions import Target
from warehouse import state


@dataclass(frozen=True)
class By:
    """Who decides, when, and why."""

    name: str
    at: datetime
    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise Permanent("a decision needs a reason", todo="give --reason")


def retract(home: Home, batch_id: str, by: By) -> None:
    """Take a batch out: its records are withdrawn with the next build."""
    target = _batch(home, batch_id)
    if _is_withdrawn(home, target):
        raise Permanent(f"batch {batch_id} is retracted already", todo=f"clearwell batches restore {batch_id}")
    decisions.land(home, [decisions.withdraw(target, by.reason, by.name, by.at)])


def restore(home: Home, batch_id: str, by: By) -> None:
    """Undo a retraction: the batch's records compete again."""
    target = _batch(home, batch_id)
    if not _is_withdrawn(home, target):
        raise Permanent(f"batch {batch_id} is not retracted", todo="clearwell batches list")
    decisions.land(home, [decisions.keep(target, by.reason, by.name, by.at)])


def discard(home: Home, records: Sequence[str], by: By) -> int:
    """Withdraw dead letters, each named as batch:record_no. Return how many."""
    found = _dead_letters(home)
    targets = []
    for name in dict.fromkeys(records):
        if name not in found:
            raise Permanent(f"{name} is no dead letter", todo="clearwell dead-letters show")
        targets.append(_record(found[name]["dataset"], name))
    decisions.land(home, [decisions.withdraw(target, by.reason, by.name, by.at) for target in targets])
    return len(targets)


def undiscard(home: Home, records: Sequence[str], by: By) -> int:
    """Undo that: they are dead letters again. Return how many."""
    withdrawn = {
        str(target): target
        for (subject, target), decision in decisions.standing(home).items()
        if subject == "presence" and decision.action == "withdraw" and target.record_no is not None
    }
    unknown = [name for name in records if name not in withdrawn]
    if unknown:
        raise Permanent(f"{unknown[0]} is not discarded", todo="clearwell sql 'from silver.set_aside'")
    decisions.land(home, [decisions.keep(withdrawn[name], by.reason, by.name, by.at) for name in records])
    return len(records)


def resubmit(home: Home, file: Path, by: By) -> list[Manifest]:
    """Land the corrected records of a file: JSON of what `dead-letters show --json` prints, with `raw` mended."""
    found = _dead_letters(home)
    corrected = []
    for entry in _entries(file):
        name, raw = str(entry.get("record")), entry.get("raw")
        if name not in found:
            raise Permanent(f"{name} is no dead letter", where=str(file), todo="clearwell dead-letters show --json")
        text = raw if isinstance(raw, str) else json.dumps(raw)
        if text == found[name]["raw"]:
            raise Permanent(f"{name} is not changed", where=str(file), todo="mend its `raw`, or leave it out")
        target = _record(found[name]["dataset"], name)
        corrected.append(Correction(target, bronze.find_manifest(home, target.batch_id).window, text))
    if not corrected:
        raise Permanent("the file has no records", where=str(file), todo="clearwell dead-letters show --json")
    return corrections.land(home, corrected, by.reason, by.name, by.at)


def accept(home: Home, finding: str, by: By) -> None:
    """Let a held batch enter with the next build, refused records and all. A finding is named held:<batch>."""
    batch_id = finding.removeprefix("held:")
    held = state.read(
        home.state, "ops.held", "select distinct broken_batch_id from ops.held where batch_id = $1", [batch_id]
    )
    if not held:
        raise Permanent(f"there is no open finding {finding}", todo="clearwell status")
    decisions.land(home, [decisions.accept(_batch(home, held[0]["broken_batch_id"]), by.reason, by.name, by.at)])


def _is_withdrawn(home: Home, target: Target) -> bool:
    decision = decisions.standing(home).get(("presence", target))
    return decision is not None and decision.action == "withdraw"


def _batch(home: Home, batch_id: str) -> Target:
    manifest = bronze.find_manifest(home, batch_id)
    if manifest.dataset == decisions.DATASET:
        raise Permanent("a decision is undone by its opposite, not retracted", todo="clearwell batches restore …")
    return Target(manifest.dataset, batch_id)


def _record(dataset: str, name: str) -> Target:
    batch_id, _, number = name.rpartition(":")
    return Target(dataset, batch_id, int(number))


def _dead_letters(home: Home) -> dict[str, state.Row]:
    query = "select dataset, batch_id || ':' || record_no as record, raw from silver.dead_letters"
    return {row["record"]: row for row in state.read(home.state, "silver.dead_letters", query)}


def _entries(file: Path) -> list[dict[str, Any]]:
    """Read a JSON array, or JSON lines."""
    text = file.read_text(encoding="utf-8")
    try:
        if text.lstrip().startswith("["):
            entries = json.loads(text)
        else:
            entries = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise Permanent(f"the file is not JSON: {error}", where=str(file), todo="mend it") from error
    if not all(isinstance(entry, dict) for entry in entries):
        raise Permanent("each entry must be an object with `record` and `raw`", where=str(file), todo="mend it")
    return list(entries)
