"""Expectations in gold's YAML are checked against a build's rows, and an invalid one is a clear error."""

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import Permanent
from ingestion.home import Home
from warehouse import expectations
from warehouse.plan import Build


def made(root: Path, *rules: dict) -> Build:
    """Make a build's file with one gold table, and the manifest that dbt would write."""
    build = Build(Home(root, root / "landing"), "build-1")
    build.target.mkdir(parents=True)
    node = {"name": "gold_sales", "alias": "sales", "schema": "gold", "resource_type": "model"}
    (build.target / "manifest.json").write_text(
        json.dumps({"nodes": {"model.sales": node | {"config": {"meta": {"expectations": list(rules)}}}}})
    )
    with duckdb.connect(str(build.file)) as file:
        file.execute("create schema gold")
        file.execute(
            "create table gold.sales (day date, orders bigint, amount decimal(38, 4), note varchar, email varchar)"
        )
        file.execute(
            "insert into gold.sales values ('2026-11-01', 3, 1.5, 'a', 'c4n4ry'), ('2026-11-02', 0, -0.0001, null, 'c4n4ry')"
        )
    return build


def test_each_rule_says_how_many_rows_fail_it(tmp_path: Path) -> None:
    build = made(
        tmp_path,
        {"expect_column_values_to_be_between": {"column": "orders", "min_value": 1}},
        {"expect_column_values_to_be_between": {"column": "amount", "min_value": 0}},
        {"expect_column_values_to_not_be_null": {"column": "day"}},
    )
    found = {one.name: (one.success, one.failed_rows, one.examples) for one in expectations.check(build)}
    assert found == {
        "sales.orders.column_values_to_be_between": (False, 1, "[0.0]"),
        "sales.amount.column_values_to_be_between": (False, 1, "[-0.0001]"),
        "sales.day.column_values_to_not_be_null": (True, 0, "[]"),
    }


@pytest.mark.parametrize(
    "rule",
    [{"expect_the_best": {}}, {"expect_column_values_to_not_be_null": {"colum": "day"}}],
    ids=["a name that is none", "an argument that is none"],
)
def test_a_rule_that_is_none_says_where_it_stands(tmp_path: Path, rule: dict) -> None:
    with pytest.raises(Permanent, match=r"gold\.sales.*gold_sales\.yml"):
        expectations.check(made(tmp_path, rule))


def test_a_column_that_is_not_there_fails_its_rule(tmp_path: Path) -> None:
    (found,) = expectations.check(made(tmp_path, {"expect_column_values_to_not_be_null": {"column": "colour"}}))
    assert not found.success and "colour" in found.message


def test_what_is_seldom_used_is_loaded_when_it_is_used() -> None:
    """In a process of its own: this one may have loaded everything."""
    code = """
import sys
from warehouse import expectations

with expectations._fewer_imports():
    import great_expectations
assert not any(name.split(".")[0] in expectations._NOT_USED for name in sys.modules)
import sqlalchemy
assert expectations._SELDOM_USED <= sys.modules.keys(), "Great Expectations no longer imports all of these"
assert "scipy.stats._stats_py" not in sys.modules
import scipy.stats
assert abs(scipy.stats.norm.cdf(0) - 0.5) < 1e-9
assert "scipy.stats._stats_py" in sys.modules
assert not any(type(finder).__name__ == "Finder" for finder in sys.meta_path)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_values_of_a_personal_column_are_counted_and_not_shown(tmp_path: Path) -> None:
    rule = {"expect_column_values_to_be_in_set": {"column": "email", "value_set": ["x"]}}
    (found,) = expectations.check(made(tmp_path, rule))
    assert (found.failed_rows, found.examples) == (2, "[]")
