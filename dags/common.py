"""Shared by the DAGs: a source's owner, the retry policy, the window that a run owns, its connections, and the task that lands it."""

import os
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.sdk import (
    Asset,
    Connection,
    CronDataIntervalTimetable,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
    task,
)
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRescheduleException

from dags.deadlines import FirstQueuedAt
from ingestion import log
from ingestion.connections import needed, needed_to_publish, variable
from ingestion.contract import CADENCES, read_contracts, say_duration, source_ends
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.kinds import KINDS
from ingestion.window import Window
from warehouse.lineage import gold_tables

CONTRACTS = read_contracts()
ENDS = source_ends(CONTRACTS)
SOURCES = tuple(ENDS)
PLATFORM = CONTRACTS["source_counts"].owner
# New batches of any dataset: what starts a build.
BRONZE = Asset("bronze")
# The gold tables, for DAGs that read them.
GOLD = [Asset(f"gold.{table}") for table in gold_tables()]
WAREHOUSE_POOL = "warehouse"
# The earliest date of a backfill. CronDataIntervalTimetable needs a date to count from.
START = datetime(2000, 1, 1, tzinfo=UTC)


def tell_failure(context: Any) -> None:
    """Send an alert about a task that failed for good."""
    ti, error = context["ti"], context.get("exception")
    # when a process dies, Airflow passes a text
    error = error if isinstance(error, BaseException) else None
    _tell("failed", (ti.dag_id, ti.task_id), context["task"].owner, ti.run_id, error)


def tell_success(context: Any) -> None:
    """Send that a failure or a missed deadline is over; after a publish, alerts about what its checks found."""
    ti = context["ti"]
    _tell("succeeded", (ti.dag_id, ti.task_id), context["task"].owner)
    if (ti.dag_id, ti.task_id) == PUBLISH:
        _tell("published", PLATFORM)


def tell_deadline(context: Any, owner: str) -> None:
    """Send an alert about a run that did not end in time. One that somebody asked for has no deadline: it may be a backfill."""
    run = context["dag_run"]
    if run["run_type"] in ("scheduled", "asset_triggered"):
        _tell("late", run["dag_id"], owner, run["dag_run_id"])


def _tell(what: str, *about: Any) -> None:
    """Call what tells people, by its name in `operations.runs`. It must not hide the task's own error, whatever happens in it or its imports."""
    try:
        from ingestion.home import Home
        from operations import notify, runs

        getattr(runs, what)(Home.from_environment(), now(), *about, notify.endpoints(say), say)
    except Exception as error:
        say(f"no alert could be sent: {type(error).__name__}")


def deadline(limit: timedelta, owner: str) -> DeadlineAlert:
    """Return the deadline of a DAG's runs, counted from when a run is queued for the first time.

    Without the plugin, Airflow could not read the own reference. It then takes Airflow's, with the fault that `FirstQueuedAt` names.
    """
    has_plugin = Path(conf.get("core", "plugins_folder"), "clearwell.py").exists()
    return DeadlineAlert(
        reference=FirstQueuedAt() if has_plugin else DeadlineReference.DAGRUN_QUEUED_AT,
        interval=limit,
        callback=SyncCallback(tell_deadline, kwargs={"owner": owner}),
    )


# The task that makes a build visible to readers.
PUBLISH = ("build_warehouse", "publish")
# Retry Transient and unexpected errors; never Permanent ones.
PERSISTENCE = {
    "on_failure_callback": tell_failure,
    "on_success_callback": tell_success,
    "retries": 3,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=15),
    "retry_policy": ExceptionRetryPolicy(
        [
            RetryRule(
                Permanent, RetryAction.FAIL, reason="A retry cannot help: read the error, which names the next step"
            )
        ]
    ),
    "execution_timeout": timedelta(hours=2),
}


@contextmanager
def observed() -> Iterator[None]:
    """Give what a task logs the ids of its run, its errors of the machine their names, and the task the keys of hashed columns.

    Airflow logs an exception with all its words, and with those of its cause. They may hold personal data, so an unexpected
    exception is told by its kind and its places, and the cause of one of ours is left out.
    """
    from ingestion.faults import named  # imports DuckDB

    log.set_up_task()
    with log.bound(clock=now, **_ids()):
        try:
            with named(), _exported(needed_to_publish(CONTRACTS.values())):
                yield
        except ClearwellError as error:
            raise error from None
        except Exception as error:
            if type(error).__module__.startswith("airflow"):  # such as one that reschedules the task
                raise
            for line in traceback.format_tb(error.__traceback__):
                say(line.rstrip())
            raise Transient(
                f"an unexpected {type(error).__name__}",
                where=f"{Path((at := traceback.extract_tb(error.__traceback__)[-1]).filename).name}:{at.lineno}",
                todo="read the places in the task's log; the same command with `clearwell --debug` shows the words as well",
            ) from None


def _ids() -> dict[str, str]:
    try:
        ti = get_current_context()["ti"]
    except RuntimeError:  # called outside a run, as by a test
        return {}
    ids = {"dag_id": ti.dag_id, "task_id": ti.task_id, "dag_run_id": ti.run_id, "try_number": str(ti.try_number)}
    return {"run_id": log.run_id(*ids.values()), **ids}


