"""What the DAGs share: who owns a source, how a task fails, the window a run owns, and the task that lands it."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import Asset, CronDataIntervalTimetable, ExceptionRetryPolicy, RetryAction, RetryRule, task

from ingestion.contract import CADENCES, read_contracts, source_ends
from ingestion.errors import Permanent
from ingestion.faults import named
from ingestion.window import Window

CONTRACTS = read_contracts()
ENDS = source_ends(CONTRACTS)
SOURCES = tuple(ENDS)
PLATFORM = CONTRACTS["source_counts"].owner
BRONZE = Asset("bronze")
WAREHOUSE_POOL = "warehouse"
# Backfills go back as far as this; without one, CronDataIntervalTimetable has nowhere to count from.
START = datetime(2000, 1, 1, tzinfo=UTC)

# A retry helps what is Transient, and may help what nobody foresaw; it never helps what is Permanent.
PERSISTENCE = {
    "retries": 3,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=15),
    "retry_policy": ExceptionRetryPolicy([RetryRule(Permanent, RetryAction.FAIL, reason="Somebody must look at it")]),
    "execution_timeout": timedelta(hours=2),
}


def owner(source: str) -> str:
    """Name who answers for a source."""
    return ", ".join(sorted({one.owner for one in CONTRACTS.values() if one.source == source}))


def every(cadence: timedelta) -> CronDataIntervalTimetable:
    """Return a timetable whose runs own windows of this length; a bare cron string would give windows of no length."""
    return CronDataIntervalTimetable(CADENCES[cadence], timezone="UTC")


def last_start(source: str) -> datetime | None:
    """Return the last moment a window of a source may start at: before the source ended, where it did."""
    end = ENDS[source]
    return end - timedelta.resolution if end else None


def cadence(source: str) -> timedelta:
    """Return how often a source is to be ingested."""
    return min(one.cadence for one in CONTRACTS.values() if one.source == source)


def window(data_interval_start: datetime | None, data_interval_end: datetime | None) -> Window:
    """Return the window a run owns."""
    if data_interval_start is None or data_interval_end is None:
        raise Permanent("this run has no data interval", todo="trigger it with a logical date")
    return Window(data_interval_start, data_interval_end)


def now() -> datetime:
    """Read the clock: here, and in the CLI, and nowhere else."""
    return datetime.now(UTC)


@task(outlets=[BRONZE])
@named()
def ingest(
    source: str, data_interval_start: datetime | None = None, data_interval_end: datetime | None = None
) -> dict[str, int]:
    """Land the run's window of one source. What was landed before is not landed again."""
    from ingestion import sources
    from ingestion.home import Home

    owned = window(data_interval_start, data_interval_end)
    landing = sources.ingest(source, owned, Home.from_environment(), now(), print)
    return {"records": landing.records, "new_batches": len(landing.new), "waiting": len(landing.waiting)}
