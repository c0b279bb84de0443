"""A model's YAML says how far a changed date reaches; the dates to build and to read are derived from it."""

import re
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.contract import PROJECT
from ingestion.fields import read_yaml
from tests.unit.macros.dbt_like import project

MODELS = PROJECT / "models"
SAID = {
    model["name"]: model["config"]["meta"]["reach"]
    for path in MODELS.rglob("*.yml")
    for model in read_yaml(path).get("models", [])
    if "reach" in model.get("config", {}).get("meta", {})
}
SQL = {path.stem: path.read_text() for path in MODELS.rglob("*.sql")}
FIRST = date(2026, 1, 1)


def dates(macro: str, given_dates: set[date], first: Any, last: Any) -> set[date]:
    """Return the dates that a macro lists for a model whose YAML says [first, last]."""
    with duckdb.connect() as connection:
        connection.execute("create table changed (day date)")
        connection.executemany("insert into changed values (?)", [(one,) for one in given_dates] + [(None,)])
        names = project(connection)
        node = SimpleNamespace(config=SimpleNamespace(meta=SimpleNamespace(reach=[first, last])))
        names |= {"graph": SimpleNamespace(nodes={"model.clearwell.gold_x": node}), "project_name": "clearwell"}
        return {day for (day,) in connection.execute(str(names[macro]("changed", "day", "gold_x"))).fetchall()}


@given(
    changed=st.sets(st.integers(0, 60).map(lambda n: FIRST + timedelta(n)), min_size=1, max_size=5),
    first=st.integers(-3, 0),
    last=st.integers(0, 28),
)
def test_a_date_is_built_again_if_a_changed_one_reaches_it_and_reads_all_that_do(
    changed: set[date], first: int, last: int
) -> None:
    days = [timedelta(n) for n in range(first, last + 1)]
    assert dates("reached", changed, first, last) == {one + by for one in changed for by in days}
    assert dates("looked_back", changed, first, last) == {one - by for one in changed for by in days}


def test_a_variable_in_yaml_is_a_text() -> None:
    assert dates("reached", {FIRST}, 0, "1") == {FIRST, FIRST + timedelta(1)}


@pytest.mark.parametrize("model", SAID)
def test_what_says_its_reach_is_read_by_a_plan(model: str) -> None:
    assert [
        name
        for name, text in SQL.items()
        if name.startswith("plan_") and f"'{model}')" in text and re.search("reach|looked_back", text)
    ]


def test_no_plan_has_a_reach_of_its_own() -> None:
    called = {
        name
        for text in SQL.values()
        for name in re.findall(r"(?:reach\(|reached\([^{}]*|looked_back\([^{}]*)'(\w+)'\) ", text)
    }
    assert called == set(SAID)
    # plan_order_dates uses the reach of the rates, which is a variable that the model reads too
    assert [name for name, text in SQL.items() if re.search(r"\brange\(-?\d", text)] == []
