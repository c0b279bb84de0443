"""One record deleted, doubled or altered, in any table or file of any layer: the recount names it."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from ingestion import bronze, sources
from ingestion.home import Home
from ingestion.window import Window
from operations import ledger
from tests.pipeline.copies import copied
from warehouse.build import Refused, Request, build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TABLES = """
    select schema_name || '.' || table_name from duckdb_tables()
    where schema_name in ('records', 'silver', 'gold', 'ops') and estimated_size > 0
    and table_name not in ('builds', 'findings', 'runs') order by 1
"""
# What a build looked at, found and decided at the time: it cannot be computed again from anything else.
UNCHECKED = {"ops.builds", "ops.findings", "ops.restatements", "ops.runs"}


@pytest.fixture
def home(first_day: Home, tmp_path: Path) -> Iterator[Home]:
    """Yield a copy of the home that a test may damage."""
    yield copied(first_day, tmp_path / "home")
    shutil.rmtree(tmp_path / "home")


def test_an_unspoilt_home_has_no_differences(home: Home) -> None:
    assert ledger.recount(home) == ([], True)
    assert ledger.recompute(home, NOW) == []


# Columns that say where a row comes from, not what it means.
STAMPS = ("build_id", "model_version")
# Rows of different batches: if every trace of one batch were deleted, it would be as if it had never been built.
ROWS = {
    "ops.batches": "dataset = 'products'",
    "ops.batch_dates": "dataset <> 'products'",
    "ops.ledger": "dataset <> 'products'",
}
DEEDS = {
    "delete": "delete from {table} where rowid = {row}",
    "double": "insert into {table} select * from {table} where rowid = {row}",
    "alter": "update {table} set {column} = {value} where rowid = {row}",
}


@pytest.mark.parametrize("deed", DEEDS)
def test_what_is_done_to_a_row_of_any_table_is_named(home: Home, deed: str) -> None:
    spoilt = {}
    with duckdb.connect(str(home.state)) as state:
        for (table,) in state.sql(TABLES).fetchall():
            row = state.sql(f"select max(rowid) from {table} where {ROWS.get(table, 'true')}").fetchone()[0]
            column, value = altered(state, table)
            spoilt[table] = state.sql(f"select columns(*)::varchar from {table} where rowid = {row}").fetchone()
            state.execute(DEEDS[deed].format(table=table, row=row, column=column, value=value))
    named = ledger.recompute(home, NOW)
    tables = {row["table"] for row in named if not row["table"].startswith("published")}
    assert tables == set(spoilt) - UNCHECKED
    batch, number = spoilt["records.orders"][:2]
    assert f"{batch}:{number}" in {row["record"] for row in named if row["table"] == "records.orders"}
    differences, balanced = ledger.recount(home)
    assert not balanced and batch in {row["batch_id"] for row in differences}
    if deed != "alter":
        assert f"{batch}:{number}" in " ".join(row["records"] for row in differences)


def altered(state: duckdb.DuckDBPyConnection, table: str) -> tuple[str, str]:
    """Return the last column of a plain type, and an expression for another value of it."""
    columns = state.sql(
        f"select column_name, data_type from duckdb_columns() where schema_name || '.' || table_name = '{table}' order by column_index"
    ).fetchall()
    values = {
        "VARCHAR": "'spoilt'",
        "BIGINT": "-77",
        "BOOLEAN": "not coalesce({0}, false)",
        "TIMESTAMP": "timestamp '1999-01-01'",
        "DATE": "date '1999-01-01'",
    }
    name, kind = [(name, kind) for name, kind in columns if kind in values and name not in STAMPS][-1]
    return name, values[kind].format(name)


def test_what_is_done_to_the_published_file_is_named(home: Home) -> None:
    with duckdb.connect(str(home.published)) as published:
        published.execute("update gold.daily_revenue set net_amount = net_amount + 0.0001 where rowid = 0")
        spoilt = published.sql(
            "select order_date, country, currency from gold.daily_revenue where rowid = 0"
        ).fetchone()
    named = ledger.recompute(home, NOW)
    assert {row["table"] for row in named} == {"published gold.daily_revenue"}
    assert all(json.loads(row["row"])["country"] == spoilt[1] for row in named)


@pytest.mark.parametrize("deed", ["delete", "alter", "delete batch", "manifest", "double batch"])
def test_what_is_done_to_bronze_is_named(home: Home, deed: str) -> None:
    ref = bronze.list_batches(home, "orders")[0]
    folder = bronze.batch_folder(home, ref)
    part = folder / "part-0.parquet"
    if deed == "delete":
        part.unlink()
    elif deed == "alter":
        body = bytearray(part.read_bytes())
        body[len(body) // 2] ^= 1
        part.write_bytes(body)
    elif deed == "delete batch":
        shutil.rmtree(folder)
    elif deed == "manifest":
        manifest = json.loads((folder / bronze.MANIFEST).read_text())
        (folder / bronze.MANIFEST).write_text(
            json.dumps(manifest | {"records_written": manifest["records_written"] - 1})
        )
    else:
        shutil.copytree(folder, folder.with_name("0" * 20))
    differences, balanced = ledger.recount(home)
    assert not balanced
    assert ("0" * 20 if deed == "double batch" else ref.batch_id) in str(differences)


@pytest.mark.parametrize("deed", DEEDS)
def test_a_build_names_what_is_spoilt_on_the_dates_it_touches(home: Home, tmp_path: Path, deed: str) -> None:
    with duckdb.connect(str(home.state)) as state:
        batch, row = state.sql("select batch_id, rowid from records.clickstream limit 1").fetchone()
        state.execute(DEEDS[deed].format(table="records.clickstream", row=row, column="url", value="'spoilt'"))
    landing = tmp_path / "late"
    hour = landing / "2026-11-01" / "10"
    hour.mkdir(parents=True)
    (hour / "late.jsonl").write_text(
        '{"event_id": "late", "event_type": "click", "event_time": "2026-11-01T10:00:00Z", "visitor_id": "v"}\n'
    )
    late = Home(home.root, landing, home.shop_url)
    sources.ingest("clickstream", Window.parse("2026-11-01T10:00", "2026-11-01T11:00"), late, NOW)
    with pytest.raises(Refused, match="dates_balance") as refusal:
        build(late, Request(), NOW)
    assert batch in str(refusal.value)
    checks = re.findall(r"(\w+) \(\d+ rows\)", str(refusal.value))
    assert checks and checks == sorted(checks), "they come in the order of the disk"
