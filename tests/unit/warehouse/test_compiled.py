"""The SQL of a test is kept if nothing but the project and the tables of the state decides it."""

import os
import shutil
from pathlib import Path

import pytest

from ingestion.contract import PROJECT
from ingestion.home import Home
from warehouse import compiled

TABLES = [("gold", "daily_revenue"), ("ops", "ledger")]
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
        (node("select 1", warn_if="> 10"), False),
        (node("select 1", fail_calc="sum(copies)"), False),
        (node("select 1", meta={}), False),
    ],
)
def test_is_constant_without_anything_that_a_build_may_change(test: dict, is_constant: bool) -> None:
    assert compiled.constant({"test.odd": test}, MACROS) == ({"odd"} if is_constant else set())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy = tmp_path / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("target", "logs"))
    return copy


def test_is_known_in_every_home_until_a_file_or_the_tables_of_the_state_change(tmp_path: Path, project: Path) -> None:
    home, other = Home(tmp_path / "home", tmp_path), Home(tmp_path / "other", tmp_path)
    assert compiled.read(home, project, TABLES) == {}
    compiled.remember(home, project, TABLES, {"one": "select 1"})
    compiled.remember(home, project, [*reversed(TABLES)], {"two": "select 2"})
    assert compiled.read(other, project, TABLES) == {"one": "select 1", "two": "select 2"}
    assert compiled.read(home, project, TABLES[:1]) == {}
    shutil.rmtree(project / "target")
    assert compiled.read(home, project, TABLES) == {"one": "select 1", "two": "select 2"}
    os.utime(project / "tests" / "many_refused.sql", ns=(1, 1))
    assert compiled.read(home, project, TABLES) == {}


def test_damaged_files_are_as_if_there_were_none(tmp_path: Path, project: Path) -> None:
    home = Home(tmp_path / "home", tmp_path)
    compiled.remember(home, project, TABLES, {"one": "select 1"})
    for path in (*project.rglob("*.tests"), *home.root.rglob("*.tests")):
        path.write_text("{")
    assert compiled.read(home, project, TABLES) == {}
    compiled.remember(home, project, TABLES, {"two": "select 2"})
    assert compiled.read(home, project, TABLES) == {"two": "select 2"}
