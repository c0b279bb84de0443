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
from ingestion.contract import PROJECT, Contract, read_contract, read_contracts
from ingestion.fields import Fields
from ingestion.file_settings import Files
from ingestion.home import Home
from ingestion.kinds import KINDS
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
    followed = ("a key of", "SAP's date", "a currency,", "quotations", "credit notes", "lines that are no goods")
    followed += ("values in rows of keys",)
    followed += ("a table without", "tables of MariaDB", "Segment's", "a bucket", "Matomo's", "Shopify's", "Snowplow's")
    assert [
        line for line in PART.splitlines()[2:] if line[:2] == "| " and not line[2:].startswith((*followed, "source"))
    ] == []


@pytest.mark.parametrize(
    ("begin", "name"), [("Segment's", "2024-03-01/07/1.json.gz"), ("a bucket", "dt=2024-03-01/hour=07/part-0.json.gz")]
)
def test_a_location_finds_the_files_that_a_system_writes(tmp_path: Path, begin: str, name: str) -> None:
    (location,) = re.findall(r'location: "([^"]+)"', row(begin))
    here = location.replace("${EVENTS}", str(tmp_path / "in")).replace("s3://bucket/events", str(tmp_path / "in"))
    (tmp_path / "in" / name).parent.mkdir(parents=True)
    (tmp_path / "in" / name).write_bytes(gzip.compress(b'{"event_id": "e"}\n'))
    contract = replace(CLICKS, dataset="events", source="events", kind="file", settings=Files(here))
    window, home = Window.parse("2024-03-01T07:00", "2024-03-01T08:00"), Home(tmp_path / "home", tmp_path / "landing")
    landing = sources.ingest("events", window, home, datetime(2100, 1, 1, tzinfo=UTC), contracts={"events": contract})
    assert [(one.records_written, [file.records for file in one.inputs]) for one in landing.manifests] == [(1, [1])]


def test_a_visits_actions_are_records() -> None:
    (path,) = re.findall(r"`each: (\S+)`", row("Matomo's"))
    assert settings(format="json_lines", each=path).each == path
    visit = {"visitorId": "v", "actionDetails": [{"pageId": "1"}, {"pageId": "2"}]}
    found = [json.loads(one) for one in split(json.dumps(visit), path)]
    names = re.findall(r"from: ([\w.$]+)}", row("Matomo's"))
    assert names == [f"{path}.pageId", "visitorId"]
    assert [(one["actionDetails"]["pageId"], one["visitorId"]) for one in found] == [("1", "v"), ("2", "v")]


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


def test_an_orders_first_row_is_the_order(tmp_path: Path) -> None:
    (said,) = re.findall(r"`where: (\[.+?\])`;", row("Shopify's"))
    (condition,) = orders(tmp_path, yaml.safe_load(said)).where
    assert condition.names == ("Financial Status",) and condition.is_none_of == ("",)
    (lines,) = re.findall(r"`(discount_amount: \{.+?\})`", row("Shopify's"))
    assert yaml.safe_load(lines) == {"discount_amount": {"from": "Discount Amount"}}


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
    assert "derived_tstamp" in event and "from: derived_tstamp" in row("Snowplow's")
