"""Follow the tables of docs/your-data.md on what common systems write: each text is read as the page says."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from ingestion.contract import PROJECT, read_contract
from tests.unit.macros.dbt_like import project
from tests.unit.macros.parsing import lines, parsed

PAGE = (PROJECT.parent / "docs" / "your-data.md").read_text()
_ROW = re.compile(r"^\| .*`(.+?)` \| `(\w+): (\{.*\})` \| (?:`(.+)`|(no value|refused)) \|$", re.MULTILINE)
TEXTS, LINES = (
    _ROW.findall(part.partition("\nAnd of files")[0])
    for part in PAGE[PAGE.index("## What common systems write") :].split("\nThe same of events", 1)
)
EVENT = {"event_id": "e", "event_type": "click", "event_time": "2026-11-01T10:00:00Z", "visitor_id": "v"}


def column_of(name: str) -> tuple[str, str]:
    """Return the dataset and the type of a column of the orders or of their lines."""
    for dataset in ("orders", "order_items"):
        contract = read_contract(PROJECT / "models" / "staging" / f"staging_{dataset}.yml")
        if column := contract.column(name):
            return dataset, column.type
    raise AssertionError(name)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def written(value: Any) -> str | None:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def test_the_page_has_as_many_rows_as_are_followed() -> None:
    part = PAGE[PAGE.index("## What common systems write") :].partition("\nAnd of files")[0]
    assert len(re.findall(r"^\| (?!the source)", part, re.MULTILINE)) == len(TEXTS) + len(LINES) > 20


def test_texts_are_read_as_the_page_says(connection: duckdb.DuckDBPyConnection) -> None:
    macros = project(connection)
    for text, name, said, value, other in TEXTS:
        meta, (_, kind) = yaml.safe_load(said), column_of(name)
        parts = text.split(" ") if "join" in meta else [text]
        row = pa.table({f"c{place}": pa.array([part], pa.string()) for place, part in enumerate(parts)})
        connection.register("given", row)
        joined = macros["text_of"]({"config": {"meta": meta}}, row.column_names)
        meant = macros["meant_text"]("given", meta)
        query = f"select {macros['typed']('meant', kind, meta)}, meant is null from (select {meant} as meant from (select {joined} as given from given))"
        found = connection.execute(query).fetchone()
        assert found and written(found[0]) == (value or None), (text, said)
        assert found[1] == (other == "no value"), (text, said)


def test_lines_are_read_as_the_page_says(tmp_path: Path) -> None:
    texts, columns = [], {}
    alone = [one for one in LINES if "join" in yaml.safe_load(one[2])]
    for text, name, said, value, _ in alone:
        line = {**{key: other for key, other in EVENT.items() if key != name}, **json.loads(text)}
        (row,) = parsed(
            "clickstream",
            tmp_path / name,
            lines([json.dumps(line).encode() + b"\n"]),
            columns={name: yaml.safe_load(said)},
        )
        assert (written(row[name]), row["reasons"]) == (value, None), text
    together = [one for one in LINES if one not in alone]
    for text, name, said, _, _ in together:
        line = json.loads(text)
        meta = yaml.safe_load(said)
        asked = as_list(meta["from"])
        # all rows of the page are one contract: where two name a column, both ways are tried in turn
        known = columns.setdefault(name, {**meta, "from": []})
        known["from"] += [one for one in asked if one not in known["from"]]
        known["json_types"] = sorted({*known.get("json_types", []), *as_list(meta.get("json_types", []))})
        rest = {key: value for key, value in EVENT.items() if key != name and key not in line}
        texts.append(f"{json.dumps(rest)[:-1]}, {text[1:]}\n".encode())
    columns = {name: {key: value for key, value in meta.items() if value} for name, meta in columns.items()}
    for name in ("event_type", "event_time"):
        columns[name]["from"].append(name)
    columns["event_type"]["allowed"].append("click")
    columns["event_time"]["time_format"] = [columns["event_time"]["time_format"], "iso"]
    found = parsed("clickstream", tmp_path, lines(texts), columns=columns)
    assert alone and len(found) == len(together)
    for row, (text, name, _, value, _) in zip(found, together, strict=True):
        assert (written(row[name]), row["reasons"]) == (value, None), text
