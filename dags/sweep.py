"""Land every source again, for the day that has just ended and earlier days that may still change by late files or commits.

Landing a day again brings only new data. Each day is also counted by independent code in the same view of its source, by event
date, and deletions are found. The next build compares the counts. At the end, the ledger is recounted from the tables and
bronze. `clearwell sweep --from D --to D` does the same by hand.

A run owns the day that contains its logical date, also if it is triggered by hand. A scheduled run first lands what was missed
in the two weeks before its day, as when the scheduler was off; `clearwell heal` lands anything older.

Use this DAG to backfill ranges: `clearwell airflow backfill create --dag-id sweep_sources --from-date D --to-date D`.
A backfill's run lands its own day only, and does not recount the ledger: once a night is enough, as a recount reads all of
bronze.
"""

from datetime import datetime
from typing import Any

from airflow.sdk import DAG, chain, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.common import (
    PERSISTENCE,
    PLATFORM,
    SOURCES,
    START,
    WAREHOUSE_POOL,
    connections,
    deadline,
    every,
    now,
    observed,
    outlets,
    owner,
    say,
    window,
)
from ingestion.window import DAY


@task
@observed()
def sweep(source: str, logical_date: datetime | None = None, dag_run: Any = None) -> dict[str, int]:
    """Land one source's day again, and earlier days that may still change; count them, and find deletions.

    A scheduled run first lands what was missed before its day.
    """
    from ingestion import sources
    from ingestion.home import Home

    home, owned = Home.from_environment(), window(logical_date, DAY)
    say(f"window {owned}")
    is_backfill = dag_run.run_type == "backfill"
    with connections(source):
        if dag_run.run_type == "scheduled":
            sources.catch_up(source, owned.start, home, now(), say)
        landing = sources.sweep(source, owned, home, now(), say, is_backfill=is_backfill)
    return {"records": landing.records, "new_batches": len(landing.new), "waiting": len(landing.waiting)}


@task(pool=WAREHOUSE_POOL)
@observed()
def recount_ledger(dag_run: Any = None) -> None:
    """Count every record again; fail if the accounts do not balance."""
    from ingestion.home import Home
    from operations import ledger

    if dag_run.run_type == "backfill":
        raise AirflowSkipException("a backfill does not recount the ledger: the nightly run does")
    ledger.check(Home.from_environment())


with DAG(
    dag_id="sweep_sources",
    description="Land recent days again, count them at the source, and recount the ledger",
    doc_md=__doc__,
    schedule=every(DAY),
    start_date=START,
    catchup=False,
    deadline=deadline(DAY, PLATFORM),
    max_active_runs=2,
    default_args={**PERSISTENCE, "owner": PLATFORM},
    tags=["ingest", "reconcile"],
):
    recounted = recount_ledger()
    for source in SOURCES:
        chain(
            sweep.override(task_id=f"sweep_{source}", owner=owner(source), outlets=outlets(source))(source), recounted
        )
