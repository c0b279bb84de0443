"""One DAG a source: each run lands one window of it in bronze.

A run owns the window that its logical date lies in, whoever makes it: triggered for 05:00, or 05:20, it lands 05:00 to 06:00, once
that is over. Running it again lands only what is new, so a run may be cleared at any time. A run of the schedule also lands what was
missed in the two weeks before its window, as after a scheduler that was off.

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
