"""Every source again, the whole day that has just ended: late files, late commits, and a second count.

First each source is ingested for the day, which brings only what is new. Then it is counted by other means, by event
date; the next build holds those counts against the warehouse. Last, the ledger is recounted from the tables and bronze.

This is also how ranges are backfilled: `airflow backfill create --dag-id sweep_sources --from-date D --to-date D`.
A backfill does not recount the ledger: once a night is enough, and each recount reads all of bronze.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, chain, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.common import BRONZE, PERSISTENCE, PLATFORM, SOURCES, START, WAREHOUSE_POOL, every, ingest, now, owner, window
from ingestion.contract import COUNTED


@task(outlets=[BRONZE])
def count(
    source: str, data_interval_start: datetime | None = None, data_interval_end: datetime | None = None
) -> dict[str, int]:
    """Count the day of one source by other means than it was landed."""
    from ingestion import sources
    from ingestion.home import Home

    owned = window(data_interval_start, data_interval_end)
    landing = sources.source_counts(source, owned, Home.from_environment(), now(), print)
    return {"records": landing.records, "new_batches": len(landing.new)}


@task(pool=WAREHOUSE_POOL)
def recount_ledger(dag_run: Any = None) -> None:
    """Count every record again; fail if the accounts do not balance."""
    from ingestion.home import Home
    from operations import ledger

    if dag_run.run_type == "backfill":
        raise AirflowSkipException("the nightly run recounts the ledger")
    ledger.check(Home.from_environment())


with DAG(
    dag_id="sweep_sources",
    description="Land the day before again, count it at the source, and recount the ledger",
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
        swept = ingest.override(task_id=f"sweep_{source}", owner=owner(source))(source)
        if source in COUNTED:
            chain(swept, count.override(task_id=f"count_{source}", owner=owner(source))(source), recounted)
        else:
            chain(swept, recounted)
