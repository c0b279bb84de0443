"""`where` of a contract: rows and lines that are not a dataset's records, compared with plain Python."""

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.unit.macros.parsing import Row, lines, parsed

LINE = {"order_id": "o1", "line_number": "1", "quantity": "1", "unit_price": "1"}
TEXTS = [None, "", "item", "ITEM", "credit", "credit-1", "postage", "a'b"]
CONDITIONS: list[dict[str, Any]] = [
    {"from": "Type", "is": "item"},
    {"from": "Type", "is": ["item", "/credit.*/"]},
    {"from": "type", "is_not": ["postage", "a'b"]},
    {"from": "Type", "is_not": ["", "/c.*/"]},
    {"from": "Type", "is": [""]},
    {"from": ["Kind", "Type"], "is": ["item", "postage"]},
]


def holds(condition: dict[str, Any], row: dict[str, str | None], names: dict[str, str]) -> bool:
    """Say whether a row meets a condition. `names` maps those of a condition to those of the row."""
    asked = condition["from"] if isinstance(condition["from"], list) else [condition["from"]]
    text = next((value for name in asked if (value := row.get(names.get(name, name))) is not None), None)
    said = condition.get("is", condition.get("is_not"))
    found = False
    for one in said if isinstance(said, list) else [said]:
        if one == "":
            found |= not text
        elif one.startswith("/"):
            found |= text is not None and bool(re.fullmatch(one[1:-1], text))
        else:
            found |= text == one
    return found if "is" in condition else not found


def rows(folder: Path, texts: list[dict[str, str | None]], where: list[dict[str, Any]]) -> list[Row]:
    names = list(dict.fromkeys(name for row in texts for name in row))
    table = pa.table({name: pa.array([row.get(name) for row in texts], pa.string()) for name in names})
    return parsed("order_items", folder, table, source="orders", where=where)


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_rows_are_selected_as_in_python(tmp_path: Path, condition: dict[str, Any]):
    given = [LINE | {"Type": text, "Kind": kind} for text, kind in product(TEXTS, [None, "item"])]
    found = rows(tmp_path, given, [condition])
    expected = [None if holds(condition, row, {"type": "Type"}) else ["not_selected"] for row in given]
    assert [row["reasons"] for row in found] == expected
    assert len(found) == len(given) and 0 < expected.count(None) < len(given)


def test_all_conditions_must_hold(tmp_path: Path):
    where = [{"from": "Type", "is": "item"}, {"from": "unit_price", "is_not": "/-.*/"}]
    given = [LINE | {"Type": kind, "unit_price": price} for kind, price in product(["item", "x"], ["1", "-1"])]
    assert [row["reasons"] for row in rows(tmp_path, given, where)] == [None, *[["not_selected"]] * 3]


def test_what_is_not_selected_is_not_judged_and_bronze_keeps_it(tmp_path: Path):
    given = [LINE | {"Type": "postage", "quantity": "many"}, LINE | {"Type": "item", "quantity": "many"}]
    other, refused = rows(tmp_path, given, [{"from": "Type", "is": "item"}])
    assert (other["reasons"], other["raw"], other["money_amount"]) == (["not_selected"], None, None)
    assert refused["reasons"] == ["not_parsed:quantity"] and json.loads(refused["raw"])["Type"] == "item"


def test_lines_are_selected_by_what_is_deep_in_them(tmp_path: Path):
    event = {"event_id": "e", "event_type": "click", "event_time": "2026-11-01T10:00:00Z", "visitor_id": "v"}
    apps: list[Any] = ["shop", "blog", None, 7, True]
    texts = [json.dumps(event | {"context": {"app": app}}).encode() + b"\n" for app in apps]
    texts += [json.dumps(event).encode() + b"\n", b"no json\n", b"\xef\xbb\xbf" + texts[0]]
    where = [{"from": "$.context.app", "is": ["shop", "7", "true"]}]
    found = parsed("clickstream", tmp_path, lines(texts), where=where)
    left_out = ["not_selected"]
    assert [row["reasons"] for row in found] == [
        *(None, left_out, left_out, None, None),
        *(left_out, ["broken_json"], None),
    ]


def test_a_line_in_the_usual_form_is_selected_as_any_other(tmp_path: Path):
    texts = [
        json.dumps(
            {
                "event_id": str(n),
                "event_type": "click",
                "event_time": "2026-11-01T10:00:00Z",
                "visitor_id": "v",
                "app": app,
            }
        ).encode()
        + b"\n"
        for n, app in enumerate(["shop", "blog"] * 20)
    ]
    found = parsed("clickstream", tmp_path, lines(texts), where=[{"from": "app", "is_not": "blog"}])
    assert [row["reasons"] for row in found] == [None, ["not_selected"]] * 20


def test_an_answer_without_elements_is_not_selected(tmp_path: Path):
    found = parsed("clickstream", tmp_path, lines([b"[]\n", b" [ ]\r\n", b"[1]\n"]), each="$")
    assert [row["reasons"] for row in found] == [["not_selected"], ["not_selected"], ["not_an_object"]]
    assert [row["raw"] for row in found] == [None, None, "[1]\n"]
