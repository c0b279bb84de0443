"""Lines in the form that most lines of a build have take a short way through the parser: it must lead to the same records."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.unit.macros import parsing
from tests.unit.macros.dbt_like import project
from tests.unit.macros.parsing import Row, lines, parsed

EVENT = {
    "event_id": "e-1",
    "event_type": "add_to_cart",
    "event_time": "2026-11-01T10:00:00.250Z",
    "visitor_id": "v-ü",
    "customer_id": None,
    "url": "https://shop.example/?a=1,2&b=:",
    "search_query": None,
    "quantity": 2,
    "unit_price": "19.99",
    "currency": "EUR",
    "properties": {"step": 1, "tags": ["a", "b"], "of": {"x": None}},
}


def compact(event: dict[str, Any]) -> str:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n"


def backwards(event: dict[str, Any]) -> str:
    return compact(dict(reversed(event.items())))


def without_nulls(event: dict[str, Any]) -> str:
    return compact({key: value for key, value in event.items() if value is not None})


def with_spaces(event: dict[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False) + "\n"


def with_other_keys(event: dict[str, Any]) -> str:
    return compact({"version": 3, **event, "device": {"os": "x"}, "is_bot": False})


def with_numbers(event: dict[str, Any]) -> str:
    return compact({**event, "unit_price": 19.99} if event.get("unit_price") == "19.99" else event)


def of_windows(event: dict[str, Any]) -> str:
    return compact(event)[:-1] + "\r\n"


FORMS = [compact, backwards, without_nulls, with_spaces, with_other_keys, with_numbers, of_windows]
# What a line may have instead, and must be seen in it.
ODD: list[dict[str, Any]] = [
    {"event_type": "unknown"},
    {"event_time": None},
    {"event_time": "2026-11-01 10:00+02:00"},
    {"event_time": "2027-11-01T10:00:00Z"},
    {"visitor_id": ""},
    {"visitor_id": 7},
    {"url": 'quoted " and \\ and \u0001'},
    {"url": {"a": 1}},
    {"customer_id": "c-1", "search_query": "x"},
    {"quantity": 0},
    {"quantity": -3},
    {"quantity": 1.0},
    {"quantity": "2"},
    {"quantity": True},
    {"quantity": 12345678901234567890},
    {"quantity": float("nan")},
    {"unit_price": 0.1234567890123456},
    {"unit_price": 5},
    {"unit_price": 1e-7},
    {"unit_price": float("inf")},
    {"unit_price": "1,5"},
    {"properties": {}},
    {"properties": [1]},
    {"properties": "text"},
    {"properties": {"ratio": float("nan")}},
    {"properties": {"ratio": 0.12345678901234567891}},
    {"properties": {"said": "a, b: c"}},
]
ODD_ENDS = [
    ',"event_id":"e-1"}',
    ",}",
    "} ",
    "}}",
    "",
    ',"properties":{"a":1,}}',
    ',"note":1e400}',
    ',"\\u0065vent_id":"e-2"}',
]


def written(form: Callable[[dict[str, Any]], str]) -> list[str]:
    """Return lines of which most are in the form."""
    odd = [form({**EVENT, "event_id": f"o-{number}", **change}) for number, change in enumerate(ODD)]
    ends = [form(EVENT).rstrip()[:-1] + end + "\n" for end in ODD_ENDS]
    usual = [form({**EVENT, "event_id": f"e-{number}"}) for number in range(40)]
    return [line for n, line in enumerate(usual) for line in [line, *[*odd, *ends][n : n + 1]]]


def parse(folder: Path, texts: list[str]) -> list[Row]:
    return parsed("clickstream", folder, lines(text.encode() for text in texts))


@pytest.mark.parametrize("form", FORMS)
def test_lines_in_a_form_are_parsed_as_without_it(
    form: Callable[[dict[str, Any]], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = written(form)
    found = parse(tmp_path, texts)

    def closely(connection: duckdb.DuckDBPyConnection, contracts: dict[str, Any]) -> dict[str, Any]:
        macros = project(connection, contracts)
        macros["usual_form"] = lambda _: None
        return macros

    monkeypatch.setattr(parsing, "project", closely)
    assert parse(tmp_path, texts) == found
    kept = [row for row in found if row["event_id"] and row["event_id"].startswith("e-") and not row["reasons"]]
    assert len(kept) >= 40


def is_usual(folder: Path, texts: list[str]) -> list[bool]:
    """Return of each line whether it takes the short way; none does if no form is found."""
    file = folder / "lines.parquet"
    with duckdb.connect() as connection:
        connection.execute("create table texts as select unnest($1) as raw", [texts])
        connection.execute(f"copy texts to '{file}' (format parquet)")
        macros = project(connection)
        macros["entering_files"] = lambda _: [str(file)]
        form = macros["usual_form"]("clickstream")
        if not form:
            return [False] * len(texts)
        query = f"""
            select {macros["is_in_form"]("clickstream", form)}
            from (select raw, from_json(case when json_valid(raw) then raw end, {macros["shape_of_lines"]("clickstream", form)}) as parsed from texts)
        """
        return [row[0] for row in connection.execute(query).fetchall()]


@pytest.mark.parametrize("form", FORMS)
def test_most_lines_of_a_form_take_the_short_way(form: Callable[[dict[str, Any]], str], tmp_path: Path) -> None:
    texts = written(form)
    found = dict(zip(texts, is_usual(tmp_path, texts), strict=True))
    assert all(found[form({**EVENT, "event_id": f"e-{number}"})] for number in range(40))


def test_lines_in_any_order_have_no_form(tmp_path: Path) -> None:
    keys = list(EVENT)
    turned = [{key: EVENT[key] for key in keys[n:] + keys[:n]} for n in range(len(keys))]
    assert not any(is_usual(tmp_path, [compact(event) for event in turned]))


def test_a_line_that_repeats_a_key_or_is_no_json_takes_the_long_way(tmp_path: Path) -> None:
    texts = written(compact)
    ends = [compact(EVENT).rstrip()[:-1] + end + "\n" for end in ODD_ENDS]
    found = dict(zip(texts, is_usual(tmp_path, texts), strict=True))
    assert found[texts[0]] and not any(found[line] for line in ends)
