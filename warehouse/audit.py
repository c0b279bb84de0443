"""Audit a build before it may change anything: dbt's tests and Great Expectations, each result a finding."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import duckdb

from ingestion.errors import Permanent
from warehouse import dbt, expectations, state
from warehouse.dbt import Result
from warehouse.plan import Build, Plan

_EXAMPLES = 5
_KEPT = 1000


@dataclass(frozen=True)
class Finding:
    """One result of a check: `pass`, `warn` or `fail`, how many rows are behind it, and the first few as JSON."""

    check_name: str
    result: str
    failed_rows: int
    message: str
    examples: str


@dataclass(frozen=True)
class Verdict:
    """What the audit found. A build with a failed check is refused."""

    build_id: str
    findings: tuple[Finding, ...]

    @property
    def failures(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.result == "fail")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.result == "warn")


class Refused(Permanent):
    """A build that did not pass its audit. State and published file are as they were."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        first = verdict.failures[0]
        super().__init__(
            f"build {verdict.build_id} is refused: "
            + "; ".join(f"{one.check_name} ({one.failed_rows} rows)" for one in verdict.failures)
            + f". First rows of {first.check_name}: {first.examples}",
            where="state and published file are as they were",
            todo=f"clearwell builds show {verdict.build_id}",
        )

    def __reduce__(self) -> tuple[type, tuple[Verdict]]:  # type: ignore[override]
        return Refused, (self.verdict,)


def audit(build: Build, now: datetime) -> Verdict:
    """Check the build's tables and write what was found into the build. Raise Refused on a failed check."""
    findings = [_from_dbt(build, result) for result in dbt.run_tests(build)]
    findings += [
        Finding(
            f"expectation {one.name}", "pass" if one.success else "fail", one.failed_rows, one.message, one.examples
        )
        for one in expectations.check(build)
    ]
    verdict = Verdict(build.build_id, tuple(findings))
    _write(build, verdict, now)
    if verdict.failures:
        raise Refused(verdict)
    return verdict


def _from_dbt(build: Build, result: Result) -> Finding:
    outcome = {"pass": "pass", "success": "pass", "warn": "warn"}.get(result.status, "fail")
    examples = _keep_rows(build, result) if outcome != "pass" and result.sql else []
    return Finding(result.name, outcome, result.failures, result.message, json.dumps(examples, default=str))


def _keep_rows(build: Build, result: Result) -> list[state.Row]:
    """Keep the rows that fail a check in the build, as `failures.<check>`; return the first few."""
    with state.connect(build.file, read_only=False) as connection:
        connection.execute("create schema if not exists failures")
        try:
            connection.execute(f"attach '{build.start_state()}' as state (read_only)")
            connection.execute(f"create or replace table failures.{result.name} as from ({result.sql}) limit {_KEPT}")
        except duckdb.Error as error:  # a test that broke before it found any, or a state that is being applied to
            return [{"error": str(error)}]
        return state.rows(connection, f"from failures.{result.name} limit {_EXAMPLES}")


def _write(build: Build, verdict: Verdict, now: datetime) -> None:
    """Write the findings, and the build's own row, into the build's file: the apply takes them along."""
    plan = build.plan()
    (build.folder / "findings.json").write_text(json.dumps([asdict(one) for one in verdict.findings], indent=1))
    with state.connect(build.file, read_only=False) as connection:
        connection.execute("create schema if not exists ops")
        connection.execute(_BUILDS)
        connection.execute(_FINDINGS)
        connection.execute("insert into ops.builds values (?, ?, ?, ?, ?, ?, ?, ?, ?)", _build_row(plan, verdict, now))
        if verdict.findings:
            connection.executemany(
                "insert into ops.findings values (?, ?, ?, ?, ?, ?)",
                [
                    [plan.build_id, one.check_name, one.result, one.failed_rows, one.message, one.examples]
                    for one in verdict.findings
                ],
            )


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
_FINDINGS = """
    create or replace table ops.findings (
        build_id varchar, check_name varchar, result varchar, failed_rows bigint, message varchar, examples varchar
    )
"""
