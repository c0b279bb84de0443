"""What is not counted when a DAG file is parsed: all that it imports of Airflow, and nothing else."""

from bench.parsing import imported_from_airflow


def test_imports_from_airflow_are_found() -> None:
    source = "from datetime import date\nfrom airflow.sdk import DAG, task\nfrom dags.common import START\nfrom airflowish import x"
    assert imported_from_airflow(source) == {("airflow.sdk", "DAG"), ("airflow.sdk", "task")}
