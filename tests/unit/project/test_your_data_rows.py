"""Follow what docs/your-data.md says of files, row by row: each finds, splits or leaves out what it says."""

import gzip
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion import sources
from ingestion.columns import read_column
from ingestion.contract import PROJECT, Contract, read_contract, read_contracts
from ingestion.fields import Fields
from ingestion.file_settings import Files
from ingestion.home import Home
from ingestion.kinds import KINDS
from ingestion.selection import Condition
from ingestion.sources import csv_records
from ingestion.sources.elements import split
from ingestion.window import Window

PAGE = (PROJECT.parent / "docs" / "your-data.md").read_text()
PART = PAGE[PAGE.index("And of files and tables") : PAGE.index("## What cannot be said")]
CLICKS = replace(read_contracts()["clickstream"], expect_records_every=None)


def row(begin: str) -> str:
    (found,) = [line for line in PART.splitlines() if line.startswith(f"| {begin}")]
    return found


def settings(**said: Any) -> Files:
    """Return the settings of a contract that says this."""
    found: Files = KINDS["file"].settings(Fields({"location": "x", **said}, Path("x.yml"), "x"), [])
    return found


def test_each_row_is_followed() -> None:
    # the first rows are followed in a database, by tests/pipeline/test_your_data.py
    of_databases = (
        *("a key of", "SAP's date", "a currency,", "quotations", "credit notes", "lines that are no goods"),
        *("values in rows of keys", "a table without", "tables of MariaDB"),
    )
    of_files = (
        *("Segment's", "the products of Segment's", "events of a tracker", "Amplitude's", "PostHog's"),
        *("a bucket", "Matomo's", "an API's", "Shopify's", "a retailer's", "orders of Snowplow", "Snowplow's"),
    )
    assert [
        line
        for line in PART.splitlines()[2:]
        if line[:2] == "| " and not line[2:].startswith((*of_databases, *of_files, "source"))
    ] == []


@pytest.mark.parametrize(
    ("begin", "name"),
    [
        ("Segment's", "segment-logs/SOURCE/1709251200000/1709276400000.1a2b.4.5c6d.gz"),
        ("events of a tracker", "2024-03-01/07/1.json.gz"),
        ("Amplitude's", "123456/123456_2024-03-01_7#0.json.gz"),
        ("PostHog's", "2024-03-01T00:00:00+00:00-2024-03-02T00:00:00+00:00.jsonl.gz"),
        ("a bucket", "dt=2024-03-01/hour=07/part-0.json.gz"),
    ],
)
def test_a_location_finds_the_files_that_a_system_writes(tmp_path: Path, begin: str, name: str) -> None:
    (location,) = re.findall(r'location: "([^"]+)"', row(begin))
    here = re.sub(r"\$\{EVENTS\}|s3://bucket(/events)?", str(tmp_path / "in"), location)
    (tmp_path / "in" / name).parent.mkdir(parents=True)
    (tmp_path / "in" / name).write_bytes(gzip.compress(b'{"event_id": "e"}\n'))
    contract = replace(CLICKS, dataset="events", source="events", kind="file", settings=Files(here))
    window, home = Window.parse("2024-03-01", "2024-03-02"), Home(tmp_path / "home", tmp_path / "landing")
    landing = sources.ingest("events", window, home, datetime(2100, 1, 1, tzinfo=UTC), contracts={"events": contract})
    landed = [(one.records_written, [file.records for file in one.inputs]) for one in landing.manifests if one.inputs]
    assert landed == [(1, [1])]


@pytest.mark.parametrize(
    ("begin", "place"), [("Matomo's", 0), ("Matomo's", 1), ("the products of Segment's", 0), ("an API's", 0)]
)
def test_each_element_of_the_lists_of_a_system_is_a_record(begin: str, place: int) -> None:
    path = re.findall(r"`each: (\S+)`", row(begin))[place]
    assert settings(format="json_lines", each=path).each == path
    items = [{"itemSKU": "a"}, {"itemSKU": "b"}]
    visit = {"visitorId": "v", "actionDetails": [{"pageId": "1"}, {"orderId": "2", "itemDetails": items}]}
    line = (
        [visit] if begin == "Matomo's" else {"event": "x", "properties": {"products": items}} if "$." in path else items
    )
    found = [json.loads(one) for one in split(json.dumps(line), path)]
    expected = {
        "$.actionDetails": [{**visit, "actionDetails": one} for one in visit["actionDetails"]],
        "$.actionDetails.itemDetails": [
            {**visit, "actionDetails": visit["actionDetails"][0]},
            *({**visit, "actionDetails": {"orderId": "2", "itemDetails": one}} for one in items),
        ],
        "$.properties.products": [{"event": "x", "properties": {"products": one}} for one in items],
        "$": items,
    }
    assert found == expected[path]


