import json
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import Permanent
from ingestion.home import Home
from operations import control_room_facts
from operations.control_room_facts import LISTED, Day, Room
from tests.unit.operations.planted import LAST_BUILD, NOW, plant
from warehouse import publish
from warehouse.audit import Finding
from warehouse.plan import Build


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def room(home: Home) -> Room:
    return control_room_facts.read(home, NOW)


def by_date(days: list[Day]) -> dict[str, Day]:
    return {str(day.date): day for day in days}


def test_a_date_is_zero_only_if_it_is_complete(room: Room) -> None:
    revenue = by_date(list(room.days["revenue"]))
    assert revenue["2026-11-19"] == Day(
        date(2026, 11, 19), {"net_usd": 1000.5, "orders": 20.0, "lines_without_usd": 0.0}
    )
    # complete, and nothing was sold
    assert (revenue["2026-11-20"].values["net_usd"], revenue["2026-11-20"].mark) == (0.0, "")
    assert (revenue["2026-11-24"].values["net_usd"], revenue["2026-11-24"].mark) == (1000.5, "not reconciled")
    traffic = by_date(list(room.days["traffic"]))
    assert (traffic["2026-11-24"].values["events"], traffic["2026-11-24"].mark) == (2400.0, "")
    assert (traffic["2026-11-25"].values["events"], traffic["2026-11-25"].mark) == (2400.0, "incomplete")
    assert (traffic["2026-11-26"].values["events"], traffic["2026-11-26"].mark) == (None, "not here yet")
    assert list(traffic)[-1] == "2026-11-26" and len(traffic) == 365


def test_shares_of_nothing_are_nothing() -> None:
    rows = [
        {"day": date(2026, 11, 1), "sessions": 4, "cart": 50.0},
        {"day": date(2026, 11, 3), "sessions": 4, "cart": 25.0},
    ]
    whole = [
        {
            "dataset": "clickstream",
            "complete_from": NOW.replace(day=1, hour=0, tzinfo=None),
            "complete_until": NOW.replace(day=4, hour=0, tzinfo=None),
            "unreconciled_dates": [],
        }
    ]
    days = control_room_facts._days(rows, ("sessions", "cart"), made_of(4, "clickstream"), whole, {})
    assert [dict(day.values) for day in days] == [
        {"sessions": 4.0, "cart": 50.0},
        {"sessions": 0.0, "cart": None},
        {"sessions": 4.0, "cart": 25.0},
    ]


def made_of(day: int | None, *datasets: str) -> dict[str, Any]:
    """Return a row of ops.gold_completeness, complete up to a day of the month."""
    return {"datasets": list(datasets), "complete_until": day and NOW.replace(day=day, hour=0, tzinfo=None)}


def test_a_date_of_gold_is_complete_if_the_table_is() -> None:
    rows = [{"day": date(2026, 11, number), "n": 1} for number in (1, 2, 3)]
    whole = [
        {
            "dataset": name,
            "complete_from": NOW.replace(day=day, hour=0, tzinfo=None),
            "unreconciled_dates": [date(2026, 11, 3)] if name == "orders" else [],
        }
        for name, day in (("orders", 1), ("order_items", 2))
    ]

    def marks(table: dict[str, Any] | None) -> list[str]:
        return [day.mark for day in control_room_facts._days(rows, ("n",), table, whole, {})]

    assert marks(made_of(4, "orders", "order_items")) == ["incomplete", "", "not reconciled"]
    assert marks(made_of(3, "order_items")) == ["incomplete", "", "incomplete"]
    # complete up to no time, or not known at all
    assert marks(made_of(None, "orders", "order_items")) == ["incomplete"] * 3
    assert marks(None) == ["incomplete"] * 3


def test_without_a_whole_window_no_date_is_complete_and_none_is_left_out() -> None:
    rows = [{"day": date(2026, 11, number), "n": 1} for number in (1, 3)]
    days = control_room_facts._days(rows, ("n",), made_of(None, "orders"), [], {})
    assert [(day.date.day, day.values["n"], day.mark) for day in days] == [
        (1, 1.0, "incomplete"),
        (2, None, "not here yet"),
        (3, 1.0, "incomplete"),
    ]


def test_the_dates_of_a_dataset_add_up_to_its_records(room: Room) -> None:
    for dataset in ("orders", "clickstream"):
        rows = [row for row in room.tables["dates"] if row["dataset"] == dataset]
        assert sum(row["records"] for row in rows) == 100 * 24 * 365
        assert sum(row["dead_letter"] for row in rows) == 2 * 24 * 365
        assert len([row for row in rows if row["record_date"]]) == LISTED
    others = {
        row["others"]: row["records"] for row in room.tables["dates"] if row["dataset"] == "orders" and row["others"]
    }
    assert others == {"after the last window": 2, "without a date": 2, "before these dates": 100 * 24 * (365 - LISTED)}
    differing = [row for row in room.tables["dates"] if row["source_difference"]]
    assert [(row["dataset"], str(row["record_date"]), row["source_difference"]) for row in differing] == [
        ("orders", "2026-11-24", 7)
    ]


