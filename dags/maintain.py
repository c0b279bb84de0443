"""Remove logs of old builds, and files that killed processes left behind.

Batches, the state, the published file and everything in `broken/` stay. `clearwell maintain` does the same by hand, and
`clearwell maintain --dry-run` lists what would go.

It does not remove Airflow's own history: use `clearwell airflow db clean`.
"""

from airflow.sdk import DAG, task

from dags.common import PERSISTENCE, PLATFORM, START, WAREHOUSE_POOL, deadline, every, now
from ingestion.faults import named
from ingestion.window import DAY


@task(pool=WAREHOUSE_POOL)
@named()
def remove_leftovers() -> int:
    """Remove files that nothing reads any more; return their size in bytes."""
    from ingestion.home import Home
    from operations import maintain

    found = maintain.maintain(Home.from_environment(), now(), report=print)
    for one in found:
        print(f"removed {one.path} ({one.kind}, {one.size:,} bytes)")
    return sum(one.size for one in found)


with DAG(
    dag_id="maintain",
    description="Remove logs of old builds and files of killed processes",
    doc_md=__doc__,
    schedule=every(DAY),
    start_date=START,
    catchup=False,
    deadline=deadline(DAY, PLATFORM),
    max_active_runs=1,
    default_args={**PERSISTENCE, "owner": PLATFORM},
    tags=["maintain"],
):
    remove_leftovers()
