"""How a check that could not run is treated, compared with one that found something."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from ingestion.home import Home
from warehouse import audit, dbt, expectations
from warehouse.audit import Finding, Refused, Verdict
from warehouse.dbt import Result
from warehouse.expectations import Outcome
from warehouse.plan import Build, Plan


@pytest.mark.parametrize(
    ("status", "message", "on_failure"), [("fail", "", "hold"), ("error", "Binder Error: no column amount", "stop")]
)
def test_a_check_that_could_not_be_run_stops_the_build_and_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, message: str, on_failure: str
) -> None:
    build = Build(Home(tmp_path, tmp_path), "one")
    build.folder.mkdir(parents=True)
    duckdb.connect(str(build.file)).close()
    monkeypatch.setattr(Build, "plan", lambda _: SimpleNamespace(full=False))
    monkeypatch.setattr(dbt, "datasets_behind", lambda *_: (("orders",),))
    monkeypatch.setattr(expectations, "check", lambda _: [Outcome("daily.amount.between", False, 0, message, "[]")])
    _, failures = audit._check(build, [Result("is_odd", "test", status, message, 1, "", "error")])
    assert [(one.finding.check_name, one.on_failure) for one in failures] == [
        ("is_odd", on_failure),
        ("expectation daily.amount.between", on_failure),
    ]
    assert failures[1].finding.message == (message or "these values break an expectation in gold_daily.yml.")


@pytest.mark.parametrize(("on_failure", "asked"), [("hold", 1), ("alert", 0), ("stop", 0)])
def test_the_batches_that_rows_name_are_looked_for_where_they_may_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_failure: str, asked: int
) -> None:
    """The query of the check runs once more for them."""
    build = Build(Home(tmp_path, tmp_path), "one")
    looked_for = []
    failed = Result("is_odd", "test", "fail", "", 1, "select 1", "error", on_failure)
    monkeypatch.setattr(dbt, "datasets_behind", lambda *_: (("orders",),))
    monkeypatch.setattr(expectations, "check", lambda _: [])
    monkeypatch.setattr(audit, "_keep_rows", lambda *_: {})
    monkeypatch.setattr(audit, "_named", lambda *_: looked_for.append(1) or frozenset({"b1"}))
    _, failures = audit._check(build, [failed])
    assert [(one.on_failure, one.named) for one in failures] == [(on_failure, frozenset({"b1"} if asked else ()))]
    assert len(looked_for) == asked


def test_a_refusal_shows_rows_or_else_what_went_wrong() -> None:
    broken = Finding("is_odd", "fail", 0, "Binder Error: no column amount", "[]", "stopped")
    found = Finding("is_odd", "fail", 2, "", '[{"amount": 3}]', "stopped")
    assert "no column amount" in str(Refused(Verdict("one", (broken,))))
    assert '{"amount": 3}' in str(Refused(Verdict("one", (found,))))


@pytest.mark.parametrize("status", ["fail", "error"])
def test_a_finding_has_no_personal_column_and_no_value_of_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    build = Build(Home(tmp_path, tmp_path), "one")
    build.folder.mkdir(parents=True)
    for path in (build.file, build.scratch, build.home.state):
        duckdb.connect(str(path)).close()
    monkeypatch.setattr(Build, "plan", lambda _: SimpleNamespace(full=False))
    sql = {
        "fail": "select 'c4n4ry' as Email, 'c4n4ry' as raw, 'c4n4ry' as visitor_id, 'o1' as order_id",
        "error": "select cast('c4n4ry' as integer) as order_id",
    }[status]
    result = Result(
        "is_odd", "test", status, "Conversion Error: Could not convert string 'c4n4ry' to INT32", 1, sql, "error"
    )
    found = audit._from_dbt(result, audit._keep_rows(build, [result])["is_odd"])
    assert "c4n4ry" not in found.examples
    assert ('"order_id": "o1"' in found.examples) == (status == "fail")
    assert ("c4n4ry" in found.message) == (status == "fail")  # a failed check's message is the check's own


TOLD = ("none", "a 'quote', \u00fc, a \x00 and a \U0001f914", '[{"n": 1}]')
RUN = {"window_start": None, "window_end": None, "started_at": datetime(2026, 11, 1, 2, 3, 4, 567)}
RUNS = [
    {"build_id": "two", "run_id": "r1", "stage": "plan", "source": None, "dataset": None, "of_build_id": None}
    | RUN
    | {"seconds": 0, "records": 0, "bytes": 0, "result": "ok"},
    {"build_id": "two", "run_id": "r2/orders", "stage": "ingest", "source": "orders", "dataset": "orders"}
    | {"of_build_id": "one", **RUN, "window_start": datetime(2026, 10, 31)}
    | {"seconds": 1.125, "records": 2**40, "bytes": 7, "result": "ok"},
]


@pytest.mark.parametrize("runs", [RUNS, []])
def test_findings_and_runs_are_written_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[dict[str, object]]
) -> None:
    plan = Plan("two", "one", 2, False, "", "2026-11-01T00:00:00Z", (), ())
    build = Build(Home(tmp_path, tmp_path), "two")
    build.folder.mkdir(parents=True)
    duckdb.connect(str(build.file)).close()
    monkeypatch.setattr(Build, "plan", lambda _: plan)
    monkeypatch.setattr(audit, "_new_runs", lambda _: runs)
    verdict = Verdict("two", tuple(Finding(f"check {n}", "warn", 2**40 + n, text, text) for n, text in enumerate(TOLD)))
    audit._write(build, verdict, datetime(2026, 11, 1, 5, tzinfo=UTC))
    assert audit.read_verdict(build) == verdict
    with duckdb.connect(str(build.file), read_only=True) as connection:
        assert connection.execute("from ops.findings").fetchall() == [
            ("two", f"check {n}", "warn", 2**40 + n, text, text, "") for n, text in enumerate(TOLD)
        ]
        found = connection.execute("from ops.runs")
        names, kinds = zip(*((name, str(kind)) for name, kind, *_ in found.description or ()), strict=True)
        assert [dict(zip(names, row, strict=True)) for row in found.fetchall()] == runs
        assert names == tuple(RUNS[0])
        assert kinds == (*["VARCHAR"] * 6, *["TIMESTAMP"] * 3, "DOUBLE", "BIGINT", "BIGINT", "VARCHAR")
