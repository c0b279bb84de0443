"""Values deep in lines become columns with the paths by which DuckDB finds the same values."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.columns import read_column
from ingestion.names import is_path, text_in_raw
from operations import leaves
from operations.leaves import find_leaves

NAMES = st.sampled_from(
    [
        "a",
        "b",
        "page",
        "x-y",
        "@id",
        "Größe",
        "with blank",
        "a.b",
        "",
        "$browser",
        "[Amplitude] City",
        "it's",
        "{{ x }}",
    ]
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.sampled_from(["", "x", "2026-11-01"]))
PAIRS = st.dictionaries(st.sampled_from(["url", "id", "x y", "a=b"]), SCALARS, max_size=3).map(
    lambda found: [{"key": key, "value": {"string_value": value}} for key, value in found.items()]
)
VALUES = st.recursive(
    st.one_of(SCALARS, PAIRS),
    lambda inner: st.one_of(st.dictionaries(NAMES, inner, max_size=3), st.lists(inner, max_size=2)),
    max_leaves=6,
)


def text_of(value: Any) -> str | None:
    """Return a value as DuckDB writes it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@given(lines=st.lists(st.dictionaries(NAMES, VALUES, max_size=3), min_size=1, max_size=4))
def test_a_contract_reads_the_same_values_by_the_paths(lines: list[dict[str, Any]]) -> None:
    found = find_leaves(lines)
    paths = [name for name in found.columns if name in found.labels]
    rows = list(found.rows)
    assert all(is_path(path) for path in paths)
    with duckdb.connect() as connection:
        for path in paths:
            column = {"name": "x", "data_type": "varchar", "config": {"meta": {"from": path}}}
            assert read_column(column, Path("x.yml"), "x").source_names == (path,)
            query = f"select {text_in_raw((path,))} from (select ?::json as raw)"
            for line, row in zip(lines, rows, strict=True):
                ((text,),) = connection.execute(query, [json.dumps(line)]).fetchall()
                assert text == text_of(row.get(path)), (path, line)


GA4 = {
    "event_params": [
        {"key": "page_location", "value": {"string_value": "https://x/"}},
        {"key": "engaged", "value": {"int_value": "1"}},
    ],
    "items": [{"item_id": "A", "price": 1}, {"item_id": "B", "price": 2}],
    "device": {"web": {"browser": "x"}, "names": ["a"], "none": None, "empty": {}},
    "plain": 1,
}


def test_the_columns_come_in_the_order_of_the_lines_and_have_words() -> None:
    other = {"event_params": [{"key": "engaged", "value": {"string_value": "1"}}], "device": None, "more": "x"}
    found = find_leaves([GA4, other])
    assert found.labels == {
        "$.event_params[key=page_location].value.string_value": "event_params page_location",
        "$.event_params[key=engaged].value.int_value": "event_params engaged int_value",
        "$.event_params[key=engaged].value.string_value": "event_params engaged string_value",
        "$.device.web.browser": "device web browser",
        "$.device.names": "device names",
        "$.device.empty": "device empty",
    }
    paths = list(found.labels)
    assert found.columns == (*paths[:3], "items", *paths[3:], "plain", "more")
    first, second = found.rows
    assert second == {"$.event_params[key=engaged].value.string_value": "1", "more": "x"}
    assert first["items"] == GA4["items"] and found.left_out == ()


def test_what_is_no_object_in_each_line_stays_one_column() -> None:
    found = find_leaves([{"a": {"x": 1}, "b": {"k": 1}}, {"a": "text", "b": {"k": 2}}])
    assert found.columns == ("a", "$.b.k") and [row["a"] for row in found.rows] == [{"x": 1}, "text"]
    repeated = [{"p": [{"key": "a", "value": 1}, {"key": "a", "value": 2}]}]
    assert find_leaves(repeated).columns == ("p",)
    odd = [{"_id": {"it's": "x"}, "all": {"a=b": 1, "c": 2}, "more": {"d": {"{{ x }}": "x"}, "e": 1}}]
    assert find_leaves(odd).columns == ("_id", "all", "$.more.d", "$.more.e")


def test_names_with_other_signs_are_in_quotes_where_they_have_to_be() -> None:
    exported = [{"_id": {"$oid": "x"}, "properties": {"$current_url": "/a", "Total Price": 1, "utm.source": "b"}}]
    names = ("$._id.$oid", "$.properties.$current_url", "$.properties['Total Price']", "$.properties['utm.source']")
    assert find_leaves(exported).columns == names
    by_date = [{"days": {f"2026-11-{day:02}": day for day in range(1, 29)} | {f"d{n}": n for n in range(40)}}]
    assert find_leaves(by_date).columns == ("days",)


def test_depth_and_number_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    deep: Any = 1
    for _ in range(12):
        deep = {"a": deep}
    (path,) = find_leaves([{"x": deep}]).columns
    assert path == "$.x" + ".a" * (leaves.DEPTH - 1)
    monkeypatch.setattr(leaves, "LEAVES", 3)
    lines = [{"x": {f"n{number}": 1 for number in range(number, 6)}} for number in range(6)]
    found = find_leaves(lines)
    assert found.columns == ("$.x.n3", "$.x.n4", "$.x.n5")
    assert found.left_out == ("$.x.n0", "$.x.n1", "$.x.n2")
