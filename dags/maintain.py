"""Remove logs of old builds, and files that killed processes left behind.

Batches, the state, the published file and everything in `broken/` stay. `clearwell maintain` does the same by hand, and
`clearwell maintain --dry-run` lists what would go.

It also writes the page that documents the models, `models.html`, to which the control room links.

It does not remove Airflow's own history: use `clearwell airflow db clean`.
"""

from airflow.sdk import DAG, task

from dags.common import PERSISTENCE, PLATFORM, START, WAREHOUSE_POOL, deadline, every, now, observed, say
from ingestion.window import DAY


@task(pool=WAREHOUSE_POOL)
@observed()
def remove_leftovers() -> int:
    """Remove files that nothing reads any more; return their size in bytes."""
    from ingestion.home import Home
    from operations import maintain

    found = maintain.maintain(Home.from_environment(), now(), report=say)
    for one in found:
        say(f"removed {one.path} ({one.kind}, {one.size:,} bytes)")
    return sum(one.size for one in found)


@task(pool=WAREHOUSE_POOL)
@observed()
def write_docs() -> None:
    """Write the page that documents the models, as `clearwell docs` does."""
    from ingestion.home import Home
    from warehouse import build

    say(f"wrote {build.write_docs(Home.from_environment(), now())}")


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
    write_docs()
