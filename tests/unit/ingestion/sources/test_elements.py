"""A line with a list is a record for each element, and every byte of it lands."""

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.contract import read_contracts
from ingestion.file_settings import Files
from ingestion.names import steps_of
from ingestion.sources import elements
from ingestion.sources.elements import expanded
from ingestion.sources.file_counts import _records
from ingestion.sources.lines import SCHEMA

PATH = "$.in['the list']"
CONTRACT = replace(read_contracts()["clickstream"], settings=Files("x", each=PATH))


def split(line: str, path: str) -> list[str]:
    return list(elements.split(line, path))


LINE = '{"id": 1.50, "items" : [ {"sku": "a\\u00e9]"} ,{"sku":"b","n":[1, 2]},3 ], "note":"[x]"}\r\n'


def test_each_element_stands_in_place_of_its_list_and_the_rest_stays_as_it_is() -> None:
    assert split(LINE, "$.items") == [
        '{"id": 1.50, "items" : {"sku": "a\\u00e9]"}, "note":"[x]"}\r\n',
        '{"id": 1.50, "items" : {"sku":"b","n":[1, 2]}, "note":"[x]"}\r\n',
        '{"id": 1.50, "items" : 3, "note":"[x]"}\r\n',
    ]
    deep = '\ufeff{"order":{"a b":{"lines":[1,2]}}}'
    assert split(deep, "$.order['a b'].lines") == [
        '\ufeff{"order":{"a b":{"lines":1}}}',
        '\ufeff{"order":{"a b":{"lines":2}}}',
    ]


def test_lists_on_the_way_are_taken_apart_and_elements_without_one_stay() -> None:
    line = '[ {"v": 1, "acts": [{"t": 1.0}, {"t": 2, "items": [ {"s": "a"} ,{"s": "b"}]}]},{"v": 2, "acts": []} ]\n'
    assert split(line, "$") == [
        '{"v": 1, "acts": [{"t": 1.0}, {"t": 2, "items": [ {"s": "a"} ,{"s": "b"}]}]}\n',
        '{"v": 2, "acts": []}\n',
    ]
    pieces = [
        '{"v": 1, "acts": {"t": 1.0}}\n',
        '{"v": 1, "acts": {"t": 2, "items": {"s": "a"}}}\n',
        '{"v": 1, "acts": {"t": 2, "items": {"s": "b"}}}\n',
        '{"v": 2, "acts": []}\n',
    ]
    assert split(line, "$.acts.items") == pieces
    contract = replace(CONTRACT, settings=Files("x", each="$.acts.items"))
    assert _records(line.encode(), contract) == len(pieces)
    assert split("[]\n", "$") == ["[]\n"] and split("[1, 2]", "$.items") == ["1", "2"]
    # a day on which no element has the list, and one that has a name twice
    none = '[{"v": 1, "acts": []},{"v": 2}]'
    assert split(none, "$.acts.items") == ['{"v": 1, "acts": []}', '{"v": 2}']
    twice = '[{"a": [1], "a": [2]},{"a": [3, 4]}]'
    assert split(twice, "$.a") == ['{"a": [1], "a": [2]}', '{"a": 3}', '{"a": 4}']
    for one in (none, twice):
        each = "$.a" if one is twice else "$.acts.items"
        assert _records(one.encode(), replace(CONTRACT, settings=Files("x", each=each))) == len(split(one, each))


