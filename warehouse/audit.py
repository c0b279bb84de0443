"""Audit a build before it may change anything: dbt's tests and Great Expectations, each result a finding.

A failed check holds the new batches behind it, and the rest is published; only accounts that do not balance stop everything.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from ingestion import atomic, faults, run_log
from ingestion.contract import read_contracts, source_ends
from ingestion.database import attached
from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from ingestion.sources import decisions
from ingestion.window import parse_time
from warehouse import comments, dbt, expectations, failing_rows, service_levels, state
from warehouse.comments import Comment
from warehouse.dbt import Result
from warehouse.error_texts import without_values
from warehouse.personal import not_in_findings
from warehouse.plan import VERDICT, Build, Plan, taken

_ACCOUNTS = ("batches_balance", "dates_balance", "layers_reconcile")


@dataclass(frozen=True)
class Finding:
    """One result of a check: `pass`, `warn` or `fail`, how many rows are behind it, and the first few as JSON.

    `consequence` says what a failure did: `stopped` the build, `held` batches, was `accepted` with those it would hold, or
    is an `alert`. Otherwise it is empty.
    """

    check_name: str
    result: str
    failed_rows: int
    message: str
    examples: str
    consequence: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the audit found. A failed check that stops the build refuses it. With batches to `hold`, build again without them."""

    build_id: str
    findings: tuple[Finding, ...]
    hold: Mapping[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.result == "fail")

    @property
    def stops(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.failures if finding.consequence == "stopped")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.result == "warn")


class Refused(Permanent):
    """A build that did not pass its audit. The state and the published file are unchanged."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        first = verdict.stops[0]
        super().__init__(
            f"build {verdict.build_id} is refused: "
            + "; ".join(f"{one.check_name} ({one.failed_rows} rows)" for one in verdict.stops)
            + (f". First rows: {first.examples}" if first.failed_rows else f". {first.message}"),
            where="the state and the published file are unchanged",
            todo=f"`clearwell builds show {verdict.build_id}` lists the rows; {_way_out(first.check_name, verdict.build_id)}",
        )

    def __reduce__(self) -> tuple[type, tuple[Verdict]]:  # type: ignore[override]
        return Refused, (self.verdict,)


def _way_out(check: str, build_id: str) -> str:
    """Return what to type after a build is refused by a check."""
    if check in _ACCOUNTS or check.startswith("one_current"):
        return (
            "`clearwell ledger --recount` lists the records that differ; "
            "`clearwell build --full --reason TEXT` rebuilds all tables"
        )
    if check == "held_batches_are_new":
        return (
            "fix the contract and run the same build again; or accept each finding that `clearwell status` lists, with "
            f"`clearwell builds accept FINDING --reason TEXT`; or drop the build with `clearwell builds drop {build_id}`"
        )
    return (
        f"fix the model or the check and run the same build again; or drop it with `clearwell builds drop {build_id}`"
    )


def last_refused(home: Home) -> Build | None:
    """Return the last build that was refused, if none has been published since."""
    published = state.last_build(home.published)
    for path in sorted(home.builds.glob(f"*/{VERDICT}"), reverse=True):
        build_id = path.parent.name
        if build_id <= published:
            return None
        with suppress(Broken):  # reported as damage
            if _read_findings(path, build_id).stops:
                return Build(home, build_id)
    return None


@dataclass(frozen=True)
class _Failure:
    """A failed check, its consequence, the datasets that may have caused it (the likeliest first), and the batches its rows name."""

    finding: Finding
    on_failure: str
    datasets: tuple[tuple[str, ...], ...]
    named: frozenset[str] = frozenset()


def audit(build: Build, now: datetime, held: Sequence[Finding] = ()) -> Verdict:
    """Check the build's tables, and write the findings into the build, with those for which earlier rounds `held` batches.

    A failed check holds the batches behind it that are new: the verdict names them, and nothing is written. Raise Refused
    where a failed check stops the build.
    """
    results = dbt.run_tests(build)
    with state.kept_open(build.file, read_only=False):
        return _judge(build, results, now, held)


def _judge(build: Build, results: Sequence[Result], now: datetime, held: Sequence[Finding]) -> Verdict:
    findings, failures = _check(build, results)
    findings += _service_levels(build, now)
    if not any(one.on_failure == "stop" for one in failures):
        hold, reasons = _hold(build, failures)
        if hold:
            return Verdict(build.build_id, tuple(reasons), hold)
    told = {one.check_name for one in held}
    findings = [*(one for one in findings if one.check_name not in told), *held]
    verdict = Verdict(build.build_id, (*findings, *(_judged(build, one) for one in failures)))
    _write(build, verdict, now)
    if verdict.stops:
        raise Refused(verdict)
    return verdict


def _check(build: Build, results: Sequence[Result]) -> tuple[list[Finding], list[_Failure]]:
    """Take the results of dbt's tests, and run Great Expectations; return what passed or warns, and what failed."""
    findings: list[Finding] = []
    failures: list[_Failure] = []
    examples = _keep_rows(build, results)
    for result in results:
        finding = _from_dbt(result, examples.get(result.name, []))
        if finding.result == "fail":
            behind = tuple(dbt.datasets_behind(build, result.models))
            # a test that could not run says nothing about the batches
            on_failure = "stop" if result.status == "error" else result.on_failure
            named = _named(build, result) if on_failure == "hold" else frozenset()
            failures.append(_Failure(finding, on_failure, behind, named))
        else:
            findings.append(finding)
    for one in expectations.check(build):
        result_name = "pass" if one.success else "fail"
        table = f"gold_{one.name.split('.')[0]}"
        message = "" if one.success else one.message or f"these values break an expectation in {table}.yml."
        finding = Finding(f"expectation {one.name}", result_name, one.failed_rows, message, one.examples)
        if one.success:
            findings.append(finding)
        else:
            behind = tuple(dbt.datasets_behind(build, [table]))
            failures.append(_Failure(finding, "stop" if one.message else "hold", behind))
    return findings, failures


