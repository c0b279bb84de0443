"""What the DAGs declare: ids, tasks, windows, retries, pools, owners, docs."""

import ast
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ingestion.contract import read_contracts
from ingestion.kinds import KINDS
from ingestion.table_settings import Table
from warehouse import lineage

TASKS = {
    "ingest_orders": ["ingest"],
    "ingest_clickstream": ["ingest"],
    "ingest_exchange_rates": ["ingest"],
    "sweep_sources": [
        "sweep_orders",
        "sweep_clickstream",
        "sweep_exchange_rates",
        "recount_ledger",
    ],
    "build_warehouse": ["plan", "transform", "audit", "publish", "look_again", "build_again"],
    "maintain": ["remove_leftovers", "write_docs"],
    "check_sources": ["check_orders", "check_clickstream", "check_exchange_rates"],
    "decide": ["carry_out", "build"],
}
WINDOWS = {
    "ingest_orders": timedelta(hours=1),
    "ingest_clickstream": timedelta(hours=1),
    "ingest_exchange_rates": timedelta(days=1),
    "sweep_sources": timedelta(days=1),
    "maintain": timedelta(days=1),
}


def test_these_dags_and_no_others(bag):
    assert set(bag.dags) == set(TASKS)


@pytest.mark.parametrize("dag_id", TASKS)
def test_tasks(bag, dag_id):
    assert sorted(bag.dags[dag_id].task_ids) == sorted(TASKS[dag_id])


@pytest.mark.parametrize(("dag_id", "length"), WINDOWS.items())
def test_a_run_owns_a_whole_window(bag, dag_id, length):
    """A bare cron string would give zero-length windows, which ingest nothing."""
    import pendulum
    from airflow.serialization.encoders import coerce_to_core_timetable

    moment = pendulum.datetime(2026, 11, 20, 5, 17)
    timetable = coerce_to_core_timetable(bag.dags[dag_id].timetable)
    owned = timetable.infer_manual_data_interval(run_after=moment)
    assert owned.end - owned.start == length
    assert owned.end <= moment
    assert owned.start.minute == owned.start.second == 0
    assert length == timedelta(hours=1) or owned.start.hour == 0


@pytest.mark.parametrize("dag_id", ["ingest_orders", "ingest_clickstream", "ingest_exchange_rates"])
def test_cadence_is_the_contracts(dag_id):
    contracts = read_contracts().values()
    assert {one.cadence for one in contracts if f"ingest_{one.source}" == dag_id} == {WINDOWS[dag_id]}


@pytest.mark.parametrize("dag_id", TASKS)
def test_no_catchup_and_few_runs_at_a_time(bag, dag_id):
    assert not bag.dags[dag_id].catchup
    alone = ("build_warehouse", "maintain", "check_sources", "decide")
    assert bag.dags[dag_id].max_active_runs == (1 if dag_id in alone else 2)


def test_a_check_has_no_schedule_and_answers_at_once(bag):
    dag = bag.dags["check_sources"]
    assert not dag.timetable.can_be_scheduled
    assert {task.retries for task in dag.tasks} == {0}


@pytest.mark.parametrize("dag_id", [one for one in TASKS if one != "check_sources"])
def test_tasks_try_again_with_growing_pauses(bag, dag_id):
    for task in bag.dags[dag_id].tasks:
        assert task.retries == 3
        assert task.retry_exponential_backoff > 1
        assert task.max_retry_delay
        assert task.execution_timeout
        assert task.has_retry_policy


def test_one_task_at_a_time_holds_the_warehouse(bag):
    assert {task.pool for task in bag.dags["build_warehouse"].tasks} == {"warehouse"}
    assert bag.dags["sweep_sources"].get_task("recount_ledger").pool == "warehouse"
    assert bag.dags["maintain"].get_task("remove_leftovers").pool == "warehouse"


def test_the_warehouse_is_built_in_order(bag):
    order = bag.dags["build_warehouse"].topological_sort()
    assert [task.task_id for task in order] == TASKS["build_warehouse"]


