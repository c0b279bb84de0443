"""Where a person is looked for in a lake. A DuckDB file stands for its rows, and SQLite for its catalog; lakes themselves: tests/lake."""

import sqlite3
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion import lake
from operations.lake_traces import search_lake
from operations.traces import Traces

TRACES = Traces({"customer_id": ("7",)}, ("ann.lee@shop.example",))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A lake without the person: a state, two files, one of which no snapshot has, and a catalog."""
    state, catalog = tmp_path / "state.duckdb", tmp_path / "catalog.sqlite"
    with duckdb.connect(str(state)) as connection:
        connection.execute("create schema gold; create table gold.t (customer_id varchar)")
    with sqlite3.connect(catalog) as connection:
        connection.execute("create table stats (max_value, bytes)")
        connection.execute("insert into stats values ('bob', 7)")
    files = {name: tmp_path / f"{name}.parquet" for name in ("one", "stray")}
    for path in files.values():
        pq.write_table(pa.table({"customer_id": ["8"]}), path)
    gone = str(tmp_path / "gone.parquet")
    monkeypatch.setattr(lake, "read", lambda _: lake.Lake("lakes", str(tmp_path)))
    monkeypatch.setattr(lake, "files", lambda *_: [*map(str, files.values()), gone])
    monkeypatch.setattr(lake, "catalog", lambda _: sqlite3.connect(catalog))
    monkeypatch.setattr("operations.lake_traces._CATALOG", "select name from sqlite_master")
    return {"state": state, "catalog": catalog, **files}


def found(places: dict[str, Path]) -> list[str]:
    return [place for place, _ in search_lake(places["state"], TRACES)]


def test_each_place_is_searched(places: dict[str, Path]) -> None:
    assert found(places) == []
    pq.write_table(pa.table({"customer_id": ["7"]}), places["stray"])
    assert found(places) == [str(places["stray"])]
    with sqlite3.connect(places["catalog"]) as connection:
        connection.execute("update stats set max_value = 'Ann.Lee@shop.example'")
    assert found(places) == [str(places["stray"]), "the lake's catalog, stats"]
    with sqlite3.connect(places["catalog"]) as connection:
        connection.execute("update stats set max_value = ?", [b"(ann.lee@shop.example)"])
    with duckdb.connect(str(places["state"])) as connection:
        connection.execute("insert into gold.t values ('7')")
    assert found(places) == ["lake gold.t", str(places["stray"]), "the lake's catalog, stats"]


def test_a_file_that_cannot_be_read_is_told(places: dict[str, Path]) -> None:
    places["one"].write_bytes(b"PAR1")
    assert found(places) == [str(places["one"])]


def test_objects_of_s3_are_read_where_they_are(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"customer_id": ["7"]}), places["one"])
    monkeypatch.setattr(lake, "files", lambda *_: ["s3://bucket/one.parquet"])
    monkeypatch.setattr("operations.lake_traces.s3.opened", lambda _: places["one"].open("rb"))
    assert found(places) == ["s3://bucket/one.parquet"]