def say(line: str) -> None:
    """Print a line to the task's log; with CLEARWELL_LOG=json, as an event with the ids of the run."""
    if log.is_structured():
        log.said(line)
    else:
        print(line)


def owner(source: str) -> str:
    """Return the owners of a source's datasets."""
    return ", ".join(sorted({one.owner for one in CONTRACTS.values() if one.source == source}))


def promised(source: str) -> timedelta:
    """Return how soon after the end of a window the first dataset of a source must be published."""
    return min(one.service_level.freshness for one in CONTRACTS.values() if one.source == source)


def every(cadence: timedelta) -> CronDataIntervalTimetable:
    """Return a timetable whose runs own windows of this length; a plain cron string would give empty windows."""
    return CronDataIntervalTimetable(CADENCES[cadence], timezone="UTC")


def about(source: str) -> str:
    """Describe a source for the page of its DAG: what it lands, how often, and whether it can go back."""
    contracts = [one for one in CONTRACTS.values() if one.source == source]
    kind = KINDS[contracts[0].kind or ""]
    rows = [
        f"| {one.dataset} | {say_duration(one.cadence)} | {say_duration(one.lateness)} | {one.owner} |"
        for one in contracts
    ]
    whole = [one.dataset for one in contracts if kind.has_no_past(one)]
    past = (
        f"A backfill cannot go back in {', '.join(whole)}: the whole table lands as it is now."
        if whole
        else "A backfill lands past windows as they are now at the source."
    )
    head = "| dataset | every | late by at most | owner |\n|---|---|---|---|"
    return f"## {source}\n\nA source of kind `{contracts[0].kind}`: see `{kind.page}`. {past}\n\n" + "\n".join(
        [head, *rows]
    )


@contextmanager
def connections(source: str) -> Iterator[None]:
    """Give a run the Connections of a source, wherever Airflow keeps them: as the variables that hold them outside Airflow.

    A variable that is set already counts. A Connection that Airflow does not have is left out: landing says what is missing.
    """
    with _exported(needed(one for one in CONTRACTS.values() if one.source == source)):
        yield


@contextmanager
def _exported(wanted: Iterable[str]) -> Iterator[None]:
    names = [name for name in wanted if not os.environ.get(variable(name))]
    try:
        for name in names:
            try:
                os.environ[variable(name)] = Connection.get(name).as_json()
            except AirflowNotFoundException:
                say(f"Airflow has no Connection {name}")
        yield
    finally:
        for name in names:
            os.environ.pop(variable(name), None)


def last_start(source: str) -> datetime | None:
    """Return the last moment at which a window of a source may start; None if the source has not ended."""
    end = ENDS[source]
    return end - timedelta.resolution if end else None


def cadence(source: str) -> timedelta:
    """Return how often a source is to be ingested."""
    return min(one.cadence for one in CONTRACTS.values() if one.source == source)


def window(logical_date: datetime | None, length: timedelta) -> Window:
    """Return the window that a run owns: the one of this length that contains its logical date.

    The logical date of a scheduled or backfill run is the start of its window. Airflow's own data interval of a run triggered
    by hand would be the window before, and the run would replace the one that owns that window.

    A run whose window is not over waits for its end. One whose window has not begun is Permanent.
    """
    if logical_date is None:
        raise Permanent(
            "this run has no logical date", todo="trigger the DAG again with a logical date within the window to land"
        )
    owned = Window.around(logical_date, length)
    moment = now()
    if owned.start > moment:
        raise Permanent(
            f"the window {owned} has not begun",
            todo="delete this run: it would keep the scheduler from creating its own run of this window",
        )
    if owned.end > moment:
        say(f"the window {owned} is not over: this run waits until then")
        raise AirflowRescheduleException(owned.end)
    return owned


def now() -> datetime:
    """Read the clock: here, and in the CLI, and nowhere else."""
    return datetime.now(UTC)


def outlets(source: str) -> list[Asset]:
    """Return what a landing of a source changes: bronze, and in it each of the source's datasets, as `bronze.orders`."""
    return [BRONZE, *(Asset(f"bronze.{one.dataset}") for one in CONTRACTS.values() if one.source == source)]


@task
@observed()
def ingest(source: str, logical_date: datetime | None = None, dag_run: Any = None) -> dict[str, int]:
    """Land the run's window of one source. What was landed before is not landed again.

    A scheduled run also lands what was missed before its window: a scheduler that was off skips windows.
    """
    from ingestion import sources
    from ingestion.home import Home

    home, owned = Home.from_environment(), window(logical_date, cadence(source))
    say(f"window {owned}")
    with connections(source):
        landing = sources.ingest(source, owned, home, now(), say)
        if dag_run.run_type == "scheduled":
            sources.catch_up(source, owned.start, home, now(), say)
    return {"records": landing.records, "new_batches": len(landing.new), "waiting": len(landing.waiting)}
