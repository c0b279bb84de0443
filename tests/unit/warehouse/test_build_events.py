"""Stages and models leave events that say how they ended, in words that hold no values."""

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from ingestion import lineage_events, log
from ingestion.errors import Transient
from ingestion.home import Home
from warehouse import parsed
from warehouse.audit import Finding, Refused, Verdict
from warehouse.build_events import model_events, stage_events
from warehouse.dbt import Result
from warehouse.plan import Build, Plan

AT = datetime(2026, 11, 3, 4, tzinfo=UTC)
MODEL = {"inputs": [["silver", "orders"]], "datasets": [], "facets": {"schema": {"fields": []}}}
KNOWN = {
    "models": {
        "gold_daily": {"table": ["gold", "daily"], **MODEL},
        "plan_dates": {"table": ["plan", "dates"], **MODEL},
    },
    "tests": {
        "unique_orders": {"tables": [["silver", "orders"]], "column": "order_id", "kind": "unique", "severity": "error"}
    },
}
FAILED = "Runtime Error in model gold_daily\n  Conversion Error: Could not convert string 'ann@example.com' to INT32"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "false")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(parsed, "kept", lambda *_: json.dumps(KNOWN).encode())
    one = Build(Home(tmp_path, tmp_path / "landing"), "b1")
    one.folder.mkdir(parents=True)
    Plan("b1", "", 1, False, "", AT.isoformat(), (), ()).save(one.folder)
    return one


def told(build: Build) -> list[dict]:
    paths = lineage_events.folder(build.home).glob("*.jsonl")
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def result(name: str, status: str = "success", message: str = "") -> Result:
    began = datetime(2026, 11, 3, 4, 1)
    return Result(name, "model", status, message, 0, "", "", began=began, ended=began.replace(minute=2))


def run(build: Build, stage: str, error: Exception | None = None) -> None:
    with log.bound(run_id=log.run_id(stage), stage=stage), stage_events(build, stage):
        if error:
            raise error


def jobs(build: Build) -> list[tuple[str, str]]:
    return [(one["job"]["name"], one["eventType"]) for one in told(build)]


def test_a_build_lasts_from_its_first_stage_to_its_publishing(build: Build) -> None:
    run(build, "transform")
    run(build, "publish")
    assert jobs(build) == [
        ("build", "START"),
        ("build.transform", "START"),
        ("build.transform", "COMPLETE"),
        ("build.publish", "START"),
        ("build.publish", "COMPLETE"),
        ("build", "COMPLETE"),
    ]
    ids = {one["run"]["runId"] for one in told(build) if one["job"]["name"] == "build"}
    assert {one["run"]["facets"]["parent"]["run"]["runId"] for one in told(build) if "." in one["job"]["name"]} == ids


def test_a_stage_that_fails_may_be_repeated_but_a_refused_build_has_failed(build: Build) -> None:
    with pytest.raises(Transient):
        run(build, "transform", Transient("ann@example.com"))
    assert jobs(build)[-1] == ("build.transform", "FAIL")
    stopped = Finding("unique_orders", "fail", 2, "ann@example.com", '[{"order_id": "ann@example.com"}]', "stopped")
    with pytest.raises(Refused):
        run(build, "audit", Refused(Verdict("b1", (stopped,))))
    assert jobs(build)[-2:] == [("build.audit", "FAIL"), ("build", "FAIL")]
    (table,) = told(build)[-2]["inputs"]
    (one,) = table["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (table["name"], one["assertion"], one["column"]) == ("warehouse.silver.orders", "unique", "order_id")
    assert (one["success"], one["actual"]) == (False, "2")
    assert "ann@" not in json.dumps(told(build))


def test_models_are_told_with_the_kind_of_their_error(build: Build) -> None:
    with log.bound(run_id=log.run_id("a"), stage="transform"):
        model_events(build, [result("gold_daily", "error", FAILED), result("plan_dates")])
        model_events(build, [result("gold_daily"), result("plan_dates", "error", FAILED), result("not_known")])
    assert jobs(build) == [
        ("build.gold_daily", "START"),
        ("build.gold_daily", "FAIL"),
        ("build.gold_daily", "START"),
        ("build.gold_daily", "COMPLETE"),
        ("build.plan_dates", "START"),
        ("build.plan_dates", "FAIL"),
    ]
    failed, made = told(build)[1], told(build)[3]
    assert failed["run"]["facets"]["errorMessage"]["message"] == "Runtime Error: Conversion Error"
    assert (made["eventTime"], made["inputs"][0]["name"]) == ("2026-11-03T04:02:00Z", "warehouse.silver.orders")
    assert failed["outputs"][0]["facets"] and not made["outputs"][0]["facets"]  # told once a month


def test_a_model_that_was_made_says_how_many_rows_it_wrote(build: Build) -> None:
    with duckdb.connect(str(build.file)) as file:
        file.execute("create schema gold; create table gold.daily as from range(3)")
    with log.bound(run_id=log.run_id("a"), stage="transform"):
        model_events(build, [result("gold_daily"), result("gold_daily", "error", FAILED)])
    assert rows_told(build) == [3, None]


def test_of_a_view_it_says_how_many_of_its_rows_the_build_has_made(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = KNOWN["models"]["gold_daily"] | {"rows_sql": "from gold.changed"}
    known = KNOWN | {"models": {"gold_daily": view, "plan_dates": KNOWN["models"]["plan_dates"] | {"rows_sql": "x"}}}
    monkeypatch.setattr(parsed, "kept", lambda *_: json.dumps(known).encode())
    with duckdb.connect(str(build.file)) as file:
        file.execute("create schema gold; create table gold.changed as from range(2)")
        file.execute("create view gold.daily as from gold.changed union all from range(5)")
    with log.bound(run_id=log.run_id("a"), stage="transform"):
        model_events(build, [result("gold_daily"), result("plan_dates", "error", FAILED)])
    assert rows_told(build) == [2, None]


def rows_told(build: Build) -> list[int | None]:
    outputs = [output for one in told(build) for output in one["outputs"]]
    return [one.get("outputFacets", {}).get("outputStatistics", {}).get("rowCount") for one in outputs]


def test_no_event_stops_a_build(
    build: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bytes:
        raise ValueError("the SQL cannot be read")

    monkeypatch.setattr(parsed, "kept", broken)
    caplog.set_level("WARNING")  # tests of Airflow, in the same process, set another
    with log.bound(run_id=log.run_id("a"), stage="transform"):
        model_events(build, [result("gold_daily")])
    assert "left out" in caplog.text