def test_numbers_over_time_are_those_of_the_runs(room: Room) -> None:
    assert {row["value"] for row in room.tables["lag"]} == {1.5}
    # of a landing with two datasets the seconds count once: 24 windows of 100 records each from clicks, and 200 from orders
    throughput = {row["name"]: row["value"] for row in room.tables["throughput"] if row["day"] == date(2026, 11, 1)}
    assert throughput == {"ingest": 300 * 24 / (8 * 24), "transform": 300 / 12.5, "audit": 300 / 7.25}
    assert {row["value"] for row in room.tables["errors"] if row["day"] == date(2026, 11, 1)} == {2.0}
    assert [(row["stage"], row["result"], row["runs"]) for row in room.tables["failures"]] == [
        ("ingest", "transient", 1)
    ]
    stages = {row["stage"]: row["seconds"] for row in room.tables["stages"] if row["build_id"] == LAST_BUILD}
    assert stages == {"plan": 1.25, "transform": 12.5, "audit": 7.25}


def test_only_what_is_open_is_read(room: Room) -> None:
    assert [one.check_name.split()[0] for one in room.findings] == ["numbers", "some_warning"]
    assert [row["batch_id"] for row in room.tables["held"]] == ["held-batch", "belongs-to-it"]
    assert [(row["reason"], row["records"], str(row["first_date"])) for row in room.refused or ()][:2] == [
        ("broken_json", 2, "2026-11-03"),
        ("bad <script>alert(1)</script>", 1, "None"),
    ]
    assert room.late == ("clickstream", "order_items", "orders")
    assert len(room.tables["anomalies"]) == 30 and len(room.tables["builds"]) == 10


def test_of_the_rows_behind_a_finding_only_safe_columns_are_kept() -> None:
    rows = [
        {"dataset": "d", "email": "a@b", "value": "text", "records": 3},
        {"value": 1.5, "first_keys": "k"},
        {"raw": "r"},
    ]
    kept, hidden = control_room_facts.shown(json.dumps(rows), frozenset(["dataset", "records"]))
    assert kept == [{"dataset": "d", "records": 3}, {"value": 1.5}]
    assert hidden == ["email", "first_keys", "raw", "value"]
    # the values of an expectation have no column, and so no name that could be safe
    assert control_room_facts.shown('["a@b", 7]', frozenset(["dataset"])) == ([], [])
    assert control_room_facts.shown("broken", frozenset()) == ([], []) and control_room_facts.shown(
        None, frozenset()
    ) == ([], [])


def test_a_key_is_kept_unless_a_contract_calls_it_personal(room: Room) -> None:
    (row,) = room.findings[0].rows
    assert row == {"dataset": "orders", "order_id": "o-17"}
    assert room.findings[0].hidden == ("email", "raw", "value")


def test_an_older_file_lacks_tables_and_a_home_without_one_says_what_to_type(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "landing")
    with pytest.raises(Permanent, match="nothing is published yet"):
        control_room_facts.read(home, NOW)
    home.published.parent.mkdir(parents=True)
    with duckdb.connect(str(home.published)) as connection:
        connection.execute("create schema ops; create table ops.builds (build_id varchar, build_number bigint)")
    room = control_room_facts.read(home, NOW)
    assert not any(room.tables.values()) and room.refused == [] and not any(room.days.values())


def test_the_seconds_of_models_are_those_that_builds_have_kept(tmp_path: Path) -> None:
    home = plant(tmp_path)
    for build_id, text in ((LAST_BUILD, '{"gold_daily_revenue": 1.5}'), ("20261127T030000Z-b", '{"broken')):
        made = Build(home, build_id)
        made.folder.mkdir(parents=True)
        made.times.write_text(text)
    assert control_room_facts.read(home, NOW).models == {LAST_BUILD: {"gold_daily_revenue": 1.5}}


def test_a_pin_a_refused_build_and_a_state_in_use_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = plant(tmp_path)
    publish.write_pin(home, publish.Pin("b1", "a bad load", "ann", NOW.isoformat()))
    build = Build(home, "20261127T060000Z-c")
    build.folder.mkdir(parents=True)
    stopped = Finding("batches_balance", "fail", 3, "a message with data", "[]", "stopped")
    build.verdict.write_text(json.dumps([stopped.__dict__, Finding("other", "fail", 1, "", "[]", "alert").__dict__]))
    home.state.write_text("no database")
    room = control_room_facts.read(home, NOW)
    assert room.pin and room.pin.reason == "a bad load" and room.refused is None
    assert room.refused_build == build.build_id
    assert [(one.check_name, one.message) for one in room.findings if one.build_id == build.build_id] == [
        ("batches_balance", "")
    ]
