"""Spark and DuckDB make the same tables of the same bronze, row by row. Needs `make spark`."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from demo import simulate
from ingestion import sources
from ingestion.contract import PROJECT
from ingestion.home import Home
from ingestion.sql import literal
from ingestion.window import Window
from operations import decide, hashes, ledger, listings
from tests.pipeline.delivery import land_lines
from warehouse.build import Request, build
from warehouse.engines import SPARK

pytestmark = pytest.mark.spark

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ENGINES = PROJECT.parent / "docs" / "engines.md"
# What says which build made a row, and when.
LINEAGE = {"build_id"}
# Tables about builds, not about records.
ABOUT_BUILDS = {("ops", "builds"), ("ops", "findings"), ("ops", "runs")}

EVENT = '{"event_id":"%s","event_type":"page_view","event_time":"2026-11-01T10:00:00Z","visitor_id":"v"%s}'
# What may follow in a line: how JSON is read, and numbers, is where engines differ most.
ODD_VALUES = """
"quantity":1.0|"quantity":1e0|"quantity":3|"quantity":12345678901234567890|"quantity":99999999999999999999|"quantity":"3"
"quantity":NaN|"quantity":Infinity|"quantity":01|"quantity":+1|"quantity":9223372036854775807|"quantity":9223372036854775808
"unit_price":12.50|"unit_price":0.12345|"unit_price":1e2|"unit_price":1e-5|"unit_price":0.00001|"unit_price":1.10000000000000000000
"unit_price":1234567890123.45678|"unit_price":123456789012345.6|"unit_price":12345678901234567890123|"unit_price":"12.5"
"unit_price":"1.23456"|"unit_price":".5"|"unit_price":"5."|"unit_price":"nan"|"unit_price":"-inf"|"unit_price":true|"unit_price":null
"url":5|"properties":{"b":1,"a":[1,2.50,{"c":null}]}|"properties":"text"|"properties":[1]|"properties":{"a":1,"a":2}
"event_id":"again"|"unknown":1,"unknown":2|"campaign":"a'b"|"campaign":""|"country":"\\ud800"|"country":"\\ud83d\\ude00"
"customer_id":"\\u0000"|"url":"tab\there"
"""
ODD_LINES = [
    *('{"event_id":"a",}', '{"event_id":"a"} x', '{"event_id":"a"}{"b":1}', "[1]", "5", "null", '"text"', "{}", "nan"),
    *('{"event_id":"a"},', "{'event_id':'a'}", '{"event_id":"a" /* c */}', '\ufeff{"event_id":"bom"}'),
]
ODD_TIMES = [
    *("2026-11-01T10:00:00", "2026-11-01T10:00", "2026-11-01T10:00+01", "2026-11-01T10:00:00.5-0530", "2026-11-01"),
    *("2026-02-30T10:00:00Z", "0000-01-01T00:00:00Z", "12026-01-01T00:00:00Z", "2026-11-01T24:00:00Z"),
    *("2026-11-01T23:59:60Z", "0001-01-01T00:00:00+15:00", "2027-01-01T00:00:00Z", " 2026-11-01T10:00:00Z", "infinity"),
]


def odd_lines() -> bytes:
    values = [one for line in ODD_VALUES.strip().splitlines() for one in line.split("|")]
    lines = [EVENT % (f"odd-{number}", f",{value}") for number, value in enumerate(values)]
    lines += ODD_LINES
    lines += [
        EVENT.replace("2026-11-01T10:00:00Z", time) % (f"time-{number}", "") for number, time in enumerate(ODD_TIMES)
    ]
    return "\n".join(lines).encode() + b'\n{"event_id":"\xff"}\n{"event_id":"a\xc3'


def land(home: Home, day: int) -> None:
    window = Window.parse(f"2026-11-0{day}", f"2026-11-0{day + 1}")
    for source in sources.SOURCES:
        sources.ingest(source, window, home, NOW)
        sources.source_counts(source, window, home, NOW)


def rows_that_differ(one: Path, other: Path) -> dict[str, tuple[int, int]]:
    """Return the numbers of rows that only one of two states has, by table."""
    found = {}
    with duckdb.connect() as connection:
        connection.execute(f"attach {literal(one)} as one (read_only); attach {literal(other)} as other (read_only)")
        query = "select schema_name, table_name from duckdb_tables() where database_name = 'one' order by all"
        tables = [table for table in connection.execute(query).fetchall() if table not in ABOUT_BUILDS]
        assert len(tables) > 30
        for schema, table in tables:
            names = [name for name, *_ in connection.execute(f"describe one.{schema}.{table}").fetchall()]
            columns = ", ".join(f'"{name}"' for name in names if name not in LINEAGE)
            sides = [f"select {columns} from {side}.{schema}.{table}" for side in ("one", "other")]
            counts = [
                connection.execute(f"select count(*) from ({left} except all {right})").fetchall()[0][0]
                for left, right in (sides, reversed(sides))
            ]
            if any(counts):
                found[f"{schema}.{table}"] = (counts[0], counts[1])
    return found


@pytest.fixture(scope="module")
def homes(shop: Home) -> tuple[Home, Home]:
    """Two homes with the same bronze, one built by DuckDB and one by Spark."""
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 5), orders_per_day=60, events_per_day=600)
    odd = shop.landing / "2026-11-01" / "10" / "odd.jsonl"
    odd.parent.mkdir(parents=True, exist_ok=True)
    odd.write_bytes(odd_lines())
    landed = datetime(2026, 11, 2, tzinfo=UTC).timestamp()
    os.utime(odd, (landed, landed))
    land(shop, 1)
    land(shop, 2)
    # so many lines are refused that the day waits for a person
    build(shop, Request(), NOW.replace(hour=11))
    (held,) = decide.select_findings(shop, batch_held(shop))
    decide.accept(shop, [held], decide.By("tester", NOW.replace(hour=11), "odd lines are to be compared"))
    other = Home(shop.root.with_name(f"{shop.root.name} of o'brien"), shop.landing)
    shutil.copytree(shop.root, other.root, ignore=shutil.ignore_patterns("shop", "landing"))
    build(shop, Request(full=True, reason="test"), NOW)
    build(other, Request(full=True, reason="test", engine=SPARK), NOW)
    return shop, other


def test_every_row_of_every_table_is_the_same(homes: tuple[Home, Home]) -> None:
    by_duckdb, by_spark = homes
    assert rows_that_differ(by_duckdb.state, by_spark.state) == {}
    assert hashes.read(by_duckdb) == hashes.read(by_spark)
    assert rows_that_differ(by_duckdb.published, by_spark.published) == {}
    with duckdb.connect(str(by_spark.state), read_only=True) as state:
        assert len(state.execute("select * from records.refused where dataset = 'clickstream'").fetchall()) > len(
            ODD_LINES
        )


def test_the_next_day_is_built_by_duckdb_on_what_spark_made(homes: tuple[Home, Home]) -> None:
    by_duckdb, by_spark = homes
    land(by_duckdb, 3)
    shutil.copytree(by_duckdb.root / "bronze", by_spark.root / "bronze", dirs_exist_ok=True)
    for home in homes:
        build(home, Request(), NOW.replace(hour=13))
    assert hashes.read(by_duckdb) == hashes.read(by_spark)
    assert ledger.recount(by_spark) == ([], True)
    assert ledger.recompute(by_spark, NOW.replace(hour=14)) == []


def in_both(homes: tuple[Home, Home], request: Request, hour: int, engine: str) -> None:
    """Build in both homes, the second by an engine, and compare every row."""
    by_duckdb, by_spark = homes
    shutil.copytree(by_duckdb.root / "bronze", by_spark.root / "bronze", dirs_exist_ok=True)
    build(by_duckdb, request, NOW.replace(hour=hour))
    build(by_spark, replace(request, engine=engine), NOW.replace(hour=hour))
    assert rows_that_differ(by_duckdb.state, by_spark.state) == {}
    assert hashes.read(by_duckdb) == hashes.read(by_spark)
    assert rows_that_differ(by_duckdb.published, by_spark.published) == {}


def test_the_day_after_is_built_by_spark_with_late_events_a_correction_and_a_retraction(
    homes: tuple[Home, Home],
) -> None:
    home = homes[0]
    by = decide.By("tester", NOW.replace(hour=14), "test")
    late = [
        EVENT.replace("2026-11-01T10", f"2026-11-0{day}T{hour:02}") % (f"late-{day}-{hour}", ',"campaign":"autumn"')
        for day in (1, 2, 3)
        for hour in (0, 9, 23)
    ]
    land(home, 4)
    land_lines(home, datetime(2026, 11, 5, 3, tzinfo=UTC), late, NOW)
    letters = listings.dead_letter_records(home, "clickstream", None, 100)
    letter, event_id = next(
        (one, found[0]) for one in letters if (found := re.search(r"odd-\d+", one["raw"] if one["raw"] else ""))
    )
    file = home.root / "corrected.json"
    file.write_text(json.dumps({"record": letter["record"], "raw": EVENT % (event_id, "")}))
    decide.resubmit(home, file, by)
    decide.retract(home, batch_of(home, "clickstream", 3), by)
    in_both(homes, Request(), 15, SPARK)
    with duckdb.connect(str(homes[1].state), read_only=True) as state:
        query = "select count(*) from silver.clickstream where event_id like 'late-%' or event_id = ?"
        assert state.execute(query, [event_id]).fetchall() == [(len(late) + 1,)]
    assert [*(homes[1].builds).glob("*/spark")] == []


def test_a_range_is_rebuilt_by_spark(homes: tuple[Home, Home]) -> None:
    decide.restore(
        homes[0], batch_of(homes[0], "clickstream", 3), decide.By("tester", NOW.replace(hour=16), "all is well")
    )
    in_both(homes, Request(date(2026, 11, 2), date(2026, 11, 4), reason="test"), 17, SPARK)
    assert ledger.recompute(homes[1], NOW.replace(hour=18)) == []


def batch_held(home: Home) -> str:
    """Return the only batch that is held."""
    with duckdb.connect(str(home.state), read_only=True) as state:
        ((batch_id,),) = state.execute("select batch_id from ops.held where is_open").fetchall()
    return str(batch_id)


def batch_of(home: Home, dataset: str, day: int) -> str:
    """Return the batch of a dataset whose window starts on a day."""
    query = (
        "select batch_id from ops.batches where dataset = ? and window_date = ? order by records_written desc limit 1"
    )
    with duckdb.connect(str(home.state), read_only=True) as state:
        return state.execute(query, [dataset, date(2026, 11, day)]).fetchall()[0][0]


def test_the_page_says_which_engine_makes_which_model(tmp_path: Path) -> None:
    dbt = PROJECT.parent / ".venv-spark" / "bin" / "dbt"
    listed = {}
    not_new = ["tag:beside_state", "tag:accounting", "config.materialized:view"]
    choices = {
        "whole": ["--selector", "on_spark"],
        "any other": ["--exclude", *not_new],
        "all": [],
    }
    for name, options in choices.items():
        done = subprocess.run(
            [
                *(dbt, "ls", "--quiet", "--target", "spark", "--resource-type", "model", *options),
                *("--output", "json", "--output-keys", "name"),
                *("--target-path", str(tmp_path), "--log-path", str(tmp_path)),
            ],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
        listed[name] = {json.loads(line)["name"] for line in done.stdout.splitlines() if line.startswith("{")}
    section = ENGINES.read_text().partition("\n## Models\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \|", section, re.M)
    assert {name for name, *_ in rows} == listed["all"] and len(rows) == len(listed["all"])
    assert {name for name, engine, _ in rows if engine == "Spark"} == listed["whole"]
    assert {name for name, _, engine in rows if engine == "Spark"} == listed["any other"]
