"""The difference between a build and the state, row by row, in the rows that the build would replace."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from ingestion.home import Home
from warehouse import dbt, difference
from warehouse.dbt import Change
from warehouse.plan import Build, Plan

COLUMNS = {"day": "date", "shop": "varchar", "amount": "integer", "build_id": "varchar"}
SALES = Change(
    "gold_sales", "gold", "sales", "plan", "dates", {"day": "day"}, tuple(COLUMNS), tuple(COLUMNS.values()), "", True
)
Made = Callable[..., Build]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Return a function that makes a state of sales on two days, and a build of the second day, or of everything."""

    def make(rows: str, *, full: bool = False, changes: tuple[Change, ...] = (SALES,)) -> Build:
        home = Home(tmp_path, tmp_path)
        build = Build(home, "build-2")
        build.folder.mkdir(parents=True)
        Plan("build-2", "build-1", 2, full, "", "2026-11-03", (), ()).save(build.folder)
        build.target.mkdir()
        build.made_by.write_text(json.dumps({"nodes": {}}))
        with duckdb.connect(str(home.state)) as state:
            state.execute("""
                create schema gold;
                create table gold.sales as select day::date as day, shop, amount, 'build-1' as build_id from (values
                    ('2026-11-01', 'a', 1), ('2026-11-02', 'a', 2), ('2026-11-02', 'b', 3), ('2026-11-02', 'b', 3)
                ) as sales (day, shop, amount)
            """)
        with duckdb.connect(str(build.file)) as file:
            file.execute(
                "create schema gold; create schema plan; create table plan.dates as select date '2026-11-02' as day"
            )
            file.execute(f"""
                create table gold.sales as select day::date as day, shop, amount, 'build-2' as build_id
                from (values {rows}) as sales (day, shop, amount)
            """)
            file.execute("create table gold.returns as select 7 as n")
        monkeypatch.setattr(dbt, "changes", lambda _: list(changes))
        return build

    return make


def told(build: Build, *schemas: str) -> list[tuple[str, int, int, list[tuple]]]:
    return [
        (one.table, one.gone, one.new, [tuple(str(value) for value in row.values()) for row in one.rows])
        for one in difference.differences(build, schemas or ("gold",))
    ]


def test_rows_that_would_go_or_come_are_listed_and_equal_ones_are_not(made: Made) -> None:
    build = made("('2026-11-02', 'a', 2), ('2026-11-02', 'b', 4), ('2026-11-02', 'b', 3)")
    assert told(build) == [
        ("gold.sales", 1, 1, [("before", "2026-11-02", "b", "3"), ("after", "2026-11-02", "b", "4")]),
    ]


def test_a_row_that_is_there_twice_counts_twice(made: Made) -> None:
    assert told(made("('2026-11-02', 'a', 2), ('2026-11-02', 'b', 3)")) == [
        ("gold.sales", 1, 0, [("before", "2026-11-02", "b", "3")]),
    ]


def test_a_build_of_the_same_rows_differs_in_nothing_though_its_id_does(made: Made) -> None:
    build = made("('2026-11-02', 'b', 3), ('2026-11-02', 'a', 2), ('2026-11-02', 'b', 3)")
    assert told(build) == []


def test_a_full_build_is_compared_with_the_whole_table(made: Made) -> None:
    build = made("('2026-11-02', 'b', 3), ('2026-11-02', 'a', 2), ('2026-11-02', 'b', 3)", full=True)
    assert told(build) == [("gold.sales", 1, 0, [("before", "2026-11-01", "a", "1")])]


def test_only_tables_of_the_chosen_layers_are_compared(made: Made) -> None:
    assert told(made("('2026-11-02', 'a', 9)"), "silver", "ops") == []


def test_a_table_or_a_column_that_the_state_lacks_is_new(made: Made) -> None:
    returns = Change("gold_returns", "gold", "returns", "", "", {}, ("n",), ("integer",), "", True)
    build = made("('2026-11-02', 'b', 3), ('2026-11-02', 'a', 2), ('2026-11-02', 'b', 3)", changes=(SALES, returns))
    with duckdb.connect(str(build.home.state)) as state:
        state.execute("alter table gold.sales drop column amount")
    assert [one[:3] for one in told(build)] == [("gold.sales", 3, 3), ("gold.returns", 0, 1)]
    assert ("before", "2026-11-02", "a", "None") in told(build)[0][3]


def test_a_bounded_number_of_rows_of_each_side_is_kept_and_all_are_counted(made: Made) -> None:
    build = made("('2026-11-02', 'a', 2)")
    with duckdb.connect(str(build.file)) as file:
        file.execute(
            "insert into gold.sales select date '2026-11-02', 'c', n, 'build-2' from range(2500) as numbers (n)"
        )
    ((table, gone, new, rows),) = told(build)
    assert (table, gone, new) == ("gold.sales", 2, 2500)
    assert [row[0] for row in rows] == ["before"] * 2 + ["after"] * 1000


def test_a_table_that_only_grows_keeps_its_rows_in_a_full_build(made: Made) -> None:
    history = replace(SALES, match_schema="gold", match_table="sales", by={"build_id": "build_id"})
    build = made("('2026-11-02', 'a', 2)", full=True, changes=(history,))
    assert told(build) == []
    Plan("build-2", "build-1", 2, False, "", "2026-11-03", (), ()).save(build.folder)
    assert told(build) == [("gold.sales", 0, 1, [("after", "2026-11-02", "a", "2")])]
