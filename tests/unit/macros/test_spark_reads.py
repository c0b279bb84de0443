"""What a contract may say that Spark does not read stops a build with the next command; all else is read."""

from typing import Any

import pytest

from tests.unit.macros.dbt_like import project_of
from tests.unit.macros.parsing import contract_with

READ: list[dict[str, Any]] = [
    {"from": ["a", "b"]},
    {"join": ["a", "$.b.c"], "json_types": ["string", "number"]},
    {"from": "$.properties['utm.source'].x[0]"},
    {"pattern": r"\[\d+\] [a-z]+(?:x|[^]y])?"},
    {"values": {"one": ["/(?i)eins|/", "1"]}},
]
NOT_READ: list[tuple[dict[str, Any], str]] = [
    ({"from": "$.list[key=a].value"}, "a search in a list"),
    ({"from": "it's"}, "the name it's"),
    ({"from": "$.a['b?']"}, r"the name \$.a\['b\?'\]"),
    ({"from": "*"}, r"the name \*"),
    ({"row_id": True}, "row_id"),
    ({"values": {r"\1": "/(a)b/"}}, "values made of parts"),
    ({"pattern": "[a[b]"}, "the pattern"),
    ({"pattern": "[a-z&&[^b]]"}, "the pattern"),
    ({"pattern": "(?m)a"}, "the pattern"),
    ({"values": {"one": ["/(?U)a+/"]}}, "the pattern"),
    ({"time_format": "%d.%m.%Y"}, "time_format"),
]


def read(column: dict[str, Any], **meta: Any) -> None:
    contract = contract_with("order_items", {}, {"product_id": column}, format="json_lines", **meta)
    macros = project_of("spark", lambda _: [()], {"order_items": contract})
    macros["assert_spark_reads"](macros["contract"]("order_items"), macros["places_in_line"]("order_items"))


@pytest.mark.parametrize("column", READ, ids=str)
def test_spark_reads(column: dict[str, Any]) -> None:
    read(column)
    read(column, each="$.items", where=[{"from": "$.b", "is": ["", "/a+/"]}])


@pytest.mark.parametrize(("column", "said"), NOT_READ, ids=str)
def test_what_spark_does_not_read_is_an_error(column: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"the contract says {said}.* for product_id.* without --engine spark"):
        read(column)


@pytest.mark.parametrize(
    "condition", [{"from": "$.a[b=c].d", "is": "x"}, {"from": "a", "is_not": ["x", "/[[:alpha:]]/"]}], ids=str
)
def test_so_is_a_condition(condition: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="which Spark does not read"):
        read({}, where=[condition])
