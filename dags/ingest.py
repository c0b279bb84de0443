"""One DAG per source: each run lands one window of it in bronze.

A run owns the window that contains its logical date, also if it is triggered by hand: for 05:00, or 05:20, it lands 05:00 to
06:00, once that is over. Running it again lands only new data, so a run may be cleared at any time. A scheduled run also lands
windows that were missed in the two weeks before, as when the scheduler was off.

`sweep_sources` lands late data. Use it to backfill long ranges too: it has one run per day instead of one per hour.
"""

from airflow.sdk import DAG

from dags.common import (
    CONTRACTS,
    PERSISTENCE,
    SOURCES,
    START,
    about,
    cadence,
    deadline,
    every,
    ingest,
    last_start,
    outlets,
    owner,
    promised,
)

for source in SOURCES:
    with DAG(
        dag_id=f"ingest_{source}",
        description=f"Land {source} in bronze, one window per run",
        doc_md=f"{__doc__}\n{about(source)}",
        schedule=every(cadence(source)),
        start_date=START,
        end_date=last_start(source),
        catchup=False,
        max_active_runs=2,
        deadline=deadline(promised(source), owner(source)),
        default_args={**PERSISTENCE, "owner": owner(source)},
        tags=["ingest", source, *{one.kind for one in CONTRACTS.values() if one.source == source and one.kind}],
    ):
        ingest.override(outlets=outlets(source))(source)
