import json
import os
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from ingestion.contract import PROJECT
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.home import Home
from warehouse import audit, dbt, parsed
from warehouse.dbt import Result
from warehouse.plan import Build, make_trial_plan

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


def known_tests(tests: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """Return a manifest of tests by name, each with its severity and its SQL."""
    config = {"limit": 1000, "meta": {"finding": "these rows are odd."}}
    return {
        f"test.{name}": {"name": name, "resource_type": "test", "tags": [], "raw_code": ""}
        | {"config": config | {"severity": severity}, "depends_on": {"nodes": ["model.orders"], "macros": []}}
        for name, (severity, _) in tests.items()
    }


TESTS = {
    "fails": ("error", "select n as odd from main.numbers where n > 1"),
    "passes": ("WARN", "select n as odd from main.numbers where n > 9"),
    "warns": ("WARN", "select n as odd, 'c4n4ry' as raw from main.numbers where n > 0"),
}


@pytest.fixture
def of_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Return a build with one table, whose tests have a known SQL."""
    build = Build(Home(tmp_path, tmp_path), "build-1")
    build.folder.mkdir(parents=True)
    for path in (build.file, build.scratch, build.home.state):
        duckdb.connect(str(path)).close()
    with duckdb.connect(str(build.file)) as file:
        file.execute("create table numbers as select unnest([0, 1, 2]) as n")
    monkeypatch.setattr(Build, "plan", lambda _: SimpleNamespace(full=False))
    monkeypatch.setattr(dbt, "_manifest", lambda _: {"nodes": known_tests(TESTS), "macros": {}})
    monkeypatch.setattr(dbt.compiled, "read", lambda *_: {name: sql for name, (_, sql) in TESTS.items()})
    return build


def test_rows_that_warn_are_kept_as_they_are_counted(of_numbers: Build) -> None:
    results = {one.name: one for one in dbt.run_tests(of_numbers)}
    assert "c4n4ry" not in repr(results).replace(TESTS["warns"][1], "")
    assert {name: (one.status, one.failures, one.examples) for name, one in results.items()} == {
        "fails": ("fail", 1, None),
        "passes": ("pass", 0, None),
        "warns": ("warn", 2, ({"odd": 1, "raw": "c4n4ry"}, {"odd": 2, "raw": "c4n4ry"})),
    }
    with duckdb.connect(str(of_numbers.file)) as file:
        assert file.execute("select table_name from duckdb_tables() order by all").fetchall() == [
            ("numbers",),
            ("warns",),
        ]
        assert file.execute("from failures.warns").fetchall() == [(1, "c4n4ry"), (2, "c4n4ry")]
        # what the audit does next does not run the query again
        file.execute("delete from numbers where n = 1")
    assert audit._keep_rows(of_numbers, results.values()) == {"fails": [{"odd": 2}], "warns": [{"odd": 1}, {"odd": 2}]}


def test_a_known_test_that_cannot_run_is_left_to_dbt(of_numbers: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    with duckdb.connect(str(of_numbers.file)) as file:
        file.execute("alter table numbers rename n to m")
    asked: list[str] = []
    monkeypatch.setattr(dbt, "_invoke", lambda _, *given: asked.extend(given) or [])
    assert dbt.run_tests(of_numbers) == []
    assert asked[-3:] == sorted(TESTS)
    with duckdb.connect(str(of_numbers.file)) as file:
        assert file.execute("select table_name from duckdb_tables()").fetchall() == [("numbers",)]


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
    ("entering", "of_state", "memory", "models"),
    [
        ([], 0, "", 0),
        ([60_000, 39_999], 31_999_999, "", 0),
        ([60_000, 40_000], 0, "", 2),
        ([1], 32_000_000, "", 2),
        ([2_999_999], 0, "", 2),
        ([3_000_000], 0, "", 1),
        ([3_000_000], 0, "8GB", 1),
        ([749_999], 0, "250MB", 2),
        ([750_000], 0, "250MB", 1),
    ],
)
def test_a_small_build_has_one_thread_and_others_use_every_core_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entering: list[int], of_state: int, memory: str, models: int
) -> None:
    monkeypatch.setenv("CLEARWELL_MEMORY", memory)
    made = Build(Home(tmp_path, tmp_path), "build-1")
    made.folder.mkdir(parents=True)
    made.batches.write_text(
        "".join(json.dumps({"records_written": records, "bytes": 9}) + "\n" for records in entering)
    )
    made.home.state.parent.mkdir(exist_ok=True)
    with made.home.state.open("wb") as file:
        file.truncate(of_state)
    with duckdb.connect() as connection:
        (cores,) = connection.execute("select current_setting('threads')").fetchall()[0]
    # each model has the thread that calls DuckDB; `threads` counts the first of them
    expected = dbt.Threads(min(models, cores), max(cores - models + 1, 1)) if models else dbt.Threads(1, 1)
    assert dbt.threads_of(made) == expected


def append(name: str, text: str) -> Callable[[Path], None]:
    def edit(project: Path) -> None:
        with (project / name).open("a") as file:
            file.write(text)

    return edit


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Change a text, and leave the time of the file as it is, as an image may."""

    def edit(project: Path) -> None:
        path = project / name
        text, time = path.read_text(), path.stat().st_mtime_ns
        assert old in text, name
        path.write_text(text.replace(old, new))
        os.utime(path, ns=(time, time))

    return edit


def move_macro(project: Path) -> None:
    path = project / "macros" / "money.sql"
    text, line = (
        path.read_text(),
        "{% macro is_an_order(status) -%} {{ status }} is distinct from 'credit_note' {%- endmacro %}",
    )
    assert line in text
    path.write_text(text.replace(line, ""))
    (project / "macros" / "moved.sql").write_text(line)


def add_model(project: Path) -> None:
    (project / "models" / "gold" / "gold_new.sql").write_text(
        "{{ config(contract={'enforced': false}) }} from {{ ref('gold_cohorts') }}"
    )
    (project / "models" / "gold" / "gold_new.yml").write_text("models: [{name: gold_new, description: A new one.}]")


def remove_model(project: Path) -> None:
    for ending in ("sql", "yml"):
        (project / "models" / "gold" / f"gold_product_search.{ending}").unlink()


def remove_test(project: Path) -> None:
    (project / "tests" / "many_refused.sql").unlink()


def rename_test(project: Path) -> None:
    (project / "tests" / "orders_are_known.sql").rename(project / "tests" / "orders_are_well_known.sql")


EDITS: tuple[Callable[[Path], None], ...] = (
    append("models/gold/gold_cohorts.sql", "\n-- {{ ref('silver_products') }}"),
    replace("models/gold/gold_cohorts.yml", "description: >-", "description: >-\n      Changed."),
    replace("models/gold/gold_daily_revenue.yml", "not_null", "unique"),
    replace("models/gold/gold.md", "Number of sessions.", "How many sessions."),
    replace("macros/money.sql", "count(distinct order_id)", "count({{ exact_unit_price(1, 2, 3) }})"),
    append("macros/tax.sql", "\n{% macro of_nobody() %}{{ revenue_columns() }}{% endmacro %}"),
    append("tests/generic/is_a_code.sql", "\n{# said #}"),
    append("tests/dates_balance.sql", "\n-- {{ ref('gold_cohorts') }}"),
    append("seeds/currencies.csv", "XTS,2\n"),
    *(move_macro, add_model, remove_model, remove_test, rename_test),
)


def as_parsed(content: Any) -> Any:
    """Leave out of a manifest when and by which run it was made."""
    made = ("created_at", "generated_at", "invocation_id", "invocation_started_at", "run_started_at")
    if isinstance(content, dict):
        return {name: as_parsed(value) for name, value in content.items() if name not in made}
    return [as_parsed(one) for one in content] if isinstance(content, list) else content


@pytest.mark.parametrize(
    ("seed", "at_once"), [(1, 7), *(pytest.param(seed, 1, marks=pytest.mark.long) for seed in range(2, 12))]
)
def test_what_is_parsed_from_an_earlier_project_is_what_is_parsed_whole(
    tmp_path: Path, seed: int, at_once: int
) -> None:
    """The start is of another folder and another home, and what the edits leave is the next one's."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    builds = [Build(Home(tmp_path / name, tmp_path), "build-1") for name in ("one", "two")]
    for build in builds:
        make_trial_plan(build, [], BEGAN)

    def parse(build: Build, of: Path, start: Path | None) -> Any:
        with dbt._surroundings(build):
            return parsed._pack(dbt._parse(build, of, start))

    start = tmp_path / "start"
    start.write_bytes(parse(builds[0], PROJECT, None).packed)
    edits = random.Random(seed).sample(EDITS, len(EDITS))
    for number in range(0, len(edits), at_once):
        for edit in edits[number : number + at_once]:
            edit(project)
        from_start = parse(builds[1], project, start)
        known = json.loads((builds[1].target / "perf_info.json").read_text())
        assert known["parsed_path_count"] < known["path_count"] / 2
        start.write_bytes(from_start.packed)
    whole = parse(builds[0], project, None)
    assert as_parsed(json.loads(from_start.listed)) == as_parsed(json.loads(whole.listed))


def test_an_error_is_of_the_project_and_never_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Build(Home(tmp_path, tmp_path), "build-1")
    make_trial_plan(build, [], BEGAN)
    asked: list[list[str]] = []
    whole = SimpleNamespace(exception=None, result=SimpleNamespace(nodes={}))

    class Runner:
        def __init__(self, **_: Any) -> None: ...

        def invoke(self, arguments: list[str]) -> Any:
            asked.append(arguments)
            return whole if "--no-partial-parse" in arguments else SimpleNamespace(exception=KeyError("start"))

    monkeypatch.setattr("dbt.cli.main.dbtRunner", Runner)
    assert dbt._parse(build, PROJECT, tmp_path / "start") is whole.result
    assert [str(tmp_path / "start") in one for one in asked] == [True, False]
    whole.exception = RuntimeError("no model is named x")
    with pytest.raises(Permanent, match="no model is named x"):
        dbt._parse(build, PROJECT, tmp_path / "start")