def _service_levels(build: Build, now: datetime) -> list[Finding]:
    """Measure what the contracts promise. A broken promise is a warning: what is published is right, but late or not all."""
    contracts = read_contracts()
    with state.connect(build.file) as connection, attached(connection, build.start_state(), "state"):
        measures = service_levels.read_built(connection, "state", contracts, now)
    levels = service_levels.measure(measures, contracts, source_ends(contracts), now)
    findings = []
    for name in service_levels.LEVELS:
        missed = [asdict(one) for one in levels if one.level == name and one.is_missed]
        message = "these datasets do not keep the service level in their contracts." if missed else ""
        result = "warn" if missed else "pass"
        examples = json.dumps(missed[: failing_rows.EXAMPLES], default=str)
        findings.append(Finding(f"service_level {name}", result, len(missed), message, examples))
    return findings


def _hold(build: Build, failures: Sequence[_Failure]) -> tuple[dict[str, str], list[Finding]]:
    """Return the batches to hold, each with the check that it fails, and the findings that report them."""
    hold: dict[str, str] = {}
    findings = []
    for failure in failures:
        found = _candidates(build, failure) if failure.on_failure == "hold" else ()
        if found:
            hold |= {batch_id: failure.finding.check_name for batch_id in found if batch_id not in hold}
            message = (
                f"{failure.finding.message} Held: {', '.join(found)}. Next: fix the source and ingest the window "
                f"again, or fix the check and run clearwell build --from DATE --to DATE --reason TEXT; or clearwell builds accept held:{found[0]} --reason TEXT; "
                f"or clearwell batches retract {found[0]} --reason TEXT"
            )
            findings.append(replace(failure.finding, message=message.strip(), consequence="held"))
    return hold, findings


def _candidates(build: Build, failure: _Failure) -> tuple[str, ...]:
    """Return the batches that may be held for a failure: the new ones of the likeliest dataset that has any.

    If the failure's rows name some of these, only those are returned.
    """
    new = _new_batches(build)
    # a batch that an earlier round held is not held again: else the rounds would never end
    left = decisions.accepted(build.home) | build.plan().held.keys()
    for datasets in failure.datasets:
        found = sorted(one for one, dataset in new.items() if dataset in datasets and one not in left)
        if found:
            return tuple(one for one in found if one in failure.named) or tuple(found)
    return ()


