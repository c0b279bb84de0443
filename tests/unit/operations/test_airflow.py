"""What is asked of Airflow, and whose run a run is: pure, so tested without one."""

import json
from datetime import date
from pathlib import Path

import pytest

from ingestion.home import Home
from operations import airflow


def test_a_backfill_asks_for_a_half_open_range_in_airflows_closed_one() -> None:
    asked = airflow.backfill_request("sweep_sources", date(2026, 1, 1), date(2026, 1, 3))
    assert (asked["from_date"], asked["to_date"]) == ("2026-01-01T00:00:00Z", "2026-01-02T23:59:59Z")


def test_the_schedules_own_run_after_midnight_is_not_waited_on() -> None:
    def is_ours(logical_date: str | None) -> bool:
        return airflow.starts_before({"logical_date": logical_date}, date(2026, 1, 3))

    assert is_ours("2026-01-02T23:00:00Z") and is_ours(None)
    assert not is_ours("2026-01-03T00:00:00Z")


def test_a_command_of_airflow_is_typed_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "airflow"
    fake.write_text(f"#!/bin/sh\necho x >> {tmp_path}/typed\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr(airflow, "_bin", lambda: tmp_path)
    monkeypatch.setattr(airflow, "_running", lambda home: airflow.Running(1, {}))
    monkeypatch.setattr(airflow, "_database", lambda home: "postgresql+psycopg://here")
    assert airflow.command(Home(tmp_path, tmp_path), ["dags", "list"]) == 3
    assert (tmp_path / "typed").read_text() == "x\n"


@pytest.mark.parametrize("last", [["--to-date", "2026-01-02"], ["--to-date=2026-01-02"]])
def test_the_last_day_of_a_backfill_is_a_whole_one(last: list[str]) -> None:
    command = ["backfill", "create", "--dag-id", "ingest_orders", "--from-date", "2026-01-01"]
    assert airflow.whole_days([*command, *last]) == [*command, "--to-date", "2026-01-02T23:59:59"]
    exact = [*command, "--to-date", "2026-01-02T05:00"]
    assert airflow.whole_days(exact) == exact
    assert airflow.whole_days(["tasks", "list", *last]) == ["tasks", "list", *last]


def test_each_source_that_is_on_has_a_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(airflow.dag_ids()) == {
        *("ingest_orders", "ingest_clickstream", "ingest_exchange_rates"),
        *("sweep_sources", "build_warehouse"),
    }
    monkeypatch.setenv("CLEARWELL_SOURCES", "clickstream")
    assert airflow.dag_ids() == ("ingest_clickstream", "sweep_sources", "build_warehouse")


def run_of(dag_id: str, state: str, end: str) -> dict[str, str]:
    return {"dag_id": dag_id, "state": state, "end_date": end}


def test_a_build_is_waited_for_when_builds_are_and_a_landing_of_the_day_itself_never() -> None:
    day = date(2026, 1, 3)
    build = {"dag_id": "build_warehouse", "logical_date": "2026-01-03T05:30:00Z"}
    hour = {"dag_id": "ingest_orders", "logical_date": "2026-01-03T04:00:00Z"}
    before = {"dag_id": "sweep_sources", "logical_date": "2026-01-02T00:00:00Z"}
    found = [
        [run for run in (build, hour, before) if airflow.is_waited_for(run, day, builds=builds)]
        for builds in (True, False)
    ]
    assert found == [[build, before], [before]]


def test_a_build_that_failed_is_forgiven_by_a_later_one_and_a_landing_is_not() -> None:
    failed = [run_of("build_warehouse", "failed", "2026-01-01T10"), run_of("sweep_sources", "failed", "2026-01-01T09")]
    built = [run_of("build_warehouse", "success", "2026-01-01T11")]
    assert airflow.unmended(failed) == failed
    assert airflow.unmended(failed + built) == failed[1:]
    assert airflow.unmended([*failed[:1], run_of("build_warehouse", "success", "2026-01-01T09")]) == failed[:1]


def test_what_a_task_last_printed_is_read_from_its_log(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path)
    task = {"dag_id": "build_warehouse", "dag_run_id": "r", "task_id": "transform", "try_number": 2}
    assert airflow.last_line(home, task) == ""
    log = home.airflow / "logs" / "dag_id=build_warehouse" / "run_id=r" / "task_id=transform" / "attempt=2.log"
    log.parent.mkdir(parents=True)
    lines = [{"logger": "task.stdout", "event": "models 9 of 99"}, {"logger": "airflow", "event": "x"}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"logger": "task.st')
    assert airflow.last_line(home, task) == "models 9 of 99"
