"""What a changed model does to the tables of the state, without dbt."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import Permanent
from warehouse import apply, shape
from warehouse.dbt import Change, Declared

SALES = {"sale_date": "date", "shop": "varchar", "amount": "decimal(18,4)"}
HAD = {"sale_date": "DATE", "shop": "VARCHAR", "amount": "DECIMAL(18,4)"}


def declared(columns: dict[str, str] | None = None, name: str = "sales", **more: Any) -> Declared:
    identity = frozenset({"sale_date", "shop"})
    required = frozenset(more.pop("required", ()))
    return Declared(
        ("gold", name),
        SALES if columns is None else columns,
        identity,
        required,
        ("sale_date", "shop"),
        "x.yml",
        **more,
    )


def compare(*models: Declared, found: dict[shape.Name, dict[str, str]] | None = None) -> shape.Reshaping:
    with duckdb.connect() as connection:
        types = shape.canonical(connection, models)
    return shape.compare(models, types, {("gold", "sales"): HAD} if found is None else found)


def test_the_same_in_other_words_is_no_change() -> None:
    words = {"sale_date": "date", "shop": "text", "amount": "numeric(18, 4)"}
    assert compare(declared(words)) == shape.Reshaping()


def test_a_column_may_come_or_go() -> None:
    come = compare(declared(SALES | {"visits": "bigint"}))
    assert come.refused == () and "gold.sales.visits is new" in come.done[0] and "stale" in come.done[0]
    gone = compare(declared({name: kind for name, kind in SALES.items() if name != "amount"}))
    assert gone == shape.Reshaping(done=("gold.sales.amount is dropped",))


@pytest.mark.parametrize(
    ("columns", "required", "said"),
    [
        (SALES | {"amount": "varchar"}, [], "gold.sales.amount was DECIMAL(18,4) and is now VARCHAR"),
        ({"sale_date": "date", "shop": "varchar", "revenue": "decimal(18,4)"}, [], "has revenue but no longer amount"),
        (SALES | {"visits": "bigint"}, ["visits"], "must not be null"),
    ],
)
def test_what_would_make_old_rows_wrong_is_refused(columns: dict[str, str], required: list[str], said: str) -> None:
    found = compare(declared(columns, required=required))
    assert said in found.refused[0] and found.done == ()
    # allowed if the whole table is rebuilt: no row is from an earlier build
    assert compare(declared(columns, required=required, is_made_whole=True)) == shape.Reshaping()


def test_a_column_that_says_which_row_is_which_is_refused() -> None:
    had = {("gold", "sales"): {name: kind for name, kind in HAD.items() if name != "shop"}}
    assert "part of the row's identity" in compare(declared(), found=had).refused[0]


def test_a_table_may_come_or_go_and_both_may_be_a_new_name() -> None:
    found = {("gold", "sales"): HAD, ("ops", "builds"): {"build_id": "VARCHAR"}}
    assert compare(declared(), declared(name="returns"), found=found).done == (
        f"gold.returns is new: it holds only the dates built from now on; {shape._FULL}, with the older dates",
    )
    assert compare(found=found).done == ("no model makes gold.sales any more: it is dropped",)
    assert compare(declared(name="returns"), found=found).refused == (
        "gold.returns appeared and gold.sales disappeared, which may be a renamed table",
    )
    assert compare(declared(), found={}) == shape.Reshaping()


def test_a_type_that_is_none_names_the_file() -> None:
    with pytest.raises(Permanent, match=r"amount of gold.sales .* 'money' \(x.yml\)"):
        compare(declared({"amount": "money"}))


@pytest.fixture
def files(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a state, and a build that has only one of its tables, with another column."""
    with duckdb.connect(str(tmp_path / "build.duckdb")) as build:
        build.execute(
            "create schema gold; create schema plan; create table plan.dates as select date '2026-01-02' as sale_date"
        )
        build.execute("create table gold.sales as select date '2026-01-02' as sale_date, 'b' as shop, 7 as visits")
    with duckdb.connect() as state:
        state.execute("create schema gold; create schema ops; create table ops.builds (build_id varchar)")
        state.execute(
            "create table gold.sales as select date '2026-01-01' + n::int as sale_date, 'a' as shop, 5 as amount from range(2) as r (n)"
        )
        state.execute("create view gold.shops as select shop from gold.sales; create table gold.old as select 1 as n")
        state.execute(f"attach '{tmp_path / 'build.duckdb'}' as build (read_only)")
        yield state


def test_tables_take_the_shape_of_the_models_in_one_transaction(files: duckdb.DuckDBPyConnection) -> None:
    change = Change(
        "gold_sales", "gold", "sales", "plan", "dates", {"sale_date": "sale_date"},
        ("sale_date", "shop", "visits"), ("date", "varchar", "integer"), "", is_published=True,
    )  # fmt: skip
    files.execute("begin")
    had, built = shape.read(files), shape.read(files, "build")
    assert apply.left_over([change], had) == [("gold", "old"), ("gold", "shops")]
    (replacement,) = apply.replacements(files, [change], built, shape.read(files))
    for statement in apply.statements(replacement, had, built):
        files.execute(statement)
    files.execute("commit")
    assert shape.read(files)["gold", "sales"] == {"sale_date": "DATE", "shop": "VARCHAR", "visits": "INTEGER"}
    rows = files.execute("select sale_date::varchar, shop, visits from gold.sales order by all").fetchall()
    assert rows == [("2026-01-01", "a", None), ("2026-01-02", "b", 7)]


def test_another_type_is_never_forced_into_the_state(files: duckdb.DuckDBPyConnection) -> None:
    files.execute("alter table gold.sales add column visits varchar")
    change = Change(
        "gold_sales", "gold", "sales", "plan", "dates", {"sale_date": "sale_date"},
        ("sale_date", "shop", "visits"), ("date", "varchar", "integer"), "", is_published=True,
    )  # fmt: skip
    built = shape.read(files, "build")
    (replacement,) = apply.replacements(files, [change], built, shape.read(files))
    with pytest.raises(Permanent, match=r"gold.sales.visits is VARCHAR in the state but INTEGER in the build"):
        apply.statements(replacement, shape.read(files), built)