def _new_batches(build: Build) -> dict[str, str]:
    """Return the batches that enter for the first time and are not held, each with its dataset."""
    query = """
        select batch_id, dataset from plan.batches
        where is_entering and not is_leaving and batch_id not in (select batch_id from plan.held)
    """
    known = taken(build.home)
    return {
        row["batch_id"]: row["dataset"]
        for row in state.read(build.file, "plan.batches", query)
        if row["batch_id"] not in known
    }


def _judged(build: Build, failure: _Failure) -> Finding:
    """Return the finding of a failure that holds no batches, with its consequence.

    A failure caused by a replay stops the replay, which nothing else waits for. One caused by an accepted batch is only
    reported.
    """
    plan = build.plan()
    if failure.on_failure == "hold":
        accepted = decisions.accepted(build.home)
        behind = {dataset for part in failure.datasets for dataset in part}
        if any(batch_id in accepted and dataset in behind for batch_id, dataset in _new_batches(build).items()):
            return replace(failure.finding, consequence="accepted")
        if not plan.full and not plan.leaving:
            return replace(failure.finding, consequence="alert")
        return replace(failure.finding, consequence="stopped")
    return replace(failure.finding, consequence={"alert": "alert"}.get(failure.on_failure, "stopped"))


def _named(build: Build, result: Result) -> frozenset[str]:
    """Return the batches that the rows of a failed test name."""
    with state.connect(build.file) as connection:
        try:
            with dbt.attached_as_by_dbt(connection, build):
                rows = connection.execute(f"select distinct batch_id from ({result.sql})").fetchall()
        except duckdb.Error as error:  # the rows have no batch_id, unless the query failed for another reason
            if fault := faults.fault_of(error):
                raise fault from error
            return frozenset()
    return frozenset(row[0] for row in rows)


def _from_dbt(result: Result, examples: list[state.Row]) -> Finding:
    message = without_values(result.message) if result.status == "error" else result.message
    return Finding(result.name, _outcome(result), result.failures, message, json.dumps(examples, default=str))


def _outcome(result: Result) -> str:
    return {"pass": "pass", "success": "pass", "warn": "warn"}.get(result.status, "fail")


def _keep_rows(build: Build, results: Iterable[Result]) -> dict[str, list[state.Row]]:
    """Keep the rows that fail each check in the build, where they are not yet; return the first few, without personal columns."""
    failed = [result for result in results if _outcome(result) != "pass" and result.sql]
    found = {result.name: list(result.examples or ()) for result in failed}
    left = [result for result in failed if result.examples is None]
    if left:
        with state.connect(build.file, read_only=False) as connection, dbt.attached_as_by_dbt(connection, build):
            for result in left:
                try:
                    failing_rows.keep(connection, result.name, result.sql)
                except duckdb.Error as error:  # a test that failed with an error has no rows
                    found[result.name] = [{"error": without_values(str(error))}]
                else:
                    found[result.name] = failing_rows.first(connection, result.name)
    away = not_in_findings() if found else frozenset()
    return {
        check: [{name: value for name, value in row.items() if name.lower() not in away} for row in rows]
        for check, rows in found.items()
    }


def _write(build: Build, verdict: Verdict, now: datetime) -> None:
    """Write the findings, and the build's own row, into the build's file: they are applied with it."""
    plan = build.plan()
    with state.connect(build.file, read_only=False) as connection:
        connection.begin()
        connection.execute("create schema if not exists ops")
        connection.execute(_BUILDS)
        connection.execute("insert into ops.builds values (?, ?, ?, ?, ?, ?, ?, ?, ?)", _build_row(plan, verdict, now))
        found = [{"build_id": plan.build_id, **asdict(one)} for one in verdict.findings]
        # as values: for a table of Arrow, DuckDB imports pyarrow.dataset, which nothing else needs
        for table, kind, rows in (("findings", _FINDING, found), ("runs", _RUN, _new_runs(build))):
            query = (
                f"create or replace table ops.{table} as select unnest(cast($1 as struct({kind})[]), recursive := true)"
            )
            connection.execute(query, [rows])
        comments.write(connection, _COMMENTS)
        connection.commit()
    # last: this file says that the audit has ended
    atomic.write(build.verdict, json.dumps([asdict(one) for one in verdict.findings], indent=1))


def _new_runs(build: Build) -> list[state.Row]:
    """Read the lines of the log of runs that no build has taken over yet."""
    known = state.read(build.home.state, "ops.runs", "select run_id from ops.runs")
    seen = {row["run_id"] for row in known}
    return [
        {"build_id": build.build_id, **asdict(line)} | {name: _utc(getattr(line, name)) for name in _TIMES}
        for line in run_log.read(build.home)
        if line.run_id not in seen
    ]


