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
    {"pattern": r"[\w]+|[^\s]"},
    {"values": {r"\1": [r"/(\d+)[.]0/", "/0*(?:ab?)+(.+)/"], r"\2\\": "/[(*](a*)(b)/"}},
    {"from": ["$.list[key=a].value", "$.a.list[n=7].b[0]['c.d']", "$.list[is=true]"]},
    {"row_id": True},
    {"decimal": ",", "thousands": ".", "symbol": ["€", "EUR"], "percent": True},
    *(
        {"time_format": one}
        for one in (
            "seconds",
            "milliseconds",
            "microseconds",
            "excel",
            "%d.%m.%Y %I:%M %p",
            "%a, %d %b %y %H:%M:%S.%f %z",
        )
    ),
]
NOT_READ: list[tuple[dict[str, Any], str]] = [
    ({"from": "$.list[key=1.5].value"}, "the search in a list"),
    ({"from": "$.list[key=-0].value"}, "the search in a list"),
    ({"from": "$.list[key={}].value"}, "the search in a list"),
    ({"from": "$.list[key=12345678901234567890].value"}, "the search in a list"),
    ({"from": "$.a['b?'][key=a]"}, r"the name \$.a\['b\?'\]"),
    ({"from": "it's"}, "the name it's"),
    ({"from": "$.a['b?']"}, r"the name \$.a\['b\?'\]"),
    ({"from": "*"}, r"the name \*"),
    ({"values": {r"\1": "/(a*)*b/"}}, "a value made of parts"),
    ({"values": {r"\1": "/(?:a|b?){2}(c)/"}}, "a value made of parts"),
    ({"values": {r"\a\1": "/(a)/"}}, "a value made of parts"),
    ({"pattern": "[a[b]"}, "the pattern"),
    ({"pattern": "[a-z&&[^b]]"}, "the pattern"),
    ({"pattern": "(?m)a"}, "the pattern"),
    ({"values": {"one": ["/(?U)a+/"]}}, "the pattern"),
    *(({"time_format": one}, "time_format") for one in (" %Y", "%Y %H %I", "%b %m %Y", "%Y %y", "%Y %z:%S")),
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
    "condition", [{"from": "$.a[b=1e5].d", "is": "x"}, {"from": "a", "is_not": ["x", "/[[:alpha:]]/"]}], ids=str
)
def test_so_is_a_condition(condition: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="which Spark does not read"):
        read({}, where=[condition])
