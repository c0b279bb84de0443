"""Check decisions about batches and records, and land them. The next build carries them out."""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ingestion import atomic, bronze
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.manifest import Manifest
from ingestion.sources import corrections, decisions
from ingestion.sources.corrections import Correction
from ingestion.sources.decisions import Target
from operations import listings
from operations.letters import LINE
from warehouse import state
from warehouse.audit import last_refused
from warehouse.plan import Build

# What can be asked for in the control room, and so of Airflow.
ACTIONS = ("retract", "discard", "resubmit", "accept")
_UPLOAD = re.compile(r"[0-9a-f]{32}")
_RETRACTED = "clearwell sql \"select target_batch_id, reason from records.decisions where action = 'withdraw'\""


@dataclass(frozen=True)
class By:
    """Who decides, when, and why."""

    name: str
    at: datetime
    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise Permanent("a decision needs a reason", todo="give --reason")


@dataclass(frozen=True)
class Asked:
    """A decision that a person asks Airflow for.

    `about` is the batch to retract, the finding to accept, the uploaded file to resubmit, or the reason for which records of
    `dataset` are dead letters that are to be discarded.
    """

    action: str
    about: str
    dataset: str = ""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise Permanent(f"there is no action {self.action}", todo=f"choose one of {', '.join(ACTIONS)}")
        if not self.about:
            raise Permanent(
                f"{self.action} must say what it is about", todo="name a batch, a finding, a reason or a file"
            )


def check(home: Home, asked: Asked) -> None:
    """Raise Permanent if a decision cannot be made as things are. Nothing is changed."""
    if asked.action == "retract":
        _retractable(home, asked.about)
    elif asked.action == "accept":
        select_findings(home, asked.about)
    elif asked.action == "resubmit":
        _corrected(home, upload(home, asked.about))
    elif not letters_of(home, asked.dataset, asked.about):
        raise Permanent(
            f"no open dead letter of {asked.dataset or 'any dataset'} has the reason {asked.about}",
            todo="clearwell dead-letters list",
        )


def carry_out(home: Home, asked: Asked, by: By) -> None:
    """Make a decision that was asked for, once, also if this is repeated."""
    if not decisions.is_made(home, by.name, by.at):
        check(home, asked)
        if asked.action == "retract":
            retract(home, asked.about, by)
        elif asked.action == "accept":
            accept(home, select_findings(home, asked.about), by)
        elif asked.action == "resubmit":
            resubmit(home, upload(home, asked.about), by)
        else:
            discard(home, letters_of(home, asked.dataset, asked.about), by)
    if asked.action == "resubmit":
        upload(home, asked.about).unlink(missing_ok=True)


def keep_upload(home: Home, content: bytes) -> str:
    """Keep an uploaded file until it is resubmitted, readable by this user only; return its name. Its records may be personal."""
    name = hashlib.sha256(content).hexdigest()[:32]
    home.uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic.write_bytes(upload(home, name), content, mode=0o600)
    return name


def upload(home: Home, name: str) -> Path:
    """Return the path of an uploaded file."""
    if not _UPLOAD.fullmatch(name):
        raise Permanent(f"{name} is no uploaded file", todo="upload the corrected records in the control room")
    return home.uploads / name


def signed(reason: str, name: str | None) -> str:
    """Return a reason together with who gave it."""
    return f"{reason} (asked by {name})" if reason and name else reason


def retract(home: Home, batch_id: str, by: By) -> None:
    """Take a batch out: its records are withdrawn with the next build."""
    target = _retractable(home, batch_id)
    decisions.land(home, [decisions.withdraw(target, by.reason, by.name, by.at)])


def _retractable(home: Home, batch_id: str) -> Target:
    target = _batch(home, batch_id)
    if _is_withdrawn(home, target):
        raise Permanent(
            f"batch {batch_id} is retracted already",
            todo=f"nothing; or undo it with `clearwell batches restore {batch_id}`",
        )
    return target


def restore(home: Home, batch_id: str, by: By) -> None:
    """Undo a retraction: the batch's records compete again."""
    target = _batch(home, batch_id)
    if not _is_withdrawn(home, target):
        raise Permanent(f"batch {batch_id} is not retracted", todo=_RETRACTED)
    bronze.verify(home, bronze.find_manifest(home, batch_id))  # a damaged batch cannot be parsed
    decisions.land(home, [decisions.keep(target, by.reason, by.name, by.at)])


