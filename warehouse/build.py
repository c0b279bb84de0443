"""One build, start to end: plan, transform, audit, apply, publish. Until the apply, nothing has happened."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ingestion.home import Home
from ingestion.landing import Report, silent
from ingestion.manifest import Manifest
from warehouse import dbt, state
from warehouse.apply import apply
from warehouse.audit import Finding, Refused, Verdict
from warehouse.audit import audit as audit_build
from warehouse.difference import Difference, differences
from warehouse.plan import Build, Plan, Request, hold, make_plan, make_same_plan, make_trial_plan, pending
from warehouse.publish import catch_up, pinned
from warehouse.publish import publish as publish_build
from warehouse.state import connect, drop, lock, lock_aside

__all__ = [
    "Outcome",
    "Plan",
    "Refused",
    "Request",
    "Verdict",
    "audit",
    "build",
    "parse_aside",
    "pending",
    "plan",
    "prepare",
    "publish",
    "rebuild_aside",
    "touched_dates",
    "transform",
]


@dataclass(frozen=True)
class Outcome:
    """What a build came to; no plan means that there was nothing to do."""

    plan: Plan | None
    verdict: Verdict | None = None
    is_published: bool = False
    dates: tuple[state.Row, ...] = ()
    differences: tuple[Difference, ...] = ()


def plan(home: Home, request: Request, now: datetime, report: Report = silent) -> Plan | None:
    """Plan the next build, after publishing a state that a crash left unpublished. None: nothing to do."""
    with lock(home):
        catch_up(home)
        return make_plan(home, request, now, report)


def transform(home: Home, build_id: str) -> None:
    """Build the tables aside. Doing it again starts over."""
    build = Build(home, build_id)
    prepare(build)
    dbt.run_models(build)


def prepare(build: Build) -> None:
    """Remove what an earlier try left, and make the files that dbt attaches."""
    for path in (build.file, build.empty):
        drop(path)
    for path in (build.empty, build.home.state):
        if not path.exists():
            with connect(path, read_only=False):
                pass


def audit(home: Home, build_id: str, now: datetime, report: Report = silent) -> Verdict:
    """Check what was built. What fails a check is held, and the rest built again without it. Raise Refused when a check stops the build."""
    build = Build(home, build_id)
    held: list[Finding] = []
    while True:
        verdict = audit_build(build, now, held)
        if not verdict.hold:
            return verdict
        for finding in verdict.findings:
            report(f"{finding.check_name} fails in {finding.failed_rows} rows. {finding.message}")
        held += verdict.findings
        hold(build, verdict.hold)
        report("building the rest without them")
        transform(home, build_id)


def publish(home: Home, build_id: str) -> None:
    """Apply an audited build to the state, and publish it. Doing it again changes nothing."""
    build = Build(home, build_id)
    with lock(home):
        apply(build)
        publish_build(build)
    _tidy(build)


def build(home: Home, request: Request, now: datetime, report: Report = silent) -> Outcome:
    """Do all of it."""
    planned = plan(home, request, now, report)
    if not planned:
        report("nothing to build: no new batches")
        return Outcome(None)
    report(f"build {planned.build_id}: {len(planned.entering)} batches enter, {len(planned.leaving)} leave")
    transform(home, planned.build_id)
    report("tables built in staging; auditing")
    verdict = audit(home, planned.build_id, now, report)
    report(f"audit: {len(verdict.findings)} checks, {len(verdict.warnings)} warnings")
    if request.dry_run:
        made = Build(home, planned.build_id)
        outcome = Outcome(planned, verdict, dates=touched_dates(made), differences=tuple(differences(made, ["gold"])))
        shutil.rmtree(made.folder)
        return outcome
    publish(home, planned.build_id)
    if pinned(home):
        report("not published: an older state is pinned")
        return Outcome(planned, verdict)
    report(f"published {home.published}")
    return Outcome(planned, verdict, is_published=True)


def touched_dates(build: Build) -> tuple[state.Row, ...]:
    """List the dates whose current records differ after this build, by dataset."""
    query = "select dataset, min(record_date) as first_date, max(record_date) as last_date, count(*) as dates"
    return tuple(state.read(build.file, "plan.dates", f"{query} from plan.dates group by dataset order by dataset"))


def rebuild_aside(home: Home, now: datetime) -> list[Difference]:
    """Build everything that the state took again from bronze, aside, and compare every table. Nothing is changed."""
    with lock_aside(home):
        build = Build(home, "recount")
        shutil.rmtree(build.folder, ignore_errors=True)
        try:
            make_same_plan(home, build.build_id, now)
            transform(home, build.build_id)
            return differences(build, ["records", "silver", "gold", "ops"])
        finally:
            shutil.rmtree(build.folder, ignore_errors=True)


def parse_aside(
    home: Home, project: Path, dataset: str, manifests: Sequence[Manifest], query: str, now: datetime
) -> list[state.Row]:
    """Parse some batches under another project's contract, aside; ask the result a question beside the state."""
    with lock_aside(home):
        build = Build(home, "proposal")
        shutil.rmtree(build.folder, ignore_errors=True)
        try:
            make_trial_plan(build, manifests, now)
            with connect(build.empty, read_only=False):
                pass
            dbt.run_models(build, project, choose=["--select", f"+staging_{dataset}"])
            with connect(build.file) as connection:
                connection.execute(f"attach '{home.state}' as state (read_only)")
                return state.rows(connection, query)
        finally:
            shutil.rmtree(build.folder, ignore_errors=True)


def _tidy(build: Build) -> None:
    """Drop the large files of a published build; its plan, findings and logs stay."""
    for path in (build.file, build.empty):
        drop(path)
    shutil.rmtree(build.target, ignore_errors=True)
