"""Remove logs of old builds and runs, and files that killed processes left behind; put the small batches of a day into one file.

Records, ids, manifests, the state's tables, the published files and everything in `broken/` stay. `clearwell maintain` does the
same by hand, and `clearwell maintain --dry-run` lists what it would do.

It also writes the page that documents the models, `models.html`, to which the control room links.

It does not clean Airflow's own database: use `clearwell airflow db clean`.
"""

from airflow.sdk import DAG, task

from dags.common import PERSISTENCE, PLATFORM, START, WAREHOUSE_POOL, deadline, every, now, observed, say
from ingestion.window import DAY


@task(pool=WAREHOUSE_POOL)
@observed()
def remove_leftovers() -> int:
    """Remove what nothing reads any more, and rewrite what is wasteful; return the bytes of both."""
    from ingestion.home import Home
    from operations import maintain

    found = maintain.maintain(Home.from_environment(), now(), report=say)
    for one in found:
        say(f"{one.does} {one.path} ({one.kind}, {one.size:,} bytes)")
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
    write_docs()
