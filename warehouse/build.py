"""One build, from start to end: plan, transform, audit, apply, publish. Nothing is changed before the apply."""

import gc
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import duckdb

from ingestion import atomic, lake, run_log
from ingestion.database import attached
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.home import Home
from ingestion.land import Report, silent
from ingestion.manifest import Manifest
from warehouse import dbt, garbage, keyed_hashes, lakehouse, shape, spark, state
from warehouse.apply import apply, is_applied
from warehouse.audit import Finding, Refused, Verdict, last_refused, read_verdict
from warehouse.audit import audit as audit_build
from warehouse.build_events import model_events, stage_events
from warehouse.difference import Difference, differences
from warehouse.engines import SPARK
from warehouse.lakehouse import Overtaken
from warehouse.plan import Build, Plan, Request, entering, hold, make_plan, make_same_plan, make_trial_plan, pending
from warehouse.publish import catch_up, pinned
from warehouse.publish import publish as publish_build
from warehouse.state import connect, drop, lock, lock_aside, lock_build

__all__ = [
    "DOCS",
    "Outcome",
    "Plan",
    "Refused",
    "Request",
    "Verdict",
    "audit",
    "build",
    "made_aside",
    "parse_aside",
    "pending",
    "plan",
    "prepare",
    "publish",
    "rebuild_aside",
    "touched_dates",
    "transform",
    "write_docs",
]


# How often a build is planned that builds of other machines overtake.
_TRIES = 10
# The page with the documentation of the models.
DOCS = "models.html"
# The name of a build that is only compared and never applied; a build's id is longer.
_RECOUNT, _PROPOSAL = "recount", "proposal"


def made_aside(home: Home) -> tuple[Build, ...]:
    """Return the builds that are made only to be compared, under a lock of their own."""
    return Build(home, _RECOUNT), Build(home, _PROPOSAL)


@dataclass(frozen=True)
class Outcome:
    """The result of a build; no plan means that there was nothing to do."""

    plan: Plan | None
    verdict: Verdict | None = None
    is_published: bool = False
    dates: tuple[state.Row, ...] = ()
    differences: tuple[Difference, ...] = ()


def plan(home: Home, request: Request, now: datetime, report: Report = silent) -> Plan | None:
    """Plan the next build, after publishing a state that a crash left unpublished. None if there is nothing to do.

    This and the next three steps wait while another process builds.
    """
    with lock_build(home, report), run_log.logged(home, "plan", now):
        return _plan(home, request, now, report)


def transform(home: Home, build_id: str, report: Report = silent) -> None:
    """Build the tables in the build's own file. A repeated call starts over; for an applied build it does nothing."""
    made = _named(home, build_id)
    with lock_build(home, report), garbage.not_collected(), _logged(made, "transform"):
        _transform(made, report)


def audit(home: Home, build_id: str, now: datetime, report: Report = silent) -> Verdict:
    """Check the build. Batches that fail a check are held, and the rest is built again. A check that stops it raises Refused.

    For an applied build, return its earlier verdict.
    """
    made = _named(home, build_id)
    with lock_build(home, report), garbage.not_collected(), _logged(made, "audit"):
        return _audit(made, now, report)


def publish(home: Home, build_id: str, report: Report = silent) -> None:
    """Apply an audited build to the state, and publish it. A repeated call changes nothing. A failed audit raises Refused."""
    with lock_build(home, report):
        _publish(_named(home, build_id), report)


def _named(home: Home, build_id: str) -> Build:
    """Return the build of an id. Airflow passes none if the plan task was marked as successful without running."""
    if not build_id:
        raise Permanent(
            "no build was planned", todo="run `clearwell build`; or in Airflow, clear the task `plan` of this run"
        )
    return Build(home, build_id)


def build(
    home: Home,
    request: Request,
    now: datetime,
    report: Report = silent,
    clock: Callable[[], datetime] | None = None,
) -> Outcome:
    """Do all steps. `clock` gives the time at which the audit ends; without it, that is `now` as well.

    If the state is in a lake and another machine changes it meanwhile, plan again, some times at most.
    """
    with lock_build(home, report):
        for tries_left in reversed(range(_TRIES)):
            try:
                with garbage.not_collected():
                    return _build(home, request, now, report, clock)
            except Overtaken as error:
                if not tries_left:
                    raise
                report(f"{error.what}: planning again")
    raise AssertionError("the last try returns or raises")


