"""Whole DAG runs in this process: what fails at once, what is retried, and that no batch is left unbuilt."""

import inspect
import json
import os
import sys
import traceback
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from psycopg.conninfo import conninfo_to_dict

from ingestion import sources
from ingestion.connections import find
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.home import Home
from ingestion.kinds import Problem
from ingestion.window import Window
from operations import control_room, ledger, notify
from warehouse import build
from warehouse.audit import Finding

NOON = datetime(2020, 11, 20, 12, 20, tzinfo=UTC)
HOUR = Window.parse("2020-11-20T12:00", "2020-11-20T13:00")
DAY = Window.parse("2020-11-20", "2020-11-21")
NOTHING = SimpleNamespace(records=0, new=frozenset(), waiting=(), manifests=(), messages=())


@pytest.fixture
def run(bag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a DAG to its end without pauses between tries; return its state, and each task's state and number of tries."""
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))

    def run_dag(
        dag_id: str, conf: dict | None = None, logical_date: datetime = NOON
    ) -> tuple[str, dict[str, tuple[str, int]]]:
        dag = bag.dags[dag_id]
        # `dag.test` ends with an error where a DAG has a deadline (apache/airflow#73428)
        monkeypatch.setattr(dag, "deadline", None)
        for task in dag.tasks:
            monkeypatch.setattr(task, "retry_delay", timedelta(0))
            monkeypatch.setattr(task, "max_retry_delay", timedelta(0))
        dag_run = dag.test(logical_date=logical_date, run_conf=conf)
        instances = dag_run.get_task_instances()
        return dag_run.state, {one.task_id: (one.state, one.try_number) for one in instances}

    return run_dag


def fail_with(error: Exception, times: int):
    """Return a stand-in for `ingest` that fails `times` times, and the list of windows it is called with."""
    windows: list[Window] = []

    def ingest(source, window, *_):
        windows.append(window)
        if len(windows) <= times:
            raise error
        return NOTHING

    return ingest, windows


