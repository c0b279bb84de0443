"""The published tables are described by their comments, and gold also by its YAML. For the commands: cli/test_gold.py."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import Permanent
from ingestion.home import Home
from operations import describe
from operations.describe import Column

MODEL = {
    "name": "gold_sales",
    "config": {
        "meta": {
            "grain": ["day", "shop_number"],
            "owner": "us",
            "dashboard": "select day, shop_number, count(*) as n, sum(amount) as amount, 1::double as share, 'x' as note, true as is_new "
            "from gold.sales group by all order by all",
        }
    },
}
TABLES = """
    create schema ops; create schema silver; create schema gold; create schema plan;
    create table gold.sales as
    select date '2026-11-01' + n::integer as day, 1 as shop_number, (n * 1.5)::decimal(18, 4) as amount from range(3) as numbers (n);
    create table gold.plain as select 1 as n; create table silver.orders (order_id varchar); create table silver.sales (sale_id varchar); create table ops.builds (build_id varchar);
    create table plan.dates (day date);
    comment on table gold.sales is 'One row per sale.'; comment on column gold.sales.amount is 'Dollars.';
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    def gold() -> Iterator[tuple[Path, dict[str, object]]]:
        yield Path("gold_sales.yml"), MODEL

    monkeypatch.setattr(describe, "read_gold", gold)
    home = Home(tmp_path, tmp_path)
    home.published.parent.mkdir()
    with duckdb.connect(str(home.published)) as published:
        published.execute(TABLES)
    return home


def test_the_tables_of_readers_are_listed_gold_first(home: Home) -> None:
    found = describe.read_tables(home)
    assert [(one.name, one.rows) for one in found] == [
        ("gold.plain", 1),
        ("gold.sales", 3),
        ("silver.orders", 0),
        ("silver.sales", 0),
        ("ops.builds", 0),
    ]
    assert (found[1].description, found[1].grain, found[1].owner) == ("One row per sale.", ("day", "shop_number"), "us")
    assert (found[2].description, found[2].grain, found[2].owner, found[2].dashboard) == ("", (), "", "")


@pytest.mark.parametrize("name", ["sales", "gold.sales"])
def test_a_table_is_found_with_and_without_its_schema(home: Home, name: str) -> None:
    table, columns = describe.read_table(home, name)
    assert table.name == "gold.sales"
    assert columns == [
        Column("day", "date", ""),
        Column("shop_number", "integer", ""),
        Column("amount", "decimal(18,4)", "Dollars."),
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sale", "did you mean 'sales'"),
        ("gold.sale", "did you mean 'gold.sales'"),
        ("plan.dates", "there is no published table 'plan.dates'"),
        ("", "there is no published table ''"),
        ("sales; drop table gold.sales", "there is no published table"),
    ],
)
def test_an_unknown_table_is_an_error_that_suggests_a_near_one(home: Home, name: str, said: str) -> None:
    with pytest.raises(Permanent, match=said):
        describe.read_table(home, name)
    assert describe.read_table(home, "sales")[0].rows == 3


def test_a_dashboard_has_numbers_outside_the_grain_as_measures(home: Home) -> None:
    table, rows, measures = describe.ask_dashboard(home, "sales")
    assert table.name == "gold.sales" and measures == ["n", "amount", "share"]
    assert [str(row["amount"]) for row in rows] == ["0.0000", "1.5000", "3.0000"]
    for name in ("plain", "builds"):
        with pytest.raises(Permanent, match="has no dashboard query"):
            describe.ask_dashboard(home, name)


def test_before_the_first_build_nothing_is_published(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="nothing is published yet"):
        describe.read_tables(Home(tmp_path, tmp_path))