def _build(
    home: Home, request: Request, now: datetime, report: Report, clock: Callable[[], datetime] | None
) -> Outcome:
    with run_log.logged(home, "plan", now):
        planned = _plan(home, request, now, report)
    if not planned:
        report("nothing to build: no new batches")
        return Outcome(None)
    made = Build(home, planned.build_id)
    report(f"plan: build {planned.build_id}: {len(planned.entering)} batches enter, {len(planned.leaving)} leave")
    with _logged(made, "transform"):
        _transform(made, report)
    with _logged(made, "audit"):
        verdict = _audit(made, now, report, clock)
    if request.dry_run:
        outcome = Outcome(planned, verdict, dates=touched_dates(made), differences=tuple(differences(made, ["gold"])))
        shutil.rmtree(made.folder)
        return outcome
    _publish(made, report)
    if pinned(home):
        report("not published: an older state is pinned")
        return Outcome(planned, verdict)
    report(f"published {home.published}")
    return Outcome(planned, verdict, is_published=True)


@contextmanager
def _logged(build: Build, stage: str) -> Iterator[None]:
    """Log a stage of a build, with the records that enter in it."""
    at = datetime.fromisoformat(build.plan().planned_at)
    with run_log.logged(build.home, stage, at, build_id=build.build_id) as taken, stage_events(build, stage):
        with _over_its_snapshot(build, stage):
            yield
        taken.append(entering(build))


@contextmanager
def _over_its_snapshot(build: Build, stage: str) -> Iterator[None]:
    """Turn an error into Overtaken if the snapshot of the lake that the build reads is no longer the last one."""
    try:
        yield
    except (Overtaken, Refused):
        raise
    except Exception as error:
        if stage in ("transform", "audit") and (gone := _why_overtaken(build)):
            raise gone from error
        raise


def _why_overtaken(build: Build) -> Overtaken | None:
    if not lake.is_lake(build.home.state):
        return None
    try:
        lakehouse.check_pinned(build.home.state, build.build_id, build.plan().base, build.pinned)
    except Overtaken as error:
        return error
    except (duckdb.Error, ClearwellError):
        pass  # what the build met first is what counts
    return None


def _plan(home: Home, request: Request, now: datetime, report: Report) -> Plan | None:
    keyed_hashes.read()  # without a key, nothing could be published at the end
    if request.engine == SPARK:
        spark.python()
    with lock(home, report):
        for database in (home.state, home.published):
            state.recover(database)
        if not request.full:  # a full build makes both files again
            catch_up(home)
        with state.kept_open(home.state):
            planned = make_plan(home, request, now, report)
            if planned:
                _check_plan(Build(home, planned.build_id), report)
    return planned


def _check_plan(build: Build, report: Report) -> None:
    """Report what the build changes in the state's tables. If the models do not fit them, remove the plan."""
    try:
        for change in shape.check_plan(build):
            report(change)
    except BaseException:
        shutil.rmtree(build.folder)
        raise


def _transform(
    build: Build, report: Report = silent, ended: Callable[[Build, list[dbt.Result]], None] = model_events
) -> None:
    if not is_applied(build):
        prepare(build)
        if build.plan().engine == SPARK:
            spark.run_models(build, report, partial(ended, build))
        else:
            report("transform: starting dbt")
            dbt.run_models(build, built=partial(_report_models, report), ended=partial(ended, build))
        shape.check_built(build)
        build.made.touch()


