"""End runs that a test asked for, where no scheduler runs that would."""

from typing import Any


def end(found: list[Any]) -> None:
    """Let runs have succeeded: the same may be asked for again, by the next test or module."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.run_id.in_([one.run_id for one in found])).values(state="success"))
