"""What Airflow's runs tell people: a task that failed, a run that is late, and that both are over.

They use the same alerts, record and endpoints as the watchdog, so what one of them has told, the other does not tell again.
"""

from collections.abc import Sequence
from datetime import datetime

from ingestion.errors import ClearwellError, Transient
from ingestion.home import Home
from ingestion.land import Report
from operations import alerts, watch
from operations.alerts import Alert
from operations.notify import Endpoint
from warehouse.audit import Refused

_FINDINGS = ("finding", "held", "unusual")


def failed(
    home: Home,
    now: datetime,
    task: tuple[str, str],
    owner: str,
    run_id: str,
    error: BaseException | None,
    endpoints: Sequence[Endpoint],
    report: Report,
) -> None:
    """Tell that a task, by the ids of its DAG and itself, failed for good."""
    dag_id, task_id = task
    what, todo = _said(error)
    found = Alert(
        kind="task_failed",
        about=f"{dag_id}.{task_id}",
        owner=owner,
        what=f"the task {task_id} of {dag_id} failed: {what}",
        rows=(f"run: {run_id}",),
        todo=todo or f"read the task's log in Airflow; then clear the task {task_id} of this run",
        causes=("disk", "clock"),
    )
    alerts.update(home, now, [found], lambda _: False, endpoints, report)


def succeeded(
    home: Home, now: datetime, task: tuple[str, str], owner: str, endpoints: Sequence[Endpoint], report: Report
) -> None:
    """Tell that what a task or its DAG had told is over, if it had told anything."""
    dag_id, task_id = task
    over = {f"task_failed:{dag_id}.{task_id}", f"deadline:{dag_id}"}
    if over & alerts.keys(home):
        alerts.update(home, now, [], lambda one: one.key in over, endpoints, report)


def published(home: Home, now: datetime, owner: str, endpoints: Sequence[Endpoint], report: Report) -> None:
    """Tell what the checks of the build that has just been published found, and what it holds."""
    found = watch.findings(home, now, owner)
    alerts.update(home, now, found, lambda one: one.kind in _FINDINGS, endpoints, report)


def late(
    home: Home, now: datetime, dag_id: str, owner: str, run_id: str, endpoints: Sequence[Endpoint], report: Report
) -> None:
    """Tell that a run did not end in time."""
    found = Alert(
        kind="deadline",
        about=dag_id,
        owner=owner,
        what=f"a run of {dag_id} has not ended in time",
        rows=(f"run: {run_id}",),
        todo=f"see in Airflow what the run of {dag_id} waits for; then clearwell status",
        causes=(
            "disk",
            "clock",
            *(f"task_failed:{dag_id}.{task}" for task in ("ingest", "plan", "transform", "audit")),
        ),
    )
    alerts.update(home, now, [found], lambda _: False, endpoints, report)


def _said(error: BaseException | None) -> tuple[str, str]:
    """Return what failed and what to type. Only our own errors are quoted: the text of any other may hold personal data."""
    if isinstance(error, Refused):  # its text has rows
        checks = ", ".join(f"{one.check_name} ({one.failed_rows:,} rows)" for one in error.verdict.stops)
        return f"build {error.verdict.build_id} is refused by {checks}", error.todo
    if isinstance(error, ClearwellError):
        again = " after all retries" if isinstance(error, Transient) else ""
        return f"{error.what}{f' ({error.where})' if error.where else ''}{again}", error.todo
    return (f"{type(error).__name__}, which its log has in full" if error else "its process ended without an error"), ""
