"""One build, start to end: plan, transform, audit, apply, publish. Until the apply, nothing has happened."""

import shutil
from dataclasses import dataclass
from datetime import datetime

from ingestion.home import Home
from ingestion.landing import Report, silent
from warehouse import dbt
from warehouse.apply import apply
from warehouse.audit import Refused, Verdict
from warehouse.audit import audit as audit_build
from warehouse.plan import Build, Plan, Request, make_plan, pending
from warehouse.publish import catch_up
from warehouse.publish import publish as publish_build
from warehouse.state import connect, drop, lock

__all__ = [
    "Outcome",
    "Plan",
    "Refused",
    "Request",
    "Verdict",
    "audit",
    "build",
    "pending",
    "plan",
    "publish",
    "transform",
]


@dataclass(frozen=True)
class Outcome:
    """What a build came to; no plan means that there was nothing to do."""

    plan: Plan | None
    verdict: Verdict | None = None
    is_published: bool = False


def plan(home: Home, request: Request, now: datetime) -> Plan | None:
    """Plan the next build, after publishing a state that a crash left unpublished. None: nothing to do."""
    with lock(home):
        catch_up(home)
        return make_plan(home, request, now)


def transform(home: Home, build_id: str) -> None:
    """Build the tables aside. Doing it again starts over."""
    build = Build(home, build_id)
    for path in (build.file, build.folder / "empty.duckdb"):
        drop(path)
    if not build.start_state().exists():
        with connect(build.start_state(), read_only=False):
            pass
    dbt.run_models(build)


def audit(home: Home, build_id: str, now: datetime) -> Verdict:
    """Check what was built. Raise Refused when a check fails."""
    return audit_build(Build(home, build_id), now)


def publish(home: Home, build_id: str) -> None:
    """Apply an audited build to the state, and publish it. Doing it again changes nothing."""
    build = Build(home, build_id)
    with lock(home):
        apply(build)
        publish_build(build)
    _tidy(build)


def build(home: Home, request: Request, now: datetime, report: Report = silent) -> Outcome:
    """Do all of it."""
    planned = plan(home, request, now)
    if not planned:
        report("nothing to build: no new batches")
        return Outcome(None)
    report(f"build {planned.build_id}: {len(planned.entering)} batches enter, {len(planned.leaving)} leave")
    transform(home, planned.build_id)
    report("tables are built aside; now the audit")
    verdict = audit(home, planned.build_id, now)
    report(f"audit: {len(verdict.findings)} checks, {len(verdict.warnings)} warnings")
    if request.dry_run:
        return Outcome(planned, verdict)
    publish(home, planned.build_id)
    report(f"published {home.published}")
    return Outcome(planned, verdict, is_published=True)


def _tidy(build: Build) -> None:
    """Drop the large files of a published build; its plan, findings and logs stay."""
    for path in (build.file, build.folder / "empty.duckdb"):
        drop(path)
    shutil.rmtree(build.target, ignore_errors=True)
