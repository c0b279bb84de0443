"""Which records a gold table is made of is read from its YAML; if that is missing, the error names file and field."""

from pathlib import Path

import pytest
import yaml

from ingestion.contract import PROJECT
from ingestion.errors import Permanent
from warehouse.lineage import gold_tables, read_gold, read_lineage

TRACE = {"from": "silver_order_items", "with": "silver_orders", "joined_by": "order_id", "by": {"day": "order_date"}}


def write(root: Path, meta: dict) -> Path:
    folder = root / "models" / "gold"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gold_sales.yml").write_text(
        yaml.safe_dump({"models": [{"name": "gold_sales", "config": {"meta": meta}}]})
    )
    return root


def test_a_lineage_says_how_rows_add_up(tmp_path: Path) -> None:
    meta = {
        "grain": ["day", "country"],
        "trace": TRACE | {"adds": {"units": "quantity", "lines": 1}, "where": "is_counted"},
    }
    found = read_lineage(write(tmp_path, meta))["sales"]
    assert (found.silver, found.joined, found.where) == (
        "silver.order_items",
        ("silver.orders", "order_id"),
        "is_counted",
    )
    assert found.grain == {"day": "order_date", "country": "country"}
    assert found.adds == {"units": "quantity", "lines": "1"} and found.counts == {}
    assert found.datasets == ("order_items", "orders")


def test_a_table_of_aggregates_has_none(tmp_path: Path) -> None:
    assert read_lineage(write(tmp_path, {"grain": ["day"]})) == {}


@pytest.mark.parametrize("missing", ["grain", "from", "joined_by"])
def test_what_is_not_said_is_named(tmp_path: Path, missing: str) -> None:
    meta = {"grain": ["day"], "trace": dict(TRACE)}
    (meta if missing == "grain" else meta["trace"]).pop(missing)
    with pytest.raises(Permanent, match=missing) as failure:
        read_lineage(write(tmp_path, meta))
    assert "gold_sales.yml" in str(failure.value)


def test_every_column_of_the_projects_lineages_is_one_of_its_table() -> None:
    for table, lineage in read_lineage().items():
        (model,) = yaml.safe_load((PROJECT / "models" / "gold" / f"gold_{table}.yml").read_text())["models"]
        columns = {column["name"] for column in model["columns"]}
        assert {*lineage.grain, *lineage.adds, *lineage.counts} <= columns, table


def test_the_gold_tables_are_those_of_the_models() -> None:
    assert [f"gold_{name}" for name in gold_tables()] == sorted(model["name"] for _, model in read_gold())