def discard(home: Home, records: Sequence[str], by: By) -> int:
    """Withdraw dead letters, each named as batch:record_no, with every other landing of the same line. Return how many records."""
    found = _dead_letters(home)
    unknown = [name for name in records if name not in found]
    if unknown:
        raise Permanent(f"{unknown[0]} is not a dead letter", todo="clearwell dead-letters show")
    targets = [_record(found[name]["dataset"], name) for name in _landings(home, records) if name in found]
    decisions.land(home, [decisions.withdraw(target, by.reason, by.name, by.at) for target in targets])
    return len(targets)


def letters_of(home: Home, dataset: str | None, cause: str) -> list[str]:
    """List the open dead letters with a reason, each as batch:record_no."""
    return [row["record"] for row in listings.dead_letter_records(home, dataset or None, cause, limit=1_000_000)]


def undiscard(home: Home, records: Sequence[str], by: By) -> int:
    """Undo `discard`: the records, and every other landing of the same lines, are dead letters again. Return how many."""
    withdrawn = {
        str(target): target
        for (subject, target), decision in decisions.standing(home).items()
        if subject == "presence" and decision.action == "withdraw" and target.record_no is not None
    }
    unknown = [name for name in records if name not in withdrawn]
    if unknown:
        raise Permanent(f"{unknown[0]} is not discarded", todo="clearwell dead-letters show --settled")
    targets = [withdrawn[name] for name in _landings(home, records) if name in withdrawn]
    decisions.land(home, [decisions.keep(target, by.reason, by.name, by.at) for target in targets])
    return len(targets)


def resubmit(home: Home, file: Path, by: By) -> list[Manifest]:
    """Land the corrected records of a file: JSON of what `dead-letters show --json` prints, with `raw` fixed."""
    return corrections.land(home, _corrected(home, file), by.reason, by.name, by.at)


def _corrected(home: Home, file: Path) -> list[Correction]:
    found = _dead_letters(home)
    corrected = []
    for entry in _entries(file):
        name, raw = str(entry.get("record")), entry.get("raw")
        if name not in found:
            raise Permanent(
                f"{name} is not a dead letter",
                where=str(file),
                todo=f"leave it out of the file; `clearwell trace {name}` shows what became of it",
            )
        text = raw if isinstance(raw, str) else json.dumps(raw)
        if text == found[name]["raw"]:
            raise Permanent(f"{name} is unchanged", where=str(file), todo="fix its `raw`, or leave it out of the file")
        target = _record(found[name]["dataset"], name)
        corrected.append(Correction(target, bronze.find_manifest(home, target.batch_id).window, text))
    if not corrected:
        raise Permanent(
            "the file has no records",
            where=str(file),
            todo="write one with `clearwell dead-letters show --json`, and fix each record's `raw`",
        )
    return corrected


@dataclass(frozen=True)
class Open:
    """A finding that waits for a person: its name, its dataset and date, and the decision that accepts it."""

    name: str
    dataset: str
    day: date
    subject: str
    target: Target


def open_findings(home: Home) -> list[Open]:
    """List what `accept` can settle: held batches (`held:<batch>`), and alerts (`difference:<dataset>:<date>`, `anomaly:<name>`)."""
    held = state.read(
        home.state,
        "ops.held",
        "select h.batch_id, h.broken_batch_id, b.dataset, b.window_date from ops.held as h "
        "inner join ops.held as b on h.broken_batch_id = b.batch_id where h.is_open order by all",
    )
    differences = state.read(
        home.state,
        "ops.differences",
        "select dataset, event_date, batch_id, record_no from ops.differences where is_alert and not is_accepted order by all",
    )
    anomalies = state.read(
        home.state,
        "ops.anomalies",
        "select dataset, anomaly, period_start::date as day from ops.anomalies where is_alert and not is_accepted order by all",
    )
    held += refused_holds(home)
    settled = decisions.settled(home) if held else frozenset()
    return [
        *(
            Open(
                f"held:{row['batch_id']}",
                row["dataset"],
                row["window_date"],
                "hold",
                Target(row["dataset"], row["broken_batch_id"]),
            )
            for row in held
            if not settled & {row["batch_id"], row["broken_batch_id"]}
        ),
        *(
            Open(
                f"difference:{row['dataset']}:{row['event_date']}",
                row["dataset"],
                row["event_date"],
                "difference",
                Target("source_counts", row["batch_id"], row["record_no"]),
            )
            for row in differences
        ),
        *(
            Open(
                f"anomaly:{row['anomaly']}",
                row["dataset"],
                row["day"],
                "anomaly",
                Target(row["dataset"], row["anomaly"]),
            )
            for row in anomalies
        ),
    ]


def refused_holds(home: Home) -> list[state.Row]:
    """List the published batches that the last refused build would hold. Once they are accepted, the build can be repeated."""
    build = last_refused(home)
    settled = decisions.settled(home) if build else frozenset()
    query = """
        select batch_id, broken_batch_id, dataset, window_date, window_start, window_end, refused_records, records, cause
        from plan.held where is_given and batch_id = broken_batch_id order by all
    """
    found = state.read(build.file, "plan.held", query) if build else []
    return [row for row in found if row["batch_id"] not in settled]


