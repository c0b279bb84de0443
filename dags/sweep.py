"""Every source again, the day that has just ended and those before it that may still change: late files, late commits.

Each day is landed again, which brings only what is new, and counted by other means in the same view of its source, by
event date; what is gone from the source is found. The next build judges the counts. Last, the ledger is recounted from the
tables and bronze. `clearwell sweep --from D --to D` does the same by hand.

This is also how ranges are backfilled: `clearwell airflow backfill create --dag-id sweep_sources --from-date D --to-date D`.
A backfill comes to each day in turn, so it does not look at earlier ones; nor does it recount the ledger: once a night is
enough, and each recount reads all of bronze.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, chain, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.common import BRONZE, PERSISTENCE, PLATFORM, SOURCES, START, WAREHOUSE_POOL, every, now, owner, window
from ingestion.faults import named


@task(outlets=[BRONZE])
@named()
def sweep(
    source: str,
    data_interval_start: datetime | None = None,
    data_interval_end: datetime | None = None,
    dag_run: Any = None,
) -> dict[str, int]:
    """Land the day of one source again, and the days before it that may still change; count them, and find what is gone."""
    from ingestion import sources
    from ingestion.home import Home

    owned = window(data_interval_start, data_interval_end)
    is_backfill = dag_run.run_type == "backfill"
    landing = sources.sweep(source, owned, Home.from_environment(), now(), print, is_backfill=is_backfill)
    return {"records": landing.records, "new_batches": len(landing.new), "waiting": len(landing.waiting)}


@task(pool=WAREHOUSE_POOL)
@named()
def recount_ledger(dag_run: Any = None) -> None:
    """Count every record again; fail if the accounts do not balance."""
    from ingestion.home import Home
    from operations import ledger

    if dag_run.run_type == "backfill":
        raise AirflowSkipException("the nightly run recounts the ledger")
    ledger.check(Home.from_environment())


with DAG(
    dag_id="sweep_sources",
    description="Land the days before again, count them at the source, and recount the ledger",
    doc_md=__doc__,
    schedule=every(timedelta(days=1)),
    start_date=START,
    catchup=False,
    max_active_runs=2,
    default_args={**PERSISTENCE, "owner": PLATFORM},
    tags=["ingest", "reconcile"],
):
    recounted = recount_ledger()
    for source in SOURCES:
        chain(sweep.override(task_id=f"sweep_{source}", owner=owner(source))(source), recounted)