NESTED = st.recursive(
    st.one_of(st.none(), st.integers(0, 9), st.just([]), st.just({})),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def taken_apart(value: Any, names: list[str]) -> list[Any] | None:
    """Split a value in plain Python; None if there is no list to split."""
    if isinstance(value, list):
        parts = [taken_apart(one, names) if names else [one] for one in value]
        if not any(parts):
            return None
        return [piece for one, part in zip(value, parts, strict=True) for piece in part or [one]]
    if isinstance(value, dict) and names and (part := taken_apart(value.get(names[0]), names[1:])):
        return [{**value, names[0]: one} for one in part]
    return None


@given(NESTED, st.sampled_from([[], ["a"], ["a", "b"], ["b", "a", "c"]]), st.booleans())
def test_any_lists_are_taken_apart_as_in_plain_python(value: Any, names: list[str], indent: bool) -> None:
    path = ".".join(["$", *names])
    line = json.dumps(value, separators=None if indent else (",", ":"))
    values = value if isinstance(value, list) and value else [value]
    expected = [piece for one in values for piece in (names and taken_apart(one, names)) or [one]]
    assert [json.loads(one) for one in split(line, path)] == expected
    assert _records(line.encode(), replace(CONTRACT, settings=Files("x", each=path))) == len(expected)


@pytest.mark.parametrize(
    "line",
    [
        *("", "x", "[]", '{"items":', '{"items": [1, 2]', '{"items": [1, 2],}', '{"items": [NaN, 1]}', "{}"),
        *('{"items": []}', '{"items": null}', '{"items": {"a": 1}}', '{"other": [1, 2]}', '{"items": [1, 2]} {}'),
        *('{"items": [1], "items": [2, 3]}', "[" * 100_000, '{"items": [1, 2], "n": "a\tb"}'),
    ],
)
def test_what_has_no_list_to_split_lands_as_it_is(line: str) -> None:
    assert split(line, "$.items") == [line]


def test_a_line_that_would_be_copied_too_often_lands_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "COPIED_BYTES", 40)
    assert len(split('{"items":[1,2]}', "$.items")) == 2
    assert len(split('{"items":[1,2],"note":"0123456789"}', "$.items")) == 1


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


@given(
    before=st.dictionaries(st.text(max_size=3), VALUES, max_size=2),
    found=st.lists(VALUES, max_size=4),
    after=VALUES,
    indent=st.booleans(),
    is_ascii=st.booleans(),
)
def test_any_line_is_split_as_its_values_are(
    before: dict[str, Any], found: list[Any], after: Any, indent: bool, is_ascii: bool
) -> None:
    whole = {**before, "in": {"x": before, "the list": found}, "after": after}
    line = json.dumps(whole, ensure_ascii=is_ascii, separators=None if indent else (",", ":"))
    pieces = split(line, PATH)
    if not found:
        assert pieces == [line]
    else:
        assert [json.loads(one) for one in pieces] == [{**whole, "in": {"x": before, "the list": one}} for one in found]
    # the count of a sweep, which shares no code with it, finds as many
    assert _records(line.encode(), CONTRACT) == len(pieces)


def test_a_table_keeps_the_file_and_the_number_of_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "_PART", 20)
    rows = [
        {"raw": '{"items":[1,2,3]}\n', "raw_bytes": None, "file": "f", "line_number": 1},
        {"raw": None, "raw_bytes": b"\xff\n", "file": "f", "line_number": 2},
        {"raw": '{"items":[4]}\n', "raw_bytes": None, "file": "f", "line_number": 3},
    ]
    tables = list(expanded(pa.Table.from_pylist(rows, SCHEMA), "$.items"))
    assert len(tables) > 1 and all(one.schema == SCHEMA for one in tables)
    assert [(row["raw"], row["raw_bytes"], row["line_number"]) for one in tables for row in one.to_pylist()] == [
        *((f'{{"items":{number}}}\n', None, 1) for number in (1, 2, 3)),
        (None, b"\xff\n", 2),
        ('{"items":4}\n', None, 3),
    ]


def test_the_path_of_a_list_has_names_alone() -> None:
    assert steps_of("$.order.line_items") == ("order", "line_items")
    assert steps_of("$.order['line items'].$x") == ("order", "line items", "$x")
    assert steps_of("$['a'].b") == steps_of("$.items[0]") == steps_of("items") == steps_of("$.a[key=b].c") == ()
