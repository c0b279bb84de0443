"""`where` in a contract: what it may say, and what is an error that names the field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion.contract import read_contract
from ingestion.errors import Permanent
from ingestion.selection import Condition

META = {
    **{"contract_version": 1, "source": "exports", "format": "rows", "key": ["id"], "cadence": "1 day"},
    **{"lateness": "2 days", "owner": "team", "location": "/exports/{date}.csv"},
}


def where(folder: Path, said: Any, **meta: Any) -> tuple[Condition, ...]:
    """Return the conditions of a contract that says these."""
    table = {
        "name": "things",
        "config": {"meta": {**META, **meta, "where": said}},
        "columns": [{"name": "id", "data_type": "varchar"}],
    }
    path = folder / "staging_things.yml"
    path.write_text(yaml.safe_dump({"sources": [{"name": "bronze", "tables": [table]}]}))
    return read_contract(path).where


def test_conditions_are_read(tmp_path: Path):
    said = [{"from": ["Type", "Kind"], "is": ["item", "/credit.*/"]}, {"from": "Code", "is_not": ""}]
    assert where(tmp_path, said) == (
        Condition(("Type", "Kind"), ("item", "/credit.*/")),
        Condition(("Code",), (), ("",)),
    )
    listed = where(tmp_path, [{"from": "a", "is": "x"}], format="json_lines", each="$.items")
    assert listed == (Condition(("a",), ("x",)), Condition(("$.items",), (), ("", "[]")))
    lines = where(tmp_path, [{"from": "$.a.b", "is": "x"}], format="json_lines")
    assert lines == (Condition(("$.a.b",), ("x",)),)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"from": "a", "is": "b"}, "where"),
        ([], "where"),
        ([{"is": "b"}], "where.from"),
        ([{"from": "a"}], "where.is"),
        ([{"from": "a", "is": "b", "is_not": "c"}], "where.is"),
        ([{"from": "a", "is": []}], "where.is"),
        ([{"from": "a", "is": [1]}], "where.is"),
        ([{"from": "a", "is": "/(/"}], "where.is"),
        ([{"from": "a", "equals": "b"}], "where.equals"),
        ([{"from": 'a"b', "is": "c"}], "where.from"),
        ([{"from": "$.a", "is": "c"}], "where.from"),
    ],
)
def test_what_cannot_be_a_condition_names_its_field(tmp_path: Path, said: Any, field: str):
    with pytest.raises(Permanent) as refused:
        where(tmp_path, said)
    assert f"things.{field} " in str(refused.value)


@pytest.mark.parametrize(
    ("read", "query"),
    [
        (
            {"table": "My Sales.orderLines"},
            """select * from "My Sales"."orderLines" where (coalesce("Kind"::text, '') in ('it''s', ''))"""
            """ and not (coalesce(nullif("a"::text, ''), "b"::text, '') ~ '^(C\\d+)$')""",
        ),
        (
            {"query": "select * from t"},
            """select * from (select * from t) as rows where (coalesce("Kind"::text, '') in ('it''s', ''))"""
            """ and not (coalesce(nullif("a"::text, ''), "b"::text, '') ~ '^(C\\d+)$')""",
        ),
    ],
)
def test_rows_of_a_table_are_chosen_by_its_query(tmp_path: Path, read: dict[str, str], query: str):
    meta = {name: value for name, value in {**META, "connection": "erp", **read}.items() if name != "location"}
    meta["where"] = [{"from": "Kind", "is": ["it's", ""]}, {"from": ["a", "b"], "is_not": "/C\\d+/"}]
    body = {"name": "things", "config": {"meta": meta}, "columns": [{"name": "id", "data_type": "varchar"}]}
    path = tmp_path / "staging_things.yml"
    path.write_text(yaml.safe_dump({"sources": [{"name": "bronze", "tables": [body]}]}))
    with pytest.raises(Permanent) as refused:
        read_contract(path)
    assert yaml.safe_load(refused.value.todo.partition("write ")[2]) == {"query": query}
