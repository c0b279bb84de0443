"""Compare `macros/parse.sql` with a plain Python parser: random texts near the edges of each type, random lines and rows."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ingestion.contract import PROJECT
from tests.unit.macros.dbt_like import project
from tests.unit.macros.parsing import LANDED, lines, parsed
from tests.unit.macros.plain_parser import Column, changes_in_a_double, is_json, reasons_of_row, value_of

# No shrinking: an example is a long list that takes minutes to shrink, and the differences are shown anyway.
PHASES = [Phase.explicit, Phase.generate]
TYPES = ("timestamp", "date", "decimal(18,4)", "decimal(38,4)", "integer", "bigint", "boolean", "varchar")


def grid(*parts: str | list[str]) -> list[str]:
    """Return every combination of one choice per part, joined; a part given as text is split at `|`."""
    return ["".join(one) for one in product(*(part.split("|") if isinstance(part, str) else part for part in parts))]


EDGES = [str(edge + by) for edge in (2**31, 2**63, 10**14, 10**34) for by in (-1, 0, 1)]
NUMBERS = grid(
    "|-|+|--| ",
    ["", "0", "00", "7", "19", *EDGES],
    "|.|.0|.000|.5|.0001|.00001|.500000|.000010|.1.2",
    "|e2|_0| |x|\u0663|\n",
)
DAYS = grid("0000|0001|1900|2000|2024|9999|26|12026|-0044|", "-", "01|02|06|00|13|2|", "-", "01|29|30|31|00|32|1")
CLOCKS = grid(
    "00|09|23|24|7", ":00|:59|:60|", "|:00|:59|:60|:5|:59.|:59.1|:59.123456|:59.123456789|:00.9999999|:00.1234567891"
)
OFFSETS = "|Z|z|+00|+05:30|-05|+0530|-15:59|+16|+15:60| UTC|[UTC]|+5|-00:00"
MOMENTS = grid("0001-01-01|2024-02-29|2026-02-29|9999-12-31|26-01-01|2026-11-01", "T| |t||  ", CLOCKS, OFFSETS)
WORDS = [
    "",
    "true",
    "t",
    "TRUE",
    "false",
    "f",
    "1",
    "yes",
    "NaN",
    "inf",
    "-Infinity",
    "null",
    "é",
    "now",
    "today",
    "epoch",
    "infinity",
]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


@pytest.fixture(scope="module")
def macros(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    return project(connection)


def ask(connection: duckdb.DuckDBPyConnection, expression: str, values: list[str]) -> list[Any]:
    """Evaluate an expression over `given`, once per value."""
    texts = pa.table({"given": pa.array(values, pa.string()), "place": range(len(values))})
    connection.register("texts", texts)
    return [value for (value,) in connection.execute(f"select {expression} from texts order by place").fetchall()]


@pytest.mark.parametrize("data_type", TYPES)
def test_a_text_has_the_value_that_python_reads(connection: Any, macros: dict[str, Any], data_type: str) -> None:
    values = [*NUMBERS, *DAYS, *WORDS, *MOMENTS[:: 1 if data_type == "timestamp" else 97]]
    value = macros["typed"]("given", data_type)
    if data_type == "timestamp":  # DuckDB has times beyond Python's calendar, which are refused
        value = f"case when {macros['in_calendar']('(' + value + ')')} then {value} end"
    wanted = [value_of(text, data_type) for text in values]
    found = ask(connection, value, values)
    assert [one for one in zip(values, found, wanted, strict=True) if one[1] != one[2]][:20] == []
    assert len({one for one in wanted if one is not None}) > 1


JSON_NUMBERS = grid(
    "|-",
    "0|1|19|9007199254740993|123456789012345|100000000000000000",
    "|.0|.1|.10|.99|.30000000000000004|.123456789012345|.5000000000000000000001",
    "|e5|E-3|e+10|e-200|e200",
)


def test_a_number_that_a_double_changes_is_told(connection: Any, macros: dict[str, Any]) -> None:
    told = dict(zip(JSON_NUMBERS, ask(connection, macros["is_rounded"]("given"), JSON_NUMBERS), strict=True))
    assert [text for text, is_told in told.items() if changes_in_a_double(text) and not is_told] == []
    assert [text for text, is_told in told.items() if is_told and len(text.strip("-")) <= 15] == [], (
        "numbers this short are exact"
    )
    assert any(told.values())


trees = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from(JSON_NUMBERS).map(Decimal)
    | st.text(st.sampled_from('ab"\\,:]}[{1.5 né\n'), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b,]", "1.5", 'q"']), inner, max_size=3)
    ),
    max_leaves=6,
)


def written(tree: Any) -> str:
    """Write JSON with each number as it was drawn."""
    if isinstance(tree, Decimal):
        return str(tree)
    if isinstance(tree, dict):
        return "{" + ",".join(f"{json.dumps(key)}: {written(value)}" for key, value in tree.items()) + "}"
    return "[" + ", ".join(map(written, tree)) + "]" if isinstance(tree, list) else json.dumps(tree, ensure_ascii=False)


@settings(max_examples=10, phases=PHASES)
@given(drawn=st.lists(trees, min_size=20, max_size=40))
def test_marked_numbers_leave_a_line_what_it_was(connection, macros, drawn: list[Any]) -> None:
    given_lines = [written(tree) for tree in drawn]
    for line, marked in zip(
        given_lines, ask(connection, macros["with_marked_numbers"]("given"), given_lines), strict=True
    ):
        plain = json.loads(line, parse_float=str, parse_int=str)
        assert json.loads(marked.replace("\\u0001number ", ""), parse_float=str, parse_int=str) == plain


slips = st.sampled_from(["", "", ",]", ", }", "NaN", "-inf", "Infinity", "nan", "]", '"', "1.5.5", "tru"])


@settings(max_examples=10, phases=PHASES)
@given(drawn=st.lists(st.tuples(trees, slips, st.integers(0, 30)), min_size=20, max_size=40))
def test_a_line_that_is_no_json_is_never_read(connection, macros, drawn: list[tuple[Any, str, int]]) -> None:
    """Insert something into lines: what Python refuses must be refused, and what it reads must not be called broken."""
    given_lines = [text[:place] + slip + text[place:] for tree, slip, place in drawn for text in [written(tree)]]
    lenient = f"case when {macros['may_be_lenient']('given')} then {macros['leniently_read']('given')} end"
    broken = f"not json_valid(given) or coalesce({lenient} = 'broken_json', false)"
    found = dict(zip(given_lines, ask(connection, broken, given_lines), strict=True))
    assert found == {line: not is_json(line) for line in given_lines}


TEXTS = [*NUMBERS[::7], *DAYS[::7], *MOMENTS[::97], *WORDS]


def contract(dataset: str) -> tuple[list[Column], dict[str, Any]]:
    body = yaml.safe_load((PROJECT / "models" / "staging" / f"staging_{dataset}.yml").read_text())
    (table,) = body["sources"][0]["tables"]
    columns = [Column(one["name"], one["data_type"], one.get("config", {}).get("meta", {})) for one in table["columns"]]
    return columns, table["config"]["meta"]


def cell(column: Column) -> st.SearchStrategy[str | None]:
    """Draw a value for a column, valid as often as odd."""
    right = {
        "timestamp": st.sampled_from(["2026-11-01 10:00:00+00", "2026-11-01T23:59:59.5-02:00", "2026-11-03 23:59:59Z"]),
        "bigint": st.sampled_from(["1", "-2", "2147483647"]),
        "decimal(18,4)": st.sampled_from(["1.50", "-0.0001", "0"]),
    }.get(column.data_type, st.sampled_from(column.meta.get("allowed", ["x", "EUR"])))
    odd = st.none() | st.sampled_from(["", "0", "2062-01-01 00:00:00", "never", "x'y"]) | st.sampled_from(TEXTS)
    return right | odd


EXACT = ("missing", "in_future", "not_allowed")


@pytest.mark.parametrize("dataset", ["orders", "order_items", "customers", "products"])
@settings(max_examples=3, phases=PHASES)
@given(data=st.data())
def test_a_row_is_refused_for_all_its_reasons_and_no_other(dataset: str, data: st.DataObject) -> None:
    columns, meta = contract(dataset)
    rows = data.draw(
        st.lists(st.fixed_dictionaries({one.name: cell(one) for one in columns}), min_size=20, max_size=40)
    )
    table = pa.Table.from_pylist(rows, schema=pa.schema([(one.name, pa.string()) for one in columns]))
    with TemporaryDirectory() as folder:
        found = parsed(dataset, Path(folder), table, source=meta["source"])
    for row, got in zip(rows, found, strict=True):
        wanted = reasons_of_row(columns, row, {meta.get("event_time"), meta.get("version_column")}, LANDED)
        given_reasons = set(got["reasons"] or [])
        assert bool(given_reasons) == bool(wanted) or _is_bound(given_reasons - wanted, columns), row
        # only the exact reasons are compared by name: the others depend on why a value cannot be parsed
        assert {one for one in given_reasons if one.split(":")[0] in EXACT} == {
            one for one in wanted if one.split(":")[0] in EXACT
        }, row
        unread = {one.split(":")[1] for one in wanted if one.startswith("unread")}
        assert unread <= {one.split(":")[1] for one in given_reasons}, row
        if not given_reasons:
            assert {one.name: got[one.name] for one in columns} == {
                one.name: None if row[one.name] is None else value_of(row[one.name], one.data_type) for one in columns
            }


def _is_bound(reasons: set[str], columns: list[Column]) -> bool:
    """Return whether all reasons are about columns with bounds or patterns, which the plain parser does not know."""
    bounded = {
        one.name
        for one in columns
        if {"min", "max", "pattern", "excluded"} & set(one.meta) or one.data_type == "timestamp"
    }
    return all(one.split(":")[1] in bounded for one in reasons)


def test_lines_and_keys_twice(tmp_path: Path) -> None:
    good = {"event_id": "e", "event_type": "click", "event_time": "2026-11-01T10:00:00Z", "visitor_id": "v"}
    text = json.dumps(good)
    twice = text[:-1] + ', "visitor_id": "w"}'
    more = text[:-1] + ', "else": 1, "else": 2}'
    got = parsed("clickstream", tmp_path, lines(f"{one}\n".encode() for one in (text, twice, more)))
    assert [row["reasons"] for row in got] == [None, ["duplicate_key"], ["duplicate_key"]]
    assert got[0]["event_time"] == datetime(2026, 11, 1, 10)