def test_the_engine_of_a_build_is_a_parameter(bag, monkeypatch, tmp_path):
    from types import SimpleNamespace

    from ingestion.errors import Permanent

    dag = bag.dags["build_warehouse"]
    engine = dag.params.get_param("engine")
    assert (engine.value, engine.schema["enum"]) == ("duckdb", ["duckdb", "spark"])
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    monkeypatch.setenv("CLEARWELL_SPARK_VENV", str(tmp_path))
    asked = {"from": None, "to": None, "full": False, "reason": None, "engine": "spark"}
    with pytest.raises(Permanent, match=r"Spark is not installed.*make spark.*or choose the engine duckdb"):
        dag.get_task("plan").python_callable(params=asked, dag_run=SimpleNamespace(triggering_user_name=None))


def test_every_source_is_swept_before_the_recount(bag):
    dag = bag.dags["sweep_sources"]
    for source in ("orders", "clickstream", "exchange_rates"):
        assert dag.get_task(f"sweep_{source}").downstream_task_ids == {"recount_ledger"}


def test_what_lands_wakes_the_build(bag):
    landing = [task for dag in bag.dags.values() for task in dag.tasks if task.task_id.startswith(("ingest", "sweep"))]
    assert len(landing) == 6
    assert all(task.outlets[0].name == "bronze" for task in landing)
    assert bag.dags["build_warehouse"].timetable.asset_condition.name == "bronze"


def test_assets_are_named_as_the_tables(bag):
    orders = bag.dags["ingest_orders"].get_task("ingest").outlets
    assert {one.name for one in orders[1:]} == {
        f"bronze.{name}" for name in ("orders", "order_items", "customers", "products")
    }
    swept = bag.dags["sweep_sources"].get_task("sweep_clickstream").outlets
    assert [one.name for one in swept] == ["bronze", "bronze.clickstream"]
    published = {one.name for one in bag.dags["build_warehouse"].get_task("publish").outlets}
    assert "gold.daily_revenue" in published and len(published) == len(lineage.gold_tables())


def test_owners_are_the_contracts(bag):
    contracts = read_contracts()
    for source in ("orders", "clickstream"):
        assert bag.dags[f"ingest_{source}"].owner == contracts[source].owner
        assert bag.dags["sweep_sources"].get_task(f"sweep_{source}").owner == contracts[source].owner


@pytest.mark.parametrize("dag_id", TASKS)
def test_dags_explain_themselves(bag, dag_id):
    dag = bag.dags[dag_id]
    assert dag.doc_md and dag.description and dag.tags
    for name, param in dag.params.items():
        assert dag.params.get_param(name).description, param


def test_only_dags_import_airflow():
    """Look for imports of Airflow itself, not of `operations.airflow`, which drives it from outside."""
    repository = Path(__file__).resolve().parents[2]
    for package in ("ingestion", "warehouse", "operations"):
        for path in (repository / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module or ""]
                assert not [name for name in names if name.split(".")[0] == "airflow"], path


def test_a_source_that_is_off_has_no_dag_and_one_that_has_ended_no_new_runs(airflow_home, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("CLEARWELL_SOURCES", "orders until 2011-12-10, exchange_rates")
    monkeypatch.delitem(sys.modules, "dags.common", raising=False)
    found = DagBag(str(Path(__file__).resolve().parents[2] / "dags"))
    assert not found.import_errors
    assert set(found.dags) == set(TASKS) - {"ingest_clickstream"}
    for dag_id in ("sweep_sources", "check_sources"):
        assert not [name for name in found.dags[dag_id].task_ids if "clickstream" in name]
    assert found.dags["ingest_orders"].end_date.isoformat() == "2011-12-09T23:59:59.999999+00:00"
    assert found.dags["ingest_exchange_rates"].end_date is None


def test_every_task_of_ours_tells_the_faults_of_the_machine(bag):
    """A full disk must reach Airflow as a permanent error, or the task is retried for nothing; see ingestion/faults.py."""
    import inspect

    from dags import common

    for task in (task for dag in bag.dags.values() for task in dag.tasks):
        if function := getattr(task, "python_callable", None):
            assert function.__wrapped__, task.task_id
            assert common.observed.__name__ in inspect.getsource(function), task.task_id


def test_parsing_the_dag_files_loads_none_of_the_libraries_that_only_tasks_use():
    """Airflow parses each file again and again."""
    code = """
import importlib, pathlib, sys
for path in pathlib.Path("dags").glob("*.py"):
    importlib.import_module(f"dags.{path.stem}")
loaded = {"duckdb", "pyarrow", "pandas", "dbt", "great_expectations"} & sys.modules.keys()
assert not loaded, loaded
"""
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300, cwd=root)


