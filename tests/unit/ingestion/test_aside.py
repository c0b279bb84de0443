"""What is moved aside keeps its name, says why it was moved, and can be put back."""

import json

import pytest

from ingestion.aside import put_back, set_aside
from ingestion.home import Home


@pytest.fixture
def home(home: Home) -> Home:
    home.root.mkdir()
    return home


def test_nothing_that_was_moved_before_is_lost(home: Home) -> None:
    for content in ("first", "second"):
        home.state.write_text(content)
        moved = set_aside(home, home.state, "garbage")
        assert not home.state.exists() and moved.read_text() == content
    names = {path.name for path in home.broken.iterdir()}
    assert names == {
        *("warehouse.duckdb", "warehouse.duckdb.reason.json"),
        *("warehouse.duckdb-2", "warehouse.duckdb-2.reason.json"),
    }
    told = json.loads((home.broken / "warehouse.duckdb-2.reason.json").read_text())
    assert told == {"was": "warehouse.duckdb", "why": "garbage"}


def test_what_would_be_replayed_into_a_database_goes_with_it(home: Home) -> None:
    home.state.write_text("state")
    log = home.state.with_name("warehouse.duckdb.wal")
    log.write_text("log")
    set_aside(home, home.state, "garbage")
    assert not log.exists() and (home.broken / "warehouse.duckdb.wal").read_text() == "log"


def test_a_folder_is_put_back_as_it_was(home: Home) -> None:
    folder = home.bronze / "orders" / "2026-11-01" / "b1"
    folder.mkdir(parents=True)
    (folder / "part-0.parquet").write_text("x")
    put_back(home, set_aside(home, folder, "garbage"), folder)
    assert (folder / "part-0.parquet").read_text() == "x"
    assert not [path for path in home.broken.rglob("*") if path.is_file()]