def _utc(text: str | None) -> datetime | None:
    return parse_time(text).replace(tzinfo=None) if text else None


def read_verdict(build: Build) -> Verdict:
    """Read the verdict on a build. A build that was not audited is Permanent; one that was stopped is Refused."""
    try:
        verdict = _read_findings(build.verdict, build.build_id)
    except FileNotFoundError:
        raise Permanent(
            f"build {build.build_id} was not audited, so it cannot be published",
            where=str(build.folder),
            todo="run `clearwell build`; or in Airflow, clear the task `audit` of this run",
        ) from None
    if verdict.stops:
        raise Refused(verdict)
    return verdict


def _read_findings(path: Path, build_id: str) -> Verdict:
    try:
        return Verdict(build_id, tuple(Finding(**one) for one in json.loads(path.read_text())))
    except (TypeError, ValueError) as error:
        raise Broken(f"the findings of build {build_id} cannot be read: {error!r}", where=str(path)) from error


def _build_row(plan: Plan, verdict: Verdict, now: datetime) -> list[Any]:
    return [
        *(
            plan.build_id,
            plan.number,
            plan.base,
            plan.full,
            plan.reason,
            datetime.fromisoformat(plan.planned_at).replace(tzinfo=None),
        ),
        *(now.replace(tzinfo=None), len(plan.entering), len(plan.leaving)),
    ]


_BUILDS = """
    create or replace table ops.builds (
        build_id varchar, build_number bigint, base_build_id varchar, is_full boolean, reason varchar,
        planned_at timestamp, audited_at timestamp, batches_entered bigint, batches_left bigint
    )
"""
_FINDING = """
    build_id varchar, check_name varchar, result varchar, failed_rows bigint, message varchar, examples varchar, consequence varchar
"""
_TIMES = ("window_start", "window_end", "started_at")
_RUN = """
    build_id varchar, run_id varchar, stage varchar, source varchar, dataset varchar, of_build_id varchar,
    window_start timestamp, window_end timestamp, started_at timestamp,
    seconds double, records bigint, bytes bigint, result varchar
"""
_COMMENTS = {
    ("ops", "runs"): Comment(
        "One row per stage of a run, and of a landing per dataset: how long it took, and how much it took in. The last stages of a "
        "build are listed by the next one.",
        {
            "build_id": "The build that listed it.",
            "run_id": "The line of the log.",
            "stage": "ingest, plan, transform, audit, apply or publish.",
            "source": "The source of a landing.",
            "dataset": "The dataset of a landing.",
            "of_build_id": "The build of the stage; missing for landings and plans.",
            "window_start": "Start of the window that landed, UTC.",
            "window_end": "End of it, not included, UTC.",
            "started_at": "When the run began, UTC; of all stages of a build, when it was planned.",
            "seconds": "How long the whole stage took.",
            "records": "Records that were new in it.",
            "bytes": "Their bytes in bronze.",
            "result": "ok, transient, permanent, failed or interrupted.",
        },
    ),
    ("ops", "builds"): Comment(
        "One row per published build: when, why, and over which state.",
        {
            "build_id": "The build.",
            "build_number": "Builds in the order in which they were planned.",
            "base_build_id": "The last build of the state that this one was planned over; empty for the first.",
            "is_full": "Whether everything was built again from bronze.",
            "reason": "The reason given for it; empty for a build of new batches.",
            "planned_at": "When the build was planned, UTC.",
            "audited_at": "When its audit ended, UTC.",
            "batches_entered": "The number of batches that entered.",
            "batches_left": "The number of batches that left.",
        },
    ),
    ("ops", "findings"): Comment(
        "One row per build and check of its audit: what the check found.",
        {
            "build_id": "The build that was audited.",
            "check_name": "The dbt test or the expectation.",
            "result": "pass, warn or fail.",
            "failed_rows": "The number of rows that fail the check.",
            "message": "What the check found, and what to do about it.",
            "examples": "The first few of those rows, as JSON.",
            "consequence": "What a failure did: stopped, held, accepted or alert; otherwise empty.",
        },
    ),
}
