"""The preview of a proposal reads texts as the macros that parse records do."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from operations.readings import as_read
from tests.unit.macros.dbt_like import project

NUMBERS = [
    *("1", "-1.5", "+2.", ".5", "1.00000", "1.00001", "", " 1", "1e5", "abc", "NaN", "-", "()", "(", "%"),
    *("1,234.50", "1.234,50", "1,5", "1,234", "1.234", "12,34.5", "1'234.5", "1 234,5", "12-", "1.5-", "1,5-", "-1,5-"),
    *(
        "$1",
        "-$1",
        "$-1",
        "$ 1",
        "1$",
        "1 $",
        "$1$",
        "$$1",
        "$-1-",
        "$",
        "€1",
        "EUR 1,5",
        "1.234,50 €",
        "(1)",
        "($1)",
        "$(1)",
    ),
    *("$ (1)", "(1 $)", "(1) $", "$($1)", "((1))", "(-1)", "-(1)", "(1,5)", "(1.5)", "(1", "1)", "(1-)", "(1,234.5)"),
    *(
        "1 234,50",
        "1\u202f234,50\u00a0€",
        "1\u00a0234",
        "1 23",
        " 1,5 ",
        "1.5 ",
        " 1 234- ",
        "1\u2019234.5",
        "1  234",
        "$\u00a01 ",
    ),
    *("5%", "5 %", "-5%", "5.125%", "12345.60%", "5%%", "(5%)", "(5)%", "5,5%", "1.234,5%", "$5%"),
]
SIGNS: list[dict[str, Any]] = [
    *({}, {"thousands": ","}, {"decimal": ","}, {"decimal": ",", "thousands": "."}, {"symbol": "$"}),
    *({"symbol": "$", "thousands": ","}, {"symbol": ["€", "EUR"], "decimal": ",", "thousands": "."}, {"percent": True}),
    *({"decimal": ",", "thousands": " "}, {"decimal": ",", "thousands": "\u00a0", "symbol": "€"}),
    *(
        {"percent": True, "decimal": ",", "thousands": "."},
        {"thousands": "'"},
        {"thousands": "\u2019"},
        {"missing": ["-", "1"], "symbol": "$"},
    ),
]
TIMES = [
    "2026-11-01",
    "2026-11-01T10:00:00Z",
    "01.11.2026",
    "44197",
    "44197.5",
    "20261101",
    "2026111",
    "x",
    "1793527200",
]
FORMATS: list[dict[str, Any]] = [
    *({}, {"time_format": "%d.%m.%Y"}, {"time_format": "excel"}, {"time_format": "%Y%m%d"}),
    {"time_format": "seconds"},
]
VALUES: list[dict[str, Any]] = [
    {"values": {"true": ["yes"], "false": ["no"]}},
    {"values": {r"\1": "/(.*?) */"}},
    {"values": {r"\1": r"/(\d+)[.]0/", "other": "/x.*/"}, "missing": "-"},
]
CASES = [
    *(("decimal(18,4)", one, NUMBERS) for one in SIGNS),
    *(("bigint", one, NUMBERS) for one in SIGNS if "percent" not in one),
    *((kind, one, TIMES) for kind in ("timestamp", "date") for one in FORMATS),
    ("timestamp", {"time_format": ["iso", "%Y-%m-%d"]}, TIMES),
    *(("varchar", one, ["yes", "no", "-", "17850.0", "abc  ", "xyz", ""]) for one in VALUES),
    ("boolean", VALUES[0], ["yes", "no", "true", "t", "maybe"]),
]


def shown(value: Any) -> str | None:
    """Write a value of the database as the preview does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def test_texts_are_read_as_the_macros_read_them() -> None:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        macros = project(connection)
        for kind, options, texts in CASES:
            connection.register("texts", pa.table({"given": pa.array(texts, pa.string()), "place": range(len(texts))}))
            meant, typed = macros["meant_text"]("given", options), macros["typed"]("meant", kind, options)
            query = f"select given, {typed}, meant is null from (select *, {meant} as meant from texts) order by place"
            for text, value, is_missing in connection.execute(query).fetchall():
                found, is_read = as_read(kind, options, text)
                expected = shown(value)
                if kind == "boolean" and found in ("t", "f"):
                    found = {"t": "true", "f": "false"}[found]
                assert (found, is_read) == (expected, is_missing or value is not None), (kind, options, text)


@pytest.mark.parametrize("kind", ["varchar", "timestamp", "decimal(18,4)", "json", "bigint"])
def test_no_value_is_read_as_none(kind: str) -> None:
    assert as_read(kind, {}, None) == (None, True)
    assert as_read(kind, {"missing": "n/a"}, "n/a") == (None, True)
