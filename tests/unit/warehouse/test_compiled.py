"""The SQL of a test or model is kept if nothing but the project and the columns of the state decides it."""

import os
import shutil
from pathlib import Path

import pytest

from ingestion.contract import PROJECT
from ingestion.home import Home
from warehouse import compiled

COLUMNS = [("state", "gold", "daily_revenue", "orders", "BIGINT"), ("state", "ops", "ledger", "dataset", "VARCHAR")]
DEFAULTS = {"fail_calc": "count(*)", "error_if": "!= 0", "warn_if": "!= 0", "meta": {"finding": "rows are odd."}}


def node(code: str, *macros: str, **config: object) -> dict:
    return {"name": "odd", "raw_code": code, "depends_on": {"macros": [*macros]}, "config": {**DEFAULTS, **config}}


def macro(code: str, *macros: str) -> dict:
    return {"macro_sql": code, "depends_on": {"macros": [*macros]}}


MACROS = {
    "plain": macro("select {{ var('rate_days') }}"),
    "asks": macro("{% set found = run_query('select 1') %}"),
    "through": macro("{{ asks() }}", "asks"),
    "around": macro("{{ around() }}", "around"),
}


@pytest.mark.parametrize(
    ("test", "is_constant"),
    [
        (node("select 1 from t"), True),
        (node("{{ plain() }}", "plain", "around", "of another package"), True),
        (node("{{ asks() }}", "asks"), False),
        (node("{{ through() }}", "through"), False),
        (node('select \'{{ var("build_id", "dev") }}\''), False),
        (node("select '{{ var( 'held') }}'"), False),
        (node("select '{{ env_var('HOME') }}'"), False),
        (node("select '{{ run_started_at }}'"), False),
    ],
)
def test_is_constant_without_anything_that_a_build_may_change(test: dict, is_constant: bool) -> None:
    assert compiled.constant({"test.odd": test}, MACROS) == ({"odd"} if is_constant else set())


@pytest.mark.parametrize(
    ("test", "fails_by_rows"),
    [
        (node("select 1"), True),
        (node("select 1", warn_if="> 10"), False),
        (node("select 1", fail_calc="sum(copies)"), False),
        (node("select 1", meta={}), False),
    ],
)
def test_a_test_fails_by_rows_unless_its_config_says_otherwise(test: dict, fails_by_rows: bool) -> None:
    assert compiled.fails_by_rows(test) == fails_by_rows


@pytest.mark.parametrize(
    ("sql", "is_final"),
    [
        ("select '{}'::json, {'a': {'b': 1} }", True),
        ("select {'a': {'b': 1}}", False),
        ("{{ asks() }}", False),
        ("{# no #}", False),
        ("{% if a %}", False),
    ],
)
def test_sql_is_final_without_anything_that_dbt_takes_for_a_template(sql: str, is_final: bool) -> None:
    assert compiled.is_final(sql) == is_final


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy = tmp_path / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("target", "logs"))
    return copy


def test_is_known_in_every_home_until_a_file_or_the_columns_of_the_state_change(tmp_path: Path, project: Path) -> None:
    home, other = Home(tmp_path / "home", tmp_path), Home(tmp_path / "other", tmp_path)
    assert compiled.read(home, project, "tests", COLUMNS) == {}
    compiled.remember(home, project, "tests", COLUMNS, {"one": "select 1"})
    compiled.remember(home, project, "tests", [*reversed(COLUMNS)], {"two": "select 2"})
    compiled.remember(home, project, "models", COLUMNS, {"one": "select 3"})
    assert compiled.read(other, project, "tests", COLUMNS) == {"one": "select 1", "two": "select 2"}
    assert compiled.read(home, project, "tests", COLUMNS[:1]) == {}
    shutil.rmtree(project / "target")
    assert compiled.read(home, project, "tests", COLUMNS) == {"one": "select 1", "two": "select 2"}
    os.utime(project / "tests" / "many_refused.sql", ns=(1, 1))
    assert compiled.read(home, project, "tests", COLUMNS) == {}


def test_damaged_files_are_as_if_there_were_none(tmp_path: Path, project: Path) -> None:
    home = Home(tmp_path / "home", tmp_path)
    compiled.remember(home, project, "tests", COLUMNS, {"one": "select 1"})
    for path in (*project.rglob("*.tests"), *home.root.rglob("*.tests")):
        path.write_text("{")
    assert compiled.read(home, project, "tests", COLUMNS) == {}
    compiled.remember(home, project, "tests", COLUMNS, {"two": "select 2"})
    assert compiled.read(home, project, "tests", COLUMNS) == {"two": "select 2"}
