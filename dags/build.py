"""From bronze to the published warehouse: `plan >> transform >> audit >> publish`.

It runs when batches arrive, and hourly in case an asset event was missed. With nothing to do, `plan` skips the rest. What fails
a check of the audit is held, and the rest is published in the same run; accounts that do not balance fail the run, and leave
the last good state published.

Batches that land while a build runs may not wake another one (apache/airflow#56050: at `max_active_runs=1`, asset
events can wait until an unrelated later one). So `look_again` looks before the run ends, and `build_again` asks for
another.

Triggered by hand, it can build a range of dates, or everything, again from bronze; say why.
"""

from datetime import date
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param, TriggerRule, chain, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.common import BRONZE, PERSISTENCE, PLATFORM, START, WAREHOUSE_POOL, now
from ingestion.errors import Permanent
from ingestion.faults import named
from ingestion.window import parse_time

DAG_ID = "build_warehouse"


def _date(text: str | None) -> date | None:
    return parse_time(text).date() if text else None


@task
@named()
def plan(params: dict[str, Any] | None = None) -> str:
    """Write down the next build and return its id; skip when there is nothing to do."""
    from ingestion.home import Home
    from warehouse import build

    asked = params or {}
    request = build.Request(_date(asked["from"]), _date(asked["to"]), asked["full"], asked["reason"] or "")
    if request.is_replay and not request.reason:
        raise Permanent("building a range or everything again needs a reason", todo="trigger it again, and say why")
    planned = build.plan(Home.from_environment(), request, now(), print)
    if planned is None:
        raise AirflowSkipException("nothing to build: no new batches")
    print(f"build {planned.build_id}: {len(planned.entering)} batches enter, {len(planned.leaving)} leave")
    return planned.build_id


@task
@named()
def transform(build_id: str) -> None:
    """Build the tables aside."""
    from ingestion.home import Home
    from warehouse import build

    build.transform(Home.from_environment(), build_id, print)


@task
@named()
def audit(build_id: str) -> None:
    """Check what was built. What fails a check is held, and the rest built again; fail when the accounts do not balance."""
    from ingestion.home import Home
    from warehouse import build

    build.audit(Home.from_environment(), build_id, now(), print)


@task
@named()
def publish(build_id: str) -> None:
    """Apply the build to the state, and publish it."""
    from ingestion.home import Home
    from warehouse import build

    build.publish(Home.from_environment(), build_id, print)


# After a skipped plan too: a batch may land between that look and the end of the run.
@task.short_circuit(trigger_rule=TriggerRule.NONE_FAILED)
@named()
def look_again() -> bool:
    """Say whether batches landed while this run was busy."""
    from ingestion.home import Home
    from warehouse import build

    return build.pending(Home.from_environment())


with DAG(
    dag_id=DAG_ID,
    description="Build, audit and publish what is new in bronze",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(assets=BRONZE, timetable=CronTriggerTimetable("30 * * * *", timezone="UTC")),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args={**PERSISTENCE, "owner": PLATFORM, "pool": WAREHOUSE_POOL},
    params={
        "from": Param(None, type=["null", "string"], format="date", description="First date to build again"),
        "to": Param(None, type=["null", "string"], format="date", description="End of the range, not included"),
        "full": Param(False, type="boolean", description="Build everything again from bronze"),
        "reason": Param(
            None, type=["null", "string"], description="Why a range or everything is built again; kept with the build"
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