def test_a_task_on_a_full_disk_fails_for_good(bag, monkeypatch):
    import errno
    import os

    from ingestion.errors import Permanent
    from warehouse import build

    def pending(home):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "staging")

    monkeypatch.setattr(build, "pending", pending)
    with pytest.raises(Permanent, match="the disk is full"):
        bag.dags["build_warehouse"].get_task("look_again").python_callable()


def test_the_page_of_a_source_says_what_it_lands(bag):
    page = bag.dags["ingest_orders"].doc_md
    assert "| order_items | 1 hour | 2 days | shop-team |" in page and "kind `table`" in page
    assert "docs/files.md" in bag.dags["ingest_clickstream"].doc_md


def test_a_table_that_is_read_whole_says_that_it_cannot_go_back(monkeypatch):
    from dags import common

    whole = replace(common.CONTRACTS["products"], kind="table", settings=Table("erp", ("products",)))
    monkeypatch.setattr(common, "CONTRACTS", {"products": whole})
    assert "A backfill cannot go back in products" in common.about("orders")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_source_has_a_page(kind):
    assert (Path(__file__).parents[2] / KINDS[kind].page).is_file()


@pytest.mark.parametrize("dag_id", TASKS)
def test_every_task_tells_people_when_it_fails_and_when_that_is_over(bag, dag_id):
    for task in bag.dags[dag_id].tasks:
        assert [one.__name__ for one in task.on_failure_callback] == ["tell_failure"]
        assert [one.__name__ for one in task.on_success_callback] == ["tell_success"]


@pytest.mark.parametrize(
    ("dag_id", "limit"),
    [
        ("ingest_orders", timedelta(hours=3)),
        ("ingest_clickstream", timedelta(hours=3)),
        ("ingest_exchange_rates", timedelta(days=1)),
        ("build_warehouse", timedelta(hours=3)),
        ("sweep_sources", timedelta(days=1)),
        ("maintain", timedelta(days=1)),
    ],
)
def test_scheduled_dags_have_the_deadline_of_the_service_level(bag, dag_id, limit):
    (deadline,) = bag.dags[dag_id].deadline
    assert deadline.interval == limit
    assert deadline.callback.path == "dags.common.tell_deadline"
    assert deadline.callback.kwargs == {"owner": bag.dags[dag_id].tasks[0].owner}


def test_a_deadline_counts_from_when_its_run_is_first_queued_if_the_plugin_can_tell_airflow(monkeypatch, tmp_path):
    from airflow.plugins_manager import get_deadline_references_plugins
    from airflow.sdk.definitions.deadline import DeadlineReference

    from dags.common import deadline

    own = deadline(timedelta(hours=1), "somebody").reference
    assert get_deadline_references_plugins() == {"dags.deadlines.FirstQueuedAt": type(own)}
    monkeypatch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", str(tmp_path))
    assert deadline(timedelta(hours=1), "somebody").reference is DeadlineReference.DAGRUN_QUEUED_AT


def test_a_deadline_survives_the_way_to_the_scheduler(bag):
    """The scheduler reads DAGs from the database: what cannot be serialized would never be told."""
    from airflow.serialization.serialized_objects import DagSerialization

    found = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(bag.dags["ingest_orders"]))
    assert "dags.common.tell_deadline" in str(found.deadline)
