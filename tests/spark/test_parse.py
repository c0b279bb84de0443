"""Spark parses records as DuckDB does: `parse_records` of both engines over the same ugly lines and rows, without a build."""

from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.spark.reading import Asked, assert_equal, both
from tests.unit.macros.parsing import lines

pytestmark = pytest.mark.spark

# Values of JSON as a producer may write them.
NUMBERS = """
0 -0 1 1.0 -1.50 1e0 1E5 1e10 1.5e10 1e15 1e16 1e20 1e21 1e-5 1e-7 0.000001 0.0000001 -0.0 0e0 123456789.12345678 5e-324 8.41e21 2e23
12345678901234567890 18446744073709551616 99999999999999999999 123456789012345678901234567890 12345678901234567890123456789012345678901234
-9223372036854775808 -9223372036854775809 1234567890123456.5 0.1234567890123456789 1234567890123456789.5 12345.6789e3 1.7976931348623157e308 1.2345678901234568e+16 12345678901234567.0 12345678901234568.0 1.234567890123456e-05
"""
VALUES = [
    *NUMBERS.split(),
    *(
        '"text"',
        '"é"',
        '"\\u00e9"',
        '"\\ud83d\\ude00"',
        '"😀 \\\\uD83D\\\\uDE00 \\\\\\\\"',
        '"\\u0000"',
        '"\\u0001number 1.5"',
        '["\\u0001number x", 1e10]',
        '"a\\/b"',
        '"a\\nb"',
        '"\\"q\\""',
    ),
    *('"\\\\"', '""', '" "', '"it\'s"', '"5"', '"1e10"', '"[]"', '"{\\"id\\":1}"', "true", "false", "null"),
    *("[]", "[ ]", "[[]]", '[1, 2.50, "a\\u00e9\\u001f\\/"]', "[null]", "[1e5,12345678901234567890123,0.10,1e22]"),
    *(
        "{}",
        '{ "b" : 1 , "a" : [ ] }',
        '{"a":1,"a":2}',
        '{"a":1.0e10,"b":0.12345678901234567}',
        '{"id":1,"id":2}',
        '{"id":null,"id":2}',
    ),
    *(
        '{"id":"a","\\u0069d":"b"}',
        '{"\\u0069d":"b","id":"a"}',
        '{"id":{"id":1,"id":2},"id":3}',
        '[{"id":1,"id":2}]',
        '[[{"id":1}]]',
    ),
]
# Lines that are no record, or hardly one.
NO_RECORDS = [
    *(
        b"no json\n",
        b"[]\n",
        b" [ ] \r\n",
        b"[1]\n",
        b"[[]]\n",
        b"5\n",
        b"null\n",
        b"\n",
        b'{"id":"a"',
        b'{"id":"\xff"}\n',
        b'{"id":"\xc3',
    ),
    *(
        b'\xef\xbb\xbf{"id":"bom","kind":"item"}\n',
        b'{"id":1,"id":2}\n',
        b'{"id":1,}\n',
        b'{"id":NaN,"kind":"item"}\n',
        b'{"id":"a"} x\n',
    ),
]
ANYTHING = ["string", "number", "boolean", "object", "array"]
ROWS = [
    None,
    "",
    "item",
    "ITEM",
    "credit-1",
    "a\nb",
    "é",
    "it's",
    "12345678901234567890",
    " ",
    "a\u2028b",
    "a\rb",
    "x\x0by",
    "x\u00a0y",
]


LINES = {
    "format": "json_lines",
    "each": "$.items",
    "where": [
        {"from": ["kind", "$.items.kind"], "is_not": ["", "/post.*/", "1e22", "[1]"]},
        {"from": "$.shop.id", "is_not": ["2", "1.0"]},
    ],
}
COLUMNS: dict[str, dict[str, Any]] = {
    "order_id": {"join": ["id", "$.shop.id", "$.items.id"], "json_types": ANYTHING},
    "line_number": {"join": ["$.items.sku", "$.items.id"], "hash": True, "json_types": ["string", "integer"]},
    "product_id": {"from": ["$.items.product.id", "$.items[0].id", "pid"], "json_types": ANYTHING},
    "quantity": {"from": "$.items.n"},
    "unit_price": {"from": ["$.items.price", "price"]},
}