def drop_build(home: Home, build_id: str) -> None:
    """Delete the folder of a build that was refused or never published. The build has changed nothing else."""
    folder = Build(home, build_id).folder
    with state.lock(home):
        if any(
            row["build_id"] == build_id
            for row in state.read(home.state, "ops.builds", "select build_id from ops.builds")
        ):
            raise Permanent(
                f"build {build_id} is published",
                todo="`clearwell builds restore BUILD --reason TEXT` shows readers an older one",
            )
        if not Build(home, build_id).is_planned:
            raise Permanent(
                f"there is no build {build_id}",
                where=str(folder),
                todo="`clearwell status` names the refused build, if there is one",
            )
        shutil.rmtree(folder)


def accept(home: Home, found: Sequence[Open], by: By) -> list[str]:
    """Accept findings, and return their names.

    A held batch enters with the next build, its refused records included. A difference from a source, or an unusual number, no
    longer counts as open.
    """
    accepting = {
        "hold": decisions.accept,
        "difference": decisions.accept_difference,
        "anomaly": decisions.accept_anomaly,
    }
    targets = {(one.subject, one.target) for one in found}
    if targets:
        ordered = sorted(targets, key=lambda one: (one[0], str(one[1])))
        decisions.land(home, [accepting[subject](target, by.reason, by.name, by.at) for subject, target in ordered])
    return sorted({one.name for one in found})


def select_findings(
    home: Home, finding: str = "", dataset: str = "", start: date | None = None, end: date | None = None
) -> list[Open]:
    """Choose open findings by name, or by dataset and half-open range of dates. If there are none, raise Permanent."""
    name = finding if ":" in finding or not finding else f"held:{finding}"
    found = [
        one
        for one in open_findings(home)
        if (not name or one.name == name)
        and (not dataset or one.dataset == dataset)
        and (start is None or one.day >= start)
        and (end is None or one.day < end)
    ]
    if not found:
        raise Permanent(
            f"there is no open finding {finding or 'for this dataset and range'}",
            todo="`clearwell status` lists the open findings",
        )
    return found


def _is_withdrawn(home: Home, target: Target) -> bool:
    decision = decisions.standing(home).get(("presence", target))
    return decision is not None and decision.action == "withdraw"


def _batch(home: Home, batch_id: str) -> Target:
    manifest = bronze.find_manifest(home, batch_id)
    if manifest.dataset == decisions.DATASET:
        raise Permanent(
            "a batch of decisions cannot be retracted; undo a decision by its opposite",
            todo="clearwell batches restore BATCH, or clearwell dead-letters restore RECORD",
        )
    return Target(manifest.dataset, batch_id)


def _record(dataset: str, name: str) -> Target:
    batch_id, _, number = name.rpartition(":")
    return Target(dataset, batch_id, int(number))


def _landings(home: Home, records: Sequence[str]) -> list[str]:
    """Return every refused record with the same line as one of these: a line that was landed again is one dead letter."""
    query = f"""
        with lines as (select dataset, batch_id || ':' || record_no as record, {LINE} as line from records.refused)
        select distinct lines.record from lines semi join (select * from lines where list_contains($1, record)) as named using (dataset, line)
        order by all
    """
    found = state.read(home.state, "records.refused", query, [list(records)])
    return list(dict.fromkeys([*records, *(row["record"] for row in found)]))


def _dead_letters(home: Home) -> dict[str, state.Row]:
    query = "select dataset, batch_id || ':' || record_no as record, raw from silver.dead_letters"
    return {row["record"]: row for row in state.read(home.state, "silver.dead_letters", query)}


def _entries(file: Path) -> list[dict[str, Any]]:
    """Read a JSON array, or JSON lines."""
    try:
        text = file.read_text(encoding="utf-8")
        if text.lstrip().startswith("["):
            entries = json.loads(text)
        else:
            entries = [json.loads(line) for line in text.splitlines() if line.strip()]
    except FileNotFoundError:
        raise Permanent("the file of corrected records is gone", where=str(file), todo="upload it again") from None
    except ValueError as error:
        raise Permanent(
            f"the file is not JSON: {error}",
            where=str(file),
            todo="write it as `clearwell dead-letters show --json` prints it",
        ) from error
    if not all(isinstance(entry, dict) and "record" in entry for entry in entries):
        raise Permanent(
            "each entry must be an object with `record` and `raw`",
            where=str(file),
            todo="write it as `clearwell dead-letters show --json` prints it",
        )
    return list(entries)
