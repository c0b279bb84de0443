"""How a check that could not run is treated, compared with one that found something."""

from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from ingestion.home import Home
from warehouse import audit, dbt, expectations
from warehouse.audit import Finding, Refused, Verdict
from warehouse.dbt import Result
from warehouse.expectations import Outcome
from warehouse.plan import Build


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
    monkeypatch.setattr(dbt, "run_tests", lambda _: [Result("is_odd", "test", status, message, 1, "", "error")])
    monkeypatch.setattr(expectations, "check", lambda _: [Outcome("daily.amount.between", False, 0, message, "[]")])
    _, failures = audit._check(build)
    assert [(one.finding.check_name, one.on_failure) for one in failures] == [
        ("is_odd", on_failure),
        ("expectation daily.amount.between", on_failure),
    ]
    assert failures[1].finding.message == (message or "these values break an expectation in gold_daily.yml.")


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
    found = audit._from_dbt(build, result)
    assert "c4n4ry" not in found.examples
    assert ('"order_id": "o1"' in found.examples) == (status == "fail")
    assert ("c4n4ry" in found.message) == (status == "fail")  # a failed check's message is the check's own
