"""When the time of a DAG's run begins to count. Airflow finds the class through the plugin, in each process that reads a DAG."""

from datetime import datetime
from typing import Any

from airflow.sdk.definitions.deadline import BaseDeadlineReference


class FirstQueuedAt(BaseDeadlineReference):
    """When a run was queued for the first time.

    With Airflow's own `DAGRUN_QUEUED_AT`, its API and UI cannot clear a run or task before the deadline is over: from 3.3.0 on
    they answer with an error (https://github.com/apache/airflow/issues/70368). A cleared run keeps its deadline here.
    """

    required_kwargs = frozenset({"dag_id", "run_id"})

    def _evaluate_with(self, *, session: Any, dag_id: str, run_id: str) -> datetime | None:
        from airflow.models import DagRun
        from sqlalchemy import select

        found: datetime | None = session.scalar(
            select(DagRun.queued_at).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        )
        return found