def test_lines_are_the_same_whatever_is_in_them(asked: Asked, tmp_path: Path) -> None:
    texts = []
    places = (
        "id",
        "shop",
        "kind",
        "pid",
        "price",
        "items",
        "items.id",
        "items.sku",
        "items.product",
        "items.n",
        "items.kind",
        "items.price",
    )
    for number, (place, value) in enumerate(product(places, VALUES)):
        parts = {"id": f'"o{number}"', "kind": '"item"'}
        item = {"id": '"i"', "sku": f'"s{number % 7}"', "n": "1", "price": "1.5"}
        (item if place.startswith("items.") else parts)[place.removeprefix("items.")] = value
        if place != "items":
            parts["items"] = "{" + ",".join(f'"{name}":{one}' for name, one in item.items()) + "}"
        texts.append(("{" + ",".join(f'"{name}": {one}' for name, one in parts.items()) + "}").encode() + b"\n")
    texts += NO_RECORDS
    texts.append(("{" + ",".join(f'"k{n}":[{n},{{"id":{n}}}]' for n in range(3000)) + "}").encode() + b"\n")
    one, other = both(asked, tmp_path, "order_items", lines(texts), columns=COLUMNS, **LINES)
    assert_equal(one, other, texts)
    kinds = {(row["reasons"] or [None])[0] for row in one}
    assert {None, "not_selected", "broken_json", "invalid_utf8", "half_line", "duplicate_key", "not_an_object"} <= kinds


def test_an_object_is_the_same_text_whatever_is_in_it(asked: Asked, tmp_path: Path) -> None:
    event = '{"event_id":"%s","event_type":"page_view","event_time":"2026-11-01T10:00:00Z","visitor_id":"v","properties":{"a": %s, "b" :[%s,{"c":%s}]}}\n'
    texts = [(event % (number, *[value] * 3)).encode() for number, value in enumerate(VALUES)]
    one, other = both(asked, tmp_path, "clickstream", lines(texts))
    assert_equal(one, other, texts)
    assert [row["reasons"] for row in one] == [None] * len(texts)


WHERE: list[dict[str, Any]] = [
    {"from": ["Kind", "kind 2"], "is": ["item", "/(?i)É|credit.*/", "it's", "/a.b/", "/\\d+/", "/x\\sy|\\s/"]},
    {"from": "Other's", "is_not": ["", "/.\\bé/", "/.*\\'/", "a'b\\"]},
]


def test_rows_are_the_same_whatever_is_in_them(asked: Asked, tmp_path: Path) -> None:
    texts = [
        {"Kind": one, "kind 2": other, "Other's": last}
        for one, other, last in product(ROWS, ROWS, ["x", None, "", "aé", "a'b\\", "5'"])
    ]
    for number, row in enumerate(texts):
        row |= {"order_id": "o" if number % 3 else None, "Line": str(number % 11), "quantity": "1", "unit_price": "1.5"}
    table = pa.table({name: pa.array([row[name] for row in texts], pa.string()) for name in texts[0]})
    columns: dict[str, dict[str, Any]] = {
        "order_id": {"join": ["Order", "order_id", "Kind"]},
        "line_number": {"join": ["Line", "Kind", "Other's"], "hash": True},
        "product_id": {"from": ["kind 2", "Kind"], "values": {"item": ["/item.*/", "it's"]}},
    }
    one, other = both(asked, tmp_path, "order_items", table, columns=columns, where=WHERE)
    assert_equal(one, other, texts)
    assert {(row["reasons"] or [None])[0] for row in one} == {None, "not_selected", "missing:order_id"}
