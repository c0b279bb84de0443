"""Retract a batch, discard or resubmit dead letters, or accept a finding; then build.

The control room in Airflow's UI triggers it with what a person asks for. Triggered by hand, it takes the same parameters. The
decision is kept with the reason and the user who triggered the run, and the build that carries it out says both. Trying a run
again makes no second decision. The commands `clearwell batches retract`, `dead-letters discard`, `dead-letters resubmit` and
`builds accept` do the same by hand.
"""

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param, task

from dags.common import PERSISTENCE, PLATFORM, START, observed


@task
@observed()
def carry_out(params: dict[str, Any] | None = None, dag_run: Any = None) -> None:
    """Make the decision."""
    from ingestion.home import Home
    from operations import decide

    given = params or {}
    asked = decide.Asked(given["action"], given["about"], given["dataset"] or "")
    # The time of the run and not of the try: trying again must not decide again.
    by = decide.By(dag_run.triggering_user_name or "unknown", dag_run.run_after, given["reason"])
    decide.carry_out(Home.from_environment(), asked, by)


with DAG(
    dag_id="decide",
    description="Retract a batch, discard or resubmit dead letters, or accept a finding",
    doc_md=__doc__,
    schedule=None,
    start_date=START,
    catchup=False,
    # It runs only when a person asks for it.
    is_paused_upon_creation=False,
    max_active_runs=1,
    default_args={**PERSISTENCE, "owner": PLATFORM},
    params={
        "action": Param(
            "accept", type="string", enum=["retract", "discard", "resubmit", "accept"], description="What to do"
        ),
        "about": Param(
            "",
            type="string",
            description="The batch to retract, the finding to accept, the reason of the dead letters to discard, or the name that an "
            "uploaded file got from the control room",
        ),
        "dataset": Param(None, type=["null", "string"], description="The dataset of the dead letters to discard"),
        "reason": Param("", type="string", description="Required: why. It is kept with the decision"),
    },
    tags=["decide"],
):
    carry_out() >> TriggerDagRunOperator(task_id="build", trigger_dag_id="build_warehouse", logical_date=None)
