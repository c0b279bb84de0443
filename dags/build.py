"""From bronze to the published warehouse: `plan >> transform >> audit >> publish`.

It runs when batches arrive, and hourly in case an asset event was missed. If there is nothing to do, `plan` skips the rest.
Batches that fail a check of the audit are held, and the rest is published in the same run. If the accounts do not balance,
the run fails and the last good state stays published.

Batches that land while a build runs may not wake another one (apache/airflow#56050: at `max_active_runs=1`, asset
events can wait until an unrelated later one). So `look_again` checks for batches before the run ends, and `build_again`
triggers another run.

Publishing is an event of every gold table's asset, as `gold.daily_revenue`: schedule what reads a table on it.

Each run writes `control-room.html` in the home again. A page that cannot be written fails no run: the task's log says why.

Trigger it by hand, or from the control room, to rebuild a range of dates, or everything, from bronze. A rebuild needs a
reason, which is kept with the build together with the user who asked. With `engine` spark, [Spark](../docs/engines.md) runs
its models; runs that nobody triggered use CLEARWELL_ENGINE, or DuckDB if it is unset.
"""

from datetime import date
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param, TriggerRule, chain, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.common import (
    BRONZE,
    GOLD,
    PERSISTENCE,
    PLATFORM,
    SOURCES,
    START,
    WAREHOUSE_POOL,
    deadline,
    now,
    observed,
    promised,
    say,
)
from ingestion.errors import Permanent
from ingestion.window import parse_time
from warehouse.engines import DUCKDB, SPARK, default_engine

DAG_ID = "build_warehouse"


def _date(text: str | None) -> date | None:
    return parse_time(text).date() if text else None


@task
@observed()
def plan(params: dict[str, Any] | None = None, dag_run: Any = None) -> str:
    """Plan the next build and return its id; skip if there is nothing to do."""
    from ingestion.home import Home
    from operations import decide
    from warehouse import build

    asked = params or {}
    reason = decide.signed(asked["reason"] or "", dag_run.triggering_user_name)
    engine = asked.get("engine") or default_engine()
    request = build.Request(_date(asked["from"]), _date(asked["to"]), asked["full"], reason, engine=engine)
    if request.is_replay and not request.reason:
        raise Permanent("rebuilding a range or everything needs a reason", todo="trigger the DAG again with a `reason`")
    home = Home.from_environment()
    planned = build.plan(home, request, now(), say)
    if planned is None:
        raise AirflowSkipException("nothing to build: no new batches")
    say(f"build {planned.build_id}: {len(planned.entering)} batches enter, {len(planned.leaving)} leave")
    return planned.build_id


@task
@observed()
def transform(build_id: str) -> None:
    """Build the tables in the build's own file. The state and the published file do not change."""
    from ingestion.home import Home
    from warehouse import build

    build.transform(Home.from_environment(), build_id, say)


@task
@observed()
def audit(build_id: str) -> None:
    """Check the build. Batches that fail are held, and the rest is built again. Fail if the accounts do not balance."""
    from ingestion.home import Home
    from operations import control_room
    from warehouse import build

    home = Home.from_environment()
    try:
        build.audit(home, build_id, now(), say)
    except build.Refused:
        control_room.rewrite(home, now(), say)
        raise


@task(outlets=GOLD)
@observed()
def publish(build_id: str) -> None:
    """Apply the build to the state, and publish it."""
    from ingestion.home import Home
    from warehouse import build

    build.publish(Home.from_environment(), build_id, say)


# Also after a skipped plan: a batch may land between the plan and the end of the run.
@task.short_circuit(trigger_rule=TriggerRule.NONE_FAILED)
@observed()
def look_again() -> bool:
    """Write the control room, and return whether batches have landed since this run's plan."""
    from ingestion.home import Home
    from operations import control_room
    from warehouse import build

    home = Home.from_environment()
    control_room.rewrite(home, now(), say)  # also if nothing was built: its times are as of now
    return build.pending(home)


with DAG(
    dag_id=DAG_ID,
    description="Build, audit and publish new batches",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(assets=BRONZE, timetable=CronTriggerTimetable("30 * * * *", timezone="UTC")),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    deadline=deadline(min(map(promised, SOURCES)), PLATFORM),
    default_args={**PERSISTENCE, "owner": PLATFORM, "pool": WAREHOUSE_POOL},
    params={
        "from": Param(None, type=["null", "string"], format="date", description="First date to rebuild"),
        "to": Param(None, type=["null", "string"], format="date", description="End of the range, not included"),
        "full": Param(False, type="boolean", description="Rebuild everything from bronze"),
        "reason": Param(
            None,
            type=["null", "string"],
            description="Required for a range or a full rebuild: why. It is kept with the build",
        ),
        "engine": Param(
            default_engine(),
            type="string",
            enum=[DUCKDB, SPARK],
            description="What runs the models. Spark must be installed where the tasks run: `make spark`",
        ),
    },
    tags=["build"],
):
    planned: Any = plan()
    chain(
        planned,
        transform(planned),  # type: ignore[arg-type]
        audit(planned),  # type: ignore[arg-type]
        publish(planned),  # type: ignore[arg-type]
        look_again(),
        TriggerDagRunOperator(task_id="build_again", trigger_dag_id=DAG_ID, logical_date=None),
    )
