import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.home import Home
from warehouse import dbt
from warehouse.dbt import Result
from warehouse.plan import Build

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


def failure(monkeypatch: pytest.MonkeyPatch, message: str) -> ClearwellError:
    result = Result("staging_clickstream", "model", "error", message, 0, "", "")
    monkeypatch.setattr(dbt, "_invoke", lambda *arguments, **named: [result])
    with pytest.raises(ClearwellError) as caught:
        dbt.run_models(Build(Home(Path("home"), Path("landing")), "build-1"))
    return caught.value


@pytest.mark.parametrize(
    ("message", "kind", "said"),
    [
        ('IO Error: Could not write file "b.duckdb": No space left on device', Permanent, "the disk is full"),
        ("IO Error: Could not set lock on file", Transient, "holds the database"),
    ],
)
def test_a_test_that_could_not_run_is_a_fault_of_the_run_and_no_finding(
    monkeypatch: pytest.MonkeyPatch, message: str, kind: type, said: str
):
    """Otherwise a full disk would hold the batches behind the test."""
    told = f"Database Error in test accepted_values_orders_status (models/x.yml)\n  {message}"
    results = [Result("accepted_values_orders_status", "test", "error", told, 0, "select 1", "error")]
    monkeypatch.setattr(dbt, "_tested", lambda build, without_tag: results)
    with pytest.raises(kind, match=said):
        dbt.run_tests(Build(Home(Path("home"), Path("landing")), "build-1"))
    results[:] = [Result("is_odd", "test", "error", "Binder Error: no such column", 0, "select 1", "error")]
    assert dbt.run_tests(Build(Home(Path("home"), Path("landing")), "build-1")) == results


def test_of_the_models_that_failed_the_one_that_the_machine_kept_is_told(monkeypatch: pytest.MonkeyPatch):
    told = ["Catalog Error: invalidated", 'IO Error: Could not write file "b.duckdb": No space left on device']
    results = [Result(f"model_{n}", "model", "error", message, 0, "", "") for n, message in enumerate(told)]
    monkeypatch.setattr(dbt, "_invoke", lambda *arguments, **named: results)
    with pytest.raises(Permanent, match="the disk is full") as caught:
        dbt.run_models(Build(Home(Path("home"), Path("landing")), "build-1"))
    assert "model" not in caught.value.todo


def test_the_seconds_of_each_model_are_kept_with_the_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    made = Build(Home(tmp_path, tmp_path / "landing"), "build-1")
    results = [
        Result(
            "gold_daily_revenue",
            "model",
            "success",
            "",
            0,
            "",
            "",
            began=BEGAN,
            ended=BEGAN + timedelta(seconds=1.23456),
        ),
        Result("on-run-end", "operation", "success", "", 0, "", "", began=BEGAN, ended=BEGAN + timedelta(seconds=9)),
    ]
    monkeypatch.setattr(dbt, "_invoke", lambda *arguments, **named: results)
    # nothing depends on them
    assert dbt.run_models(made) == results and not made.folder.exists()
    made.folder.mkdir(parents=True)
    dbt.run_models(made)
    assert json.loads(made.times.read_text()) == {"gold_daily_revenue": 1.235}


def out_of_memory() -> str:
    """Return DuckDB's own message."""
    with (
        duckdb.connect(config={"memory_limit": "5MB", "temp_directory": ""}) as connection,
        pytest.raises(duckdb.Error) as caught,
    ):
        connection.execute("create table t as select repeat('x', 1000) || n as text from range(100000) as numbers (n)")
    return str(caught.value)


def test_a_build_without_enough_memory_names_the_setting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLEARWELL_MEMORY", "700MB")
    error: Any = failure(monkeypatch, f"Runtime Error in model staging_clickstream\n  {out_of_memory()}")
    assert isinstance(error, Permanent)
    assert "staging_clickstream" in error.what
    assert error.todo.startswith("set CLEARWELL_MEMORY (now 700MB) to more")
    monkeypatch.delenv("CLEARWELL_MEMORY")
    assert "1GB" in failure(monkeypatch, out_of_memory()).todo


def test_other_failures_of_a_model_say_what_they_are(monkeypatch: pytest.MonkeyPatch):
    assert isinstance(failure(monkeypatch, "IO Error: Could not set lock on file"), Transient)
    error = failure(monkeypatch, "Binder Error: no such column")
    assert isinstance(error, Permanent)
    assert error.todo == "fix the model and run `clearwell build` again"


@pytest.mark.parametrize(
    ("entering", "of_state", "models"),
    [
        ([], 0, 0),
        ([60_000, 39_999], 31_999_999, 0),
        ([60_000, 40_000], 0, 2),
        ([1], 32_000_000, 2),
        ([2_999_999], 0, 2),
        ([3_000_000], 0, 1),
    ],
)
def test_a_small_build_has_one_thread_and_others_use_every_core_once(
    tmp_path: Path, entering: list[int], of_state: int, models: int
) -> None:
    made = Build(Home(tmp_path, tmp_path), "build-1")
    made.folder.mkdir(parents=True)
    made.batches.write_text("".join(json.dumps({"records_written": records}) + "\n" for records in entering))
    made.home.state.parent.mkdir(exist_ok=True)
    with made.home.state.open("wb") as file:
        file.truncate(of_state)
    with duckdb.connect() as connection:
        (cores,) = connection.execute("select current_setting('threads')").fetchall()[0]
    # each model has the thread that calls DuckDB; `threads` counts the first of them
    expected = dbt.Threads(min(models, cores), max(cores - models + 1, 1)) if models else dbt.Threads(1, 1)
    assert dbt.threads_of(made) == expected