def _report_models(report: Report, count: int, of: int) -> None:
    """Report about every tenth model, and the last."""
    if count == of or count % max(of // 10, 1) == 0:
        report(f"transform: models {count} of {of}")


def prepare(build: Build) -> None:
    """Remove files of an earlier attempt, and create those that dbt attaches."""
    build.made.unlink(missing_ok=True)
    build.verdict.unlink(missing_ok=True)
    build.times.unlink(missing_ok=True)
    for path in (build.file, build.scratch, build.empty):
        drop(path)
    for path in (build.empty, build.home.state):
        if not path.exists():
            with connect(path, read_only=False):
                pass


def _audit(build: Build, now: datetime, report: Report, clock: Callable[[], datetime] | None = None) -> Verdict:
    held: list[Finding] = []
    while True:
        with state.kept_open(build.home.state):
            if is_applied(build):
                return read_verdict(build)
            if not build.made.exists():
                raise Permanent(
                    f"the tables of build {build.build_id} were not built, so there is nothing to audit",
                    where=str(build.folder),
                    todo="run `clearwell build`; or in Airflow, clear the task `transform` of this run",
                )
            report("audit: tests, expectations and accounts")
            verdict = audit_build(build, clock() if clock else now, held)
        if not verdict.hold:
            report(f"audit: {len(verdict.findings)} checks, {len(verdict.warnings)} warnings")
            return verdict
        for finding in verdict.findings:
            report(f"{finding.check_name} failed on {finding.failed_rows} rows. {finding.message}")
        held += verdict.findings
        hold(build, verdict.hold)
        report("building again without the held batches")
        gc.collect()  # what this round has left; there may be many
        _transform(build, report)


def _publish(build: Build, report: Report) -> None:
    read_verdict(build)
    with lock(build.home, report):
        report("apply: changing the state, in one transaction")
        with _logged(build, "apply"):
            apply(build)
        report("publish: renaming the new file into place for readers")
        with _logged(build, "publish"):
            publish_build(build)
    _tidy(build)


def touched_dates(build: Build) -> tuple[state.Row, ...]:
    """List the dates whose current records differ after this build, by dataset."""
    query = "select dataset, min(record_date) as first_date, max(record_date) as last_date, count(*) as dates"
    return tuple(state.read(build.file, "plan.dates", f"{query} from plan.dates group by dataset order by dataset"))


def rebuild_aside(home: Home, now: datetime) -> list[Difference]:
    """Rebuild everything in the state from bronze into another file, and compare every table. Nothing is changed."""
    with lock_aside(home):
        build = Build(home, _RECOUNT)
        shutil.rmtree(build.folder, ignore_errors=True)
        try:
            make_same_plan(home, build.build_id, now)
            _transform(build, ended=lambda *_: None)
            return differences(build, ["records", "silver", "gold", "ops"])
        finally:
            shutil.rmtree(build.folder, ignore_errors=True)


def parse_aside(
    home: Home,
    project: Path,
    dataset: str,
    manifests: Sequence[Manifest],
    query: str,
    now: datetime,
    *,
    through: str = "staging",
) -> list[state.Row]:
    """Parse some batches under another project's contract, in another file, and run a query over the result and the state.

    `through` is the last layer that is built.
    """
    with lock_aside(home):
        build = Build(home, _PROPOSAL)
        shutil.rmtree(build.folder, ignore_errors=True)
        try:
            make_trial_plan(build, manifests, now)
            with connect(build.empty, read_only=False):
                pass
            dbt.run_models(build, project, choose=["--select", f"+{through}_{dataset}"])
            with (
                connect(build.file) as connection,
                attached(connection, build.scratch, "scratch"),
                attached(connection, home.state, "state"),
            ):
                return state.rows(connection, query)
        finally:
            shutil.rmtree(build.folder, ignore_errors=True)


def write_docs(home: Home, now: datetime, output: Path | None = None) -> Path:
    """Write the documentation of every model as one page, which a browser opens offline, and return where it is."""
    path = output or home.root / DOCS
    with lock_aside(home):
        build = Build(home, _PROPOSAL)
        shutil.rmtree(build.folder, ignore_errors=True)
        try:
            make_trial_plan(build, [], now)
            page = dbt.document(build)
        finally:
            shutil.rmtree(build.folder, ignore_errors=True)
    atomic.write(path, page)
    return path


def _tidy(build: Build) -> None:
    """Drop the large files of a published build and of those that can never be applied; keep plans, findings and logs.

    Builds that were killed are among the latter: they were planned over an older state.
    """
    home, refused = build.home, last_refused(build.home)
    aside = made_aside(home)
    for other in (Build(home, folder.name) for folder in home.builds.iterdir()):
        if other not in (refused, *aside) and other.is_planned and other.plan().base != build.build_id:
            for path in (other.file, other.scratch, other.empty):
                drop(path)
            shutil.rmtree(other.target, ignore_errors=True)
            shutil.rmtree(spark.made_in(other), ignore_errors=True)
    with suppress(Transient), lock_aside(home, patience=0):
        for one in aside:
            shutil.rmtree(one.folder, ignore_errors=True)
