"""Check that every source could land: its connection, its tables and columns, its folder or address. Nothing is landed.

It has no schedule: trigger it after a connection or a contract has changed. A task fails with the first problem of its source,
and its log has them all, one a line. `clearwell sources check` does the same by hand.
"""

from airflow.sdk import DAG, task

from dags.common import PERSISTENCE, PLATFORM, SOURCES, START, connections, observed, owner, say
from ingestion.errors import Permanent


@task
@observed()
def check(source: str) -> None:
    """Fail if anything would keep a source from landing."""
    from ingestion import sources
    from ingestion.home import Home

    with connections(source):
        found = sources.check(source, Home.from_environment())
    for problem in found:
        say(str(problem))
    if found:
        more = f", and {len(found) - 1} more problems, which the log names" if found[1:] else ""
        raise Permanent(f"{found[0].what}{more}", where=found[0].where or source, todo=found[0].todo)


with DAG(
    dag_id="check_sources",
    description="Check connections, tables, folders and addresses, without landing anything",
    doc_md=__doc__,
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    # somebody waits for the answer
    default_args={**PERSISTENCE, "retries": 0, "owner": PLATFORM},
    tags=["check"],
):
    for source in SOURCES:
        check.override(task_id=f"check_{source}", owner=owner(source))(source)
