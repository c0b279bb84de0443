"""Remove logs of old builds and runs, and files that killed processes left behind; put the small batches of a day into one file.

Records, ids, manifests, the state's tables, the published files and everything in `broken/` stay. `clearwell maintain` does the
same by hand, and `clearwell maintain --dry-run` lists what it would do.

It does not clean Airflow's own database: use `clearwell airflow db clean`.
"""

from airflow.sdk import DAG, task

from dags.common import PERSISTENCE, PLATFORM, START, WAREHOUSE_POOL, deadline, every, now
from ingestion.faults import named
from ingestion.window import DAY


@task(pool=WAREHOUSE_POOL)
@named()
def remove_leftovers() -> int:
    """Remove what nothing reads any more, and rewrite what is wasteful; return the bytes of both."""
    from ingestion.home import Home
    from operations import maintain

    found = maintain.maintain(Home.from_environment(), now(), report=print)
    for one in found:
        print(f"{one.does} {one.path} ({one.kind}, {one.size:,} bytes)")
    return sum(one.size for one in found)


with DAG(
    dag_id="maintain",
    description="Remove old logs and files of killed processes; put small files together",
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
