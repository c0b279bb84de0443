"""One DAG a source: each run lands one window of it in bronze.

A run owns its data interval. Running it again lands only what is new, so a run may be cleared at any time.
What comes late is brought by `sweep_sources`. Long ranges are backfilled there too: a run a day, not one an hour.
"""

from airflow.sdk import DAG

from dags.common import PERSISTENCE, SOURCES, START, cadence, every, ingest, last_start, owner

for source in SOURCES:
    with DAG(
        dag_id=f"ingest_{source}",
        description=f"Land {source} in bronze, one window a run",
        doc_md=__doc__,
        schedule=every(cadence(source)),
        start_date=START,
        end_date=last_start(source),
        catchup=False,
        max_active_runs=2,
        default_args={**PERSISTENCE, "owner": owner(source)},
        tags=["ingest", source],
    ):
        ingest(source)
