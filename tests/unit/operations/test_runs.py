"""What Airflow's runs tell: failures and missed deadlines, what to type, and that they are over; no text that may be personal."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from operations import alerts, runs
from tests.unit.operations.test_alerts import Inbox
from tests.unit.operations.test_watch import OPS
from warehouse.audit import Finding, Refused, Verdict

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TASK = ("ingest_orders", "ingest")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path)


def fail(home: Home, error: BaseException | None, box: Inbox, hour: int = 0) -> str:
    runs.failed(home, NOON + timedelta(hours=hour), TASK, "shop-team", "run-1", error, [box], print)
    return box.got[-1].body


@pytest.mark.parametrize(
    ("error", "what", "todo"),
    [
        (Permanent("the disk is full", where="staging", todo="free space"), "the disk is full (staging)", "free space"),
        (Transient("the connection was cut", todo="again"), "the connection was cut after all retries", "again"),
        (ValueError("jo@example.com"), "ValueError, which its log has in full", "read the task's log"),
        (None, "its process ended without an error", "read the task's log"),
    ],
)
def test_a_failed_task_says_what_and_what_to_type(home: Home, error: BaseException, what: str, todo: str) -> None:
    body = fail(home, error, Inbox())
    assert f"the task ingest of ingest_orders failed: {what}" in body and f"Next: {todo}" in body
    assert "Owner: shop-team" in body and "run: run-1" in body and "#task_failed" in body
    assert "jo@example.com" not in body


def test_a_refused_build_names_its_checks_and_no_rows(home: Home) -> None:
    verdict = Verdict("b1", (Finding("dates_balance", "fail", 2, "", '[{"email": "jo@example.com"}]', "stopped"),))
    body = fail(home, Refused(verdict), Inbox())
    assert "build b1 is refused by dates_balance (2 rows)" in body and "clearwell builds show b1" in body
    assert "jo@example.com" not in body


def test_a_failure_is_told_once_and_is_over_when_the_task_succeeds(home: Home) -> None:
    box = Inbox()
    for hour in range(4):
        fail(home, ValueError(), box, hour)
    other = ("ingest_orders", "other")
    runs.succeeded(home, NOON + timedelta(hours=5), other, "shop-team", [box], print)
    assert len(box.got) == 1
    for hour in (6, 7):
        runs.succeeded(home, NOON + timedelta(hours=hour), TASK, "shop-team", [box], print)
    assert box.titles() == ["alert: task failed: ingest_orders.ingest", "over: task failed: ingest_orders.ingest"]


def test_a_success_with_nothing_to_tell_writes_nothing(home: Home) -> None:
    runs.succeeded(home, NOON, TASK, "shop-team", [Inbox()], print)
    assert list(home.root.iterdir()) == []


def test_a_late_run_is_told_and_is_over_when_its_dag_succeeds(home: Home) -> None:
    box = Inbox()
    runs.late(home, NOON, "ingest_orders", "shop-team", "run-1", [box], print)
    runs.succeeded(home, NOON, TASK, "shop-team", [box], print)
    assert box.titles() == ["alert: deadline: ingest_orders", "over: deadline: ingest_orders"]


def test_findings_of_a_build_are_told_when_it_is_published(home: Home) -> None:
    box = Inbox()
    runs.published(home, NOON, "data-platform", [box], print)
    assert box.got == []
    home.published.parent.mkdir()
    with duckdb.connect(str(home.published)) as connection:
        connection.execute(OPS)
    runs.published(home, NOON, "data-platform", [box], print)
    assert box.titles() == ["alert: held: orders", "alert: unusual: orders", "alert: finding: is_odd"]
    with duckdb.connect(str(home.published)) as connection:
        connection.execute("update ops.findings set result = 'pass'")
        connection.execute("delete from ops.held; delete from ops.anomalies")
    runs.published(home, NOON, "data-platform", [box], print)
    assert sorted(box.titles()[3:]) == ["over: finding: is_odd", "over: held: orders", "over: unusual: orders"]
    assert alerts.read(home) == []
