"""Batches, builds and their findings are listed from bronze, the builds' folders and the state. For letters: test_letters.py."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from ingestion.window import Window
from operations import listings
from tests.pipeline.delivery import LINE, ORDER, land_rows
from warehouse.plan import Build

AT = datetime(2026, 11, 3, tzinfo=UTC)
STATE = """
    create schema ops;
    create table ops.builds as from (values ('first', 1), ('third', 3), ('second', 2)) as builds (build_id, build_number);
    create table ops.batches (batch_id varchar, build_id varchar);
    create table ops.ledger (batch_id varchar, fate varchar, records integer);
    create table ops.findings as
    select 'first' as build_id, check_name, result from (values ('a', 'pass'), ('b', 'warn'), ('c', 'fail')) as found (check_name, result);
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "landing")


@pytest.fixture
def state(home: Home) -> Path:
    home.root.mkdir()
    with duckdb.connect(str(home.state)) as connection:
        connection.execute(STATE)
    return home.state


def order(number: int) -> dict[str, str | None]:
    return dict.fromkeys(ORDER) | {"order_id": f"o{number}"}


def test_each_batch_is_listed_with_the_build_it_entered_in(home: Home, state: Path) -> None:
    orders = land_rows(home, "orders", ORDER, [order(1), order(2)], AT)
    lines = land_rows(home, "order_items", LINE, [dict.fromkeys(LINE)], AT)
    with duckdb.connect(str(state)) as connection:
        connection.execute("insert into ops.batches values (?, 'second')", [orders])
    found = listings.batches(home)
    assert [(row["dataset"], row["batch_id"], row["records"], row["build_id"]) for row in found] == [
        ("order_items", lines, 1, None),
        ("orders", orders, 2, "second"),
    ]
    for row in found:
        files = (home.bronze / row["dataset"]).glob(f"*/{row['batch_id']}/*.parquet")
        assert row["bytes"] == sum(path.stat().st_size for path in files) > 0


def test_batches_are_chosen_by_dataset_and_by_the_dates_of_their_windows(home: Home) -> None:
    days = [Window.parse("2026-11-01", "2026-11-02"), Window.parse("2026-11-03T05:00", "2026-11-03T06:00")]
    first, second = (land_rows(home, "orders", ORDER, [order(1)], AT, window) for window in days)
    lines = land_rows(home, "order_items", LINE, [dict.fromkeys(LINE)], AT, days[0])
    day = date(2026, 11, 1)

    def ids(*chosen: Any) -> set[str]:
        return {row["batch_id"] for row in listings.batches(home, *chosen)}

    assert ids("orders") == {first, second} and ids("nothing") == set()
    assert ids(None, day, day + timedelta(1)) == {first, lines} == ids(None, None, day + timedelta(1))
    assert ids("orders", day + timedelta(1)) == {second} and ids(None, None, day) == set()
    assert ids(None, day + timedelta(2), day + timedelta(3)) == {second}
    found = listings.batches(home)
    assert [row["batch_id"] for row in listings.latest(found, 1)] == [second]
    assert listings.latest(found, 5) == found


def test_a_batch_is_shown_with_the_fates_of_its_records(home: Home, state: Path) -> None:
    batch = land_rows(home, "orders", ORDER, [order(n) for n in range(5)], AT)
    assert listings.batch(home, batch)["fates"] == {}
    with duckdb.connect(str(state)) as connection:
        connection.execute(
            "insert into ops.ledger values (?, 'current', 1), (?, 'current', 2), (?, 'dead_letter', 2), ('other', 'current', 9)",
            [batch] * 3,
        )
    shown = listings.batch(home, batch)
    assert (shown["batch_id"], shown["records_written"], shown["landed_at"]) == (batch, 5, "2026-11-03T00:00:00Z")
    assert shown["fates"] == {"current": 3, "dead_letter": 2}
    with pytest.raises(Permanent, match="there is no batch other"):
        listings.batch(home, "other")


def test_builds_are_listed_newest_first(home: Home, state: Path) -> None:
    assert [row["build_id"] for row in listings.builds(home)] == ["third", "second", "first"]


def test_without_a_state_nothing_is_listed(home: Home) -> None:
    assert listings.batches(home) == listings.builds(home) == []


def verdict(home: Home, build_id: str, text: str) -> None:
    made = Build(home, build_id)
    made.folder.mkdir(parents=True)
    made.verdict.write_text(text)


def test_the_findings_of_a_build_are_its_own_or_those_that_the_state_kept(home: Home, state: Path) -> None:
    assert [row["check_name"] for row in listings.build(home, "first")] == ["c", "b", "a"]
    results = [{"check_name": name, "result": name} for name in ("warn", "pass", "fail")]
    verdict(home, "first", json.dumps(results))
    assert [row["check_name"] for row in listings.build(home, "first")] == ["fail", "warn", "pass"]
    verdict(home, "empty", "[]")
    assert listings.build(home, "empty") == []
    for unknown in ("second", "*", "../builds/first", "", "fi?st"):
        with pytest.raises(Permanent, match="there is no build"):
            listings.build(home, unknown)


@pytest.mark.parametrize("text", ["", "[1]", '[{"result": "odd"}]', "[{}]", "7"])
def test_findings_that_cannot_be_read_are_damage(home: Home, text: str) -> None:
    verdict(home, "bad", text)
    with pytest.raises(Broken, match="cannot be read"):
        listings.build(home, "bad")