@pytest.mark.parametrize(
    "error",
    [
        ValueError("ann.lee@shop.example"),
        duckdb.ConversionException("Conversion Error: Could not convert string 'ann.lee@shop.example' to INT32"),
        Permanent("the window is empty", todo="clearwell heal"),
    ],
)
def test_an_error_in_a_task_reaches_airflow_without_words_that_may_be_personal(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    from dags import common

    with pytest.raises(ClearwellError) as raised, common.observed():
        try:
            raise KeyError("ann.lee@shop.example")
        except KeyError:
            raise error  # noqa: B904
    told = "".join(traceback.format_exception(raised.value)) + capsys.readouterr().out
    assert "ann.lee@" not in told.replace('"ann.lee@shop.example"', "")  # this test's own lines are among the places
    if isinstance(error, Permanent):
        assert raised.value is error
    else:
        assert isinstance(raised.value, Transient) and type(error).__name__ in str(raised.value)
        assert "test_runs.py" in told


def test_what_is_permanent_fails_at_the_first_try(run, monkeypatch):
    ingest, windows = fail_with(Permanent("a poison batch"), times=9)
    monkeypatch.setattr(sources, "ingest", ingest)
    state, tasks = run("ingest_orders")
    assert (state, tasks) == ("failed", {"ingest": ("failed", 1)})
    assert len(windows) == 1


def test_a_database_down_twice_is_reached_at_the_third_try(run, monkeypatch):
    ingest, windows = fail_with(Transient("the shop database did not answer"), times=2)
    monkeypatch.setattr(sources, "ingest", ingest)
    state, tasks = run("ingest_orders")
    assert (state, tasks["ingest"][0]) == ("success", "success")
    assert windows == [HOUR] * 3


@pytest.mark.parametrize("moment", [HOUR.start, NOON, HOUR.end - timedelta.resolution])
def test_a_logical_date_owns_the_window_that_it_lies_in(run, monkeypatch, moment):
    ingest, windows = fail_with(Permanent("never"), times=0)
    monkeypatch.setattr(sources, "ingest", ingest)
    run("ingest_clickstream", logical_date=moment)
    assert windows == [HOUR]


def test_a_window_that_is_not_over_is_waited_for_and_one_to_come_is_refused(bag, monkeypatch):
    from airflow.sdk.exceptions import AirflowRescheduleException

    ingest = bag.dags["ingest_orders"].get_task("ingest").python_callable
    monkeypatch.setitem(inspect.unwrap(ingest).__globals__, "now", lambda: NOON)
    with pytest.raises(AirflowRescheduleException) as caught:
        ingest("orders", HOUR.start, None)
    assert caught.value.reschedule_date == HOUR.end
    with pytest.raises(Permanent, match="has not begun"):
        ingest("orders", HOUR.end, None)
    with pytest.raises(Permanent, match="no logical date"):
        ingest("orders", None, None)


@pytest.mark.parametrize("dag_id", ["ingest_orders", "sweep_sources"])
@pytest.mark.parametrize(("run_type", "looks"), [("scheduled", True), ("manual", False), ("backfill", False)])
def test_a_run_of_the_schedule_lands_what_was_missed_before_its_window(bag, monkeypatch, dag_id, run_type, looks):
    done: list[datetime] = []
    monkeypatch.setattr(sources, "ingest", lambda *_: NOTHING)
    monkeypatch.setattr(sources, "sweep", lambda *_, **__: NOTHING)
    monkeypatch.setattr(sources, "catch_up", lambda source, until, *_: done.append(until))
    task = next(one for one in bag.dags[dag_id].tasks if one.task_id in ("ingest", "sweep_orders"))
    task.python_callable("orders", NOON, SimpleNamespace(run_type=run_type))
    owned = HOUR if dag_id == "ingest_orders" else DAY
    assert done == ([owned.start] if looks else [])


def test_a_sweep_lands_and_counts_the_day_of_every_source(run, monkeypatch):
    done: list[tuple[str, str, Window, bool]] = []

    def sweep(name, owned, *_, is_backfill):
        done.append(("sweep", name, owned, is_backfill))
        return NOTHING

    monkeypatch.setattr(sources, "sweep", sweep)
    monkeypatch.setattr(ledger, "check", lambda home: done.append(("recount", "", DAY, False)))
    state, _ = run("sweep_sources")
    assert state == "success"
    expected = {("sweep", name, DAY, False) for name in ("orders", "clickstream", "exchange_rates")}
    assert set(done) == {*expected, ("recount", "", DAY, False)}
    assert done[-1][0] == "recount"


def test_a_ledger_that_does_not_balance_fails_the_sweep(run, monkeypatch):
    monkeypatch.setattr(sources, "sweep", lambda *_, **__: NOTHING)
    monkeypatch.setattr(ledger, "recount", lambda home: ([{"dataset": "orders"}], False))
    state, tasks = run("sweep_sources")
    assert (state, tasks["recount_ledger"]) == ("failed", ("failed", 1))


@dataclass
class Warehouse:
    """Stand-in for `warehouse.build`: hold the waiting batches, and record what is built."""

    waiting: list[str]
    lands_during_audit: str = ""
    refuses: bool = False
    requests: list[build.Request] = field(default_factory=list)
    entering: list[str] = field(default_factory=list)
    published: list[str] = field(default_factory=list)

    def plan(self, home, request, now, report):
        self.requests.append(request)
        self.entering = list(self.waiting)
        return SimpleNamespace(build_id="build-1", entering=self.entering, leaving=()) if self.entering else None

    def transform(self, home, build_id, report):
        assert build_id == "build-1"

    def audit(self, home, build_id, now, report):
        if self.lands_during_audit:
            self.waiting.append(self.lands_during_audit)
        if self.refuses:
            raise build.Refused(build.Verdict(build_id, (Finding("a check", "fail", 1, "", "[]", "stopped"),)))
        return SimpleNamespace(findings=(), warnings=())

    def publish(self, home, build_id, report):
        self.published += self.entering
        self.waiting = [one for one in self.waiting if one not in self.entering]

    def pending(self, home):
        return bool(self.waiting)


@pytest.fixture
def stand_in(monkeypatch):
    def put(warehouse: Warehouse) -> Warehouse:
        for name in ("plan", "transform", "audit", "publish", "pending"):
            monkeypatch.setattr(build, name, getattr(warehouse, name))
        return warehouse

    return put


# every parameter is given: within one process, a run would otherwise see those of the run before
NEW = {"from": None, "to": None, "full": False, "reason": None}


def states(tasks: dict[str, tuple[str, int]]) -> dict[str, str]:
    return {task_id: state for task_id, (state, _) in tasks.items()}


def test_new_batches_are_built_and_published_once(run, stand_in):
    warehouse = stand_in(Warehouse(["a", "b"]))
    state, tasks = run("build_warehouse")
    assert state == "success"
    assert warehouse.published == ["a", "b"]
    assert states(tasks)["build_again"] == "skipped"


def test_with_nothing_new_the_build_is_skipped(run, stand_in):
    warehouse = stand_in(Warehouse([]))
    state, tasks = run("build_warehouse")
    assert state == "success"
    assert warehouse.published == []
    assert {states(tasks)[name] for name in ("plan", "transform", "audit", "publish", "build_again")} == {"skipped"}
    assert states(tasks)["look_again"] == "success"


def test_batches_that_land_while_a_build_runs_are_not_left_behind(run, stand_in):
    from airflow.models.dagrun import DagRun
    from airflow.settings import Session

    warehouse = stand_in(Warehouse(["early"], lands_during_audit="late"))
    before = {one.run_id for one in DagRun.find(dag_id="build_warehouse", session=Session())}
    state, tasks = run("build_warehouse")
    assert state == "success"
    assert (warehouse.published, warehouse.waiting) == (["early"], ["late"])
    assert states(tasks)["build_again"] == "success"
    asked = [one for one in DagRun.find(dag_id="build_warehouse", session=Session()) if one.run_id not in before]
    assert [one.state for one in asked if one.logical_date is None] == ["queued"]


def test_a_refused_build_is_not_published_nor_tried_again(run, stand_in):
    warehouse = stand_in(Warehouse(["a"], refuses=True))
    state, tasks = run("build_warehouse")
    assert state == "failed"
    assert tasks["audit"] == ("failed", 1)
    assert warehouse.published == []
    assert {states(tasks)[name] for name in ("publish", "look_again", "build_again")} == {"upstream_failed"}


def test_each_build_writes_the_control_room_once_however_it_ends(run, stand_in, monkeypatch):
    for warehouse, published in (
        (Warehouse(["a"]), ["a"]),
        (Warehouse([]), []),
        (Warehouse(["a"], refuses=True), []),
    ):
        written: list[list[str]] = []
        stand_in(warehouse)
        monkeypatch.setattr(
            control_room, "rewrite", lambda home, now, report, one=warehouse, to=written: to.append(list(one.published))
        )
        run("build_warehouse", NEW)
        assert written == [published]


def test_a_range_asked_by_hand_reaches_the_plan(run, stand_in):
    warehouse = stand_in(Warehouse([]))
    run("build_warehouse", {"from": "2026-11-01", "to": "2026-11-03", "reason": "a mended contract"})
    assert warehouse.requests == [
        build.Request(date(2026, 11, 1), date(2026, 11, 3), full=False, reason="a mended contract (asked by dag_test)")
    ]


@pytest.mark.parametrize("asked", [{"full": True}, {"from": "2026-11-01", "to": "2026-11-03"}])
def test_what_is_built_again_has_a_reason_and_what_is_new_needs_none(run, stand_in, asked):
    warehouse = stand_in(Warehouse([]))
    assert run("build_warehouse", NEW)[0] == "success"
    state, tasks = run("build_warehouse", NEW | asked)
    assert (state, tasks["plan"]) == ("failed", ("failed", 1))
    assert len(warehouse.requests) == 1


def test_a_form_asks_for_nothing_that_is_not_needed(bag):
    """Airflow's form cannot be submitted while a parameter that may not be null is empty."""
    params = bag.dags["build_warehouse"].params
    assert all("null" in params.get_param(name).schema["type"] for name in ("from", "to", "reason"))


def test_a_check_fails_with_the_first_problem_of_its_source_and_at_once(run, monkeypatch):
    found = [Problem("orders", "orders", "has no column x", todo="correct it"), Problem("orders", "", "hangs")]
    monkeypatch.setattr(sources, "check", lambda source, _home: found if source == "orders" else [])
    state, tasks = run("check_sources")
    assert state == "failed"
    assert tasks == {
        "check_orders": ("failed", 1),
        "check_clickstream": ("success", 1),
        "check_exchange_rates": ("success", 1),
    }


def test_a_run_has_the_connections_of_its_source_and_nothing_has_them_afterwards(bag, run, monkeypatch):
    """The Connection lies in Airflow's own database, as the UI puts it there."""
    from airflow.models import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(Connection(conn_id="erp", uri="postgres://me:p%40ss@db.example:5433/erp?sslmode=require"))
    seen: list[dict[str, object]] = []

    def ingest(*_):
        seen.append(conninfo_to_dict(find("erp", Home(Path("x"), Path("x"))).url))
        return NOTHING

    task = bag.dags["ingest_orders"].get_task("ingest").python_callable
    names = inspect.unwrap(task).__globals__
    monkeypatch.setattr(sources, "ingest", ingest)
    monkeypatch.setitem(names["connections"].__wrapped__.__globals__, "needed", lambda _contracts: ("erp", "gone"))
    state, _ = run("ingest_orders")
    assert state == "success"
    assert seen == [
        {"host": "db.example", "port": "5433", "user": "me", "password": "p@ss", "dbname": "erp", "sslmode": "require"}
    ]
    assert not [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Return what the only endpoint got: each message's title and text."""
    got: list[tuple[str, str]] = []

    class Box:
        id, name = "box", "endpoint 1 (test)"

        def send(self, message):
            got.append((message.title, message.body))
            return ""

    monkeypatch.setattr(notify, "endpoints", lambda report: [Box()])
    return got


def test_a_task_that_fails_for_good_is_told_with_its_owner_and_what_to_type(run, monkeypatch, told):
    ingest, _ = fail_with(Permanent("a poison batch", where="orders", todo="clearwell sources check"), times=1)
    monkeypatch.setattr(sources, "ingest", ingest)
    state, _ = run("ingest_orders")
    assert state == "failed" and len(told) == 1
    title, body = told[0]
    assert title == "Clearwell alert: task failed: ingest_orders.ingest"
    for said in ("a poison batch (orders)", "Owner: shop-team", "Next: clearwell sources check", "#task_failed"):
        assert said in body
    # the next run succeeds
    state, _ = run("ingest_orders", logical_date=NOON + timedelta(hours=1))
    assert state == "success" and [one for one, _ in told[1:]] == ["Clearwell over: task failed: ingest_orders.ingest"]


def test_a_task_that_is_retried_is_not_told(run, monkeypatch, told):
    ingest, _ = fail_with(Transient("the shop database did not answer"), times=2)
    monkeypatch.setattr(sources, "ingest", ingest)
    assert run("ingest_orders")[0] == "success" and told == []


def test_alerts_that_cannot_be_sent_do_not_hide_the_error_of_the_task(run, monkeypatch, capfd):
    def broken(report):
        raise RuntimeError("s3cretT0ken")

    ingest, windows = fail_with(Permanent("a poison batch"), times=9)
    monkeypatch.setattr(sources, "ingest", ingest)
    monkeypatch.setattr(notify, "endpoints", broken)
    state, tasks = run("ingest_orders")
    assert (state, tasks, len(windows)) == ("failed", {"ingest": ("failed", 1)}, 1)
    printed = capfd.readouterr()
    assert "no alert could be sent: RuntimeError" in printed.out and "s3cret" not in printed.out + printed.err


def test_alerts_whose_modules_cannot_be_imported_hide_no_error_either(monkeypatch, capfd):
    import operations
    from dags import common

    monkeypatch.delattr(operations, "runs", raising=False)
    monkeypatch.setitem(sys.modules, "operations.runs", None)
    ti = SimpleNamespace(dag_id="ingest_orders", task_id="ingest", run_id="r")
    for tell in (common.tell_failure, common.tell_success):
        tell({"ti": ti, "task": SimpleNamespace(owner="me"), "exception": ValueError("s3cret")})
    common.tell_deadline({"dag_run": {"run_type": "scheduled", "dag_id": "ingest_orders", "dag_run_id": "r"}}, "me")
    assert capfd.readouterr().out.count("no alert could be sent: ModuleNotFoundError") == 3


def test_a_publish_tells_what_its_checks_found(run, stand_in, monkeypatch, told):
    from operations import runs

    monkeypatch.setattr(runs, "published", lambda home, now, owner, *_: told.append(("published", owner)))
    stand_in(Warehouse(["a"]))
    assert run("build_warehouse", {"from": None, "to": None, "full": False, "reason": None})[0] == "success"
    assert told == [("published", "data-platform")]


@pytest.mark.parametrize(("run_type", "is_told"), [("scheduled", True), ("asset_triggered", True), ("backfill", False)])
def test_a_missed_deadline_is_told_of_scheduled_runs(tmp_path, monkeypatch, told, run_type, is_told):
    """Called as Airflow does it: with the run as JSON, and by the path that was kept in the database."""
    from importlib import import_module

    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    missed = {"dag_run": {"dag_id": "ingest_orders", "dag_run_id": "r1", "run_type": run_type}, "deadline": {}}
    import_module("dags.common").tell_deadline(context=missed, owner="shop-team")
    assert [title for title, _ in told] == ["Clearwell alert: deadline: ingest_orders"] * is_told


def test_each_line_of_a_task_has_the_ids_of_its_run(run, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from ingestion import log

    def landing(source, window, home, landed_at, report):
        report("orders 2020-11-20: 3 records")
        log.event("batch landed", batch_id="b1")
        return NOTHING

    monkeypatch.setattr(sources, "ingest", landing)
    monkeypatch.setenv("CLEARWELL_LOG", "json")
    try:
        assert run("ingest_orders")[0] == "success"
    finally:
        log.tear_down()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    said = {line["event"]: line for line in lines}
    assert said["orders 2020-11-20: 3 records"]["run_id"] == said["batch landed"]["run_id"]
    assert said["batch landed"]["batch_id"] == "b1"
    for line in said.values():
        assert (line["dag_id"], line["task_id"], line["try_number"]) == ("ingest_orders", "ingest", "1")
        assert line["dag_run_id"] and line["level"] == "info" and line["time"]