def test_a_table_without_a_time_of_change_is_read_whole() -> None:
    left_out = re.findall(r"leave out `(\w+)` and `(\w+)`", row("a table without"))
    said = {"connection": "erp", "table": "erp.orders", "placed": "ordered_at", "changed": "updated_at"}
    read = KINDS["table"].settings
    assert not read(Fields(said, Path("x.yml"), "x"), []).is_whole
    less = {name: value for name, value in said.items() if name not in left_out[0]}
    assert read(Fields(less, Path("x.yml"), "x"), []).is_whole


def test_a_line_that_mariadb_writes_is_an_orders_lines() -> None:
    (path,) = re.findall(r"`each: (\S+)`", row("tables of MariaDB"))
    assert settings(format="json_lines", each=path).each == path
    # as MariaDB 10.11 writes it
    line = """{"name": "I-1", "modified": "2026-11-03 11:04:03.686609", "items": [{"idx": 1, "net_amount": 40470.220000000},{"idx": 2, "net_amount": -0.500000000}]}"""
    made = [json.loads(one) for one in split(line, path)]
    assert [(one["name"], one["items"]["idx"], one["items"]["net_amount"]) for one in made] == [
        ("I-1", 1, 40470.22),
        ("I-1", 2, -0.5),
    ]


def orders(folder: Path, where: list[dict[str, Any]]) -> Contract:
    table = {
        "name": "things",
        "config": {
            "meta": {
                **{"contract_version": 1, "source": "x", "format": "rows", "key": ["id"], "cadence": "1 day"},
                **{"lateness": "2 days", "owner": "team", "location": "x", "where": where},
            }
        },
        "columns": [{"name": "id", "data_type": "varchar"}],
    }
    path = folder / "staging_things.yml"
    path.write_text(yaml.safe_dump({"sources": [{"name": "bronze", "tables": [table]}]}))
    return read_contract(path)


@pytest.mark.parametrize(
    ("begin", "names", "is_one_of", "is_none_of"),
    [
        ("Shopify's", "Financial Status", (), ("",)),
        ("a retailer's", "Pos.", (), ("",)),
        ("Segment's", "type", ("track", "page", "screen"), ()),
        ("orders of Snowplow", "event", ("transaction",), ()),
    ],
)
def test_where_says_which_rows_are_meant(
    tmp_path: Path, begin: str, names: str, is_one_of: tuple[str, ...], is_none_of: tuple[str, ...]
) -> None:
    said = re.findall(r"`where: (\[.+?\])`", row(begin))[0]
    (condition,) = orders(tmp_path, yaml.safe_load(said)).where
    assert condition == Condition((names,), is_one_of, is_none_of)


def test_a_text_identifies_a_line_by_its_hash() -> None:
    for begin in ("the products of Segment's", "orders of Snowplow"):
        (said,) = re.findall(r"`line_number: (\{.+?\})`", row(begin))
        column = {"name": "line_number", "data_type": "bigint", "config": {"meta": yaml.safe_load(said)}}
        assert read_column(column, Path("x.yml"), "order_items").is_hash


def test_columns_of_lines_are_read_as_the_rows_say() -> None:
    types = {"visitor_id": "varchar", "event_time": "timestamp", "product_id": "varchar"}
    named = {}
    for begin in ("Segment's", "Snowplow's events in JSON"):
        for name, said in re.findall(r"(\w+): (\{from: [^}]+\})", row(begin)):
            column = {"name": name, "data_type": types[name], "config": {"meta": yaml.safe_load(said)}}
            named[name] = read_column(column, Path("x.yml"), "x").source_names[-1]
    assert named == {"visitor_id": "userId", "event_time": "derived_tstamp", "product_id": "ti_sku"}


def test_an_orders_discount_is_of_its_first_line() -> None:
    (said,) = re.findall(r"`(discount_amount: \{.+?\})`", row("Shopify's"))
    assert yaml.safe_load(said) == {"discount_amount": {"from": "Discount Amount"}}


def test_an_event_without_a_header_is_read_by_the_names_of_the_page() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PART, re.MULTILINE | re.DOTALL)
    dialect = settings(**yaml.safe_load(block)).csv
    assert len(dialect.header) == 131 and dialect.header[-1] == "true_tstamp"
    values = [
        '{"data":"[1]"}' if name == "contexts" else name if number % 3 else ""
        for number, name in enumerate(dialect.header)
    ]
    table = csv_records.read(("\t".join(values) + "\n").encode(), "x.tsv", dialect)
    (event,) = [dict(zip(table.columns, one.fields, strict=True)) for one in table.records]
    assert event == {name: value or None for name, value in zip(dialect.header, values, strict=True)}
    assert "derived_tstamp" in event and "from: derived_tstamp" in row("Snowplow's enriched")
