"""Which columns are not published: those a contract marks, never a key, and none if the contract publishes them."""

from dataclasses import replace

import pytest
import yaml

from ingestion.contract import PROJECT, read_contracts
from warehouse.dbt import Change
from warehouse.lineage import read_gold
from warehouse.personal import (
    for_readers,
    hidden,
    left_out,
    not_in_findings,
    published_layers,
    published_silver,
)

CONTRACTS = read_contracts()
# Ids that gold keeps. Its rows are about them, and they identify nobody without silver.
IDS = {"customer_id", "visitor_id"}


def change(schema: str, table: str) -> Change:
    columns = ("customer_id", "Email", "country")
    return Change("m", schema, table, "", "", {}, columns, ("varchar", "text", "char"), "", True)


def test_names_and_addresses_of_customers_are_left_out() -> None:
    assert left_out()["customers"] == {"email", "full_name"}
    assert "customers" in published_silver(PROJECT)


def test_gold_and_the_accounts_are_published_whole_and_silver_table_by_table() -> None:
    """Only silver models decide for themselves; elsewhere, the folder decides."""
    assert set(published_layers()) == {"gold", "ops"}
    saying = {
        model["name"]
        for path in (PROJECT / "models").rglob("*.yml")
        for model in yaml.safe_load(path.read_text()).get("models", [])
        if "publish" in model.get("config", {}).get("meta", {})
    }
    assert saying == {f"silver_{name}" for name in published_silver()}


def test_a_contract_may_publish_them() -> None:
    assert "customers" not in left_out({"customers": replace(CONTRACTS["customers"], publish_personal=True)})


def test_a_key_stays() -> None:
    marked = tuple(replace(column, personal=True) for column in CONTRACTS["customers"].columns)
    found = left_out({"customers": replace(CONTRACTS["customers"], columns=marked)})["customers"]
    assert "customer_id" not in found and "country" in found


def test_a_change_loses_the_columns_and_their_types() -> None:
    found = for_readers(change("silver", "customers"), left_out())
    assert (found.columns, found.types) == (("customer_id", "country"), ("varchar", "char"))
    assert for_readers(change("gold", "customers"), left_out()) == change("gold", "customers")
    assert hidden("gold", "customers", left_out()) == frozenset()


@pytest.mark.parametrize("model", [model for _, model in read_gold()], ids=lambda model: model["name"])
def test_no_gold_table_bears_personal_data_but_ids(model: dict) -> None:
    marked: set[str] = {column.name for one in CONTRACTS.values() for column in one.columns if column.personal}
    assert not ({column["name"] for column in model["columns"]} & marked) - IDS


def test_findings_show_no_marked_column_and_no_raw_record() -> None:
    assert not_in_findings() == {"customer_id", "email", "full_name", "raw", "user_agent", "visitor_id"}
