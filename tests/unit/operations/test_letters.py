"""A refused line is one letter, however often it landed, and is open until a decision or a valid record settles it."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingestion.home import Home
from operations import letters, listings, suggest
from warehouse import state

TABLES = """
    create schema records;
    create schema ops;
    create table records.refused (
        dataset varchar, batch_id varchar, record_no bigint, record_date date, reasons varchar[], raw varchar, source_file varchar,
        source_line bigint, currency varchar, amount decimal(38, 4), is_amount_read boolean, decision varchar, fate varchar
    );
    create table records.decisions (batch_id varchar, record_no bigint, target_record_no bigint);
    create table records.clickstream (batch_id varchar, record_no bigint, event_id varchar, fate varchar);
    create table records.order_items (
        batch_id varchar, record_no bigint, order_id varchar, line_number bigint, updated_at timestamp, fate varchar
    );
    create table ops.batches (batch_id varchar, landed_at timestamp);
    insert into ops.batches select 'b' || range, timestamp '2026-11-01' + to_days(range::integer) from range(1, 10);
"""


class Desk:
    def __init__(self, home: Home) -> None:
        self.home, self.number = home, 0

    def put(self, table: str, *values: Any) -> None:
        with state.connect(self.home.state, read_only=False) as connection:
            connection.execute(f"insert into {table} values ({', '.join('?' * len(values))})", values)

    def refuse(
        self,
        dataset: str,
        raw: object,
        batch: str = "b1",
        reason: str = "not_parsed:x",
        fate: str = "dead_letter",
        decision: str | None = None,
    ) -> None:
        self.number += 1
        text = raw if isinstance(raw, str) else json.dumps(raw)
        place = (dataset, batch, self.number, "2026-11-01", [reason], text, f"{batch}.jsonl", self.number)
        self.put("records.refused", *place, "EUR", 1, True, decision, fate)

    def letters(self, *, settled: bool) -> list[tuple]:
        found = listings.dead_letter_records(self.home, settled=settled)
        return [(row["record"], row["records"], row["settled"]) for row in found]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    home = Home(tmp_path, tmp_path / "landing")
    with state.connect(home.state, read_only=False) as connection:
        connection.execute(TABLES)
    return Desk(home)


def test_one_line_in_three_landings_is_one_letter_since_the_first(desk: Desk) -> None:
    for batch, end in (("b2", "\n"), ("b1", "\n"), ("b3", "")):
        desk.refuse("clickstream", "not json" + end, batch, "broken_json")
    desk.refuse("clickstream", "another", "b3", "broken_json")
    desk.refuse("order_items", "not json", "b3", "broken_json")
    found = listings.dead_letters(desk.home)
    assert [(row["dataset"], row["letters"], row["records"], str(row["first_seen"].date())) for row in found] == [
        ("clickstream", 2, 4, "2026-11-02"),
        ("order_items", 1, 1, "2026-11-04"),
    ]
    assert [row["records"] for row in suggest.suggestions(desk.home)] == [2, 1]
    assert desk.letters(settled=False) == [("b1:2", 3, None), ("b3:4", 1, None), ("b3:5", 1, None)]
    by_file = listings.dead_letters(desk.home, by_file=True)
    assert {row["source_file"] for row in by_file} == {"b1.jsonl", "b3.jsonl"}


def test_a_line_is_refused_for_what_its_latest_landing_says(desk: Desk) -> None:
    desk.refuse("clickstream", "{}", "b1", "missing:a")
    desk.refuse("clickstream", "{}", "b2", "missing:b")
    assert [row["reasons"] for row in listings.dead_letters(desk.home)] == ["missing:b"]


@pytest.mark.parametrize(("fate", "said"), [("withdrawn", "discarded"), ("superseded", "corrected")])
def test_a_decision_about_one_landing_settles_the_line(desk: Desk, fate: str, said: str) -> None:
    desk.refuse("clickstream", "x", "b1", fate=fate, decision="d:1")
    desk.refuse("clickstream", "x", "b2")
    desk.refuse("clickstream", "y", "b2")
    desk.put("records.decisions", "d", 1, 1)
    assert desk.letters(settled=False) == [("b2:3", 1, None)]
    assert desk.letters(settled=True) == [("b1:1", 2, said)]


def test_half_a_line_that_came_whole_is_settled(desk: Desk) -> None:
    desk.refuse("clickstream", '{"event', fate="superseded", reason="half_line")
    assert desk.letters(settled=False) == [] and desk.letters(settled=True) == [("b1:1", 1, "replaced")]


def test_an_event_that_is_there_settles_its_letter(desk: Desk) -> None:
    desk.put("records.clickstream", "b5", 7, "e1", "current")
    desk.put("records.clickstream", "b5", 8, "e2", "superseded")
    for name in ("e1", "e2", "e3"):
        desk.refuse("clickstream", {"event_id": name, "quantity": "two"})
    assert desk.letters(settled=True) == [("b1:1", 1, "replaced by b5:7")]
    assert [record for record, _, _ in desk.letters(settled=False)] == ["b1:2", "b1:3"]


@pytest.mark.parametrize(
    ("version", "batch", "is_settled"),
    [
        ("2026-11-01 10:00:00+00", "b1", True),  # the shop has fixed it since
        ("2026-11-01 12:00:01+00", "b1", False),  # the valid record is older than the refused one
        ("2026-11-01 14:00:00+02", "b1", True),  # the same version, and landed later
        ("2026-11-01 12:00:00+00", "b9", False),  # the same version, and landed before
        ("nonsense", "b1", True),
        ("nonsense", "b9", False),
    ],
)
def test_a_row_settles_its_letter_unless_it_is_older(desk: Desk, version: str, batch: str, is_settled: bool) -> None:
    desk.put("records.order_items", "b5", 1, "o1", 2, "2026-11-01 12:00:00", "current")
    desk.refuse("order_items", {"order_id": "o1", "line_number": "2", "updated_at": version}, batch)
    desk.refuse("order_items", {"order_id": "o1", "line_number": "3", "updated_at": version}, batch)
    assert len(desk.letters(settled=True)) == is_settled and len(desk.letters(settled=False)) == 2 - is_settled


def test_without_a_state_there_are_none(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path)
    assert listings.dead_letters(home) == [] == suggest.suggestions(home)


def test_each_refused_record_is_told_what_settled_its_line(desk: Desk) -> None:
    desk.put("records.clickstream", "b5", 7, "e1", "current")
    for batch in ("b1", "b2"):
        desk.refuse("clickstream", {"event_id": "e1"}, batch)
    desk.refuse("clickstream", "x")
    assert letters.settled(desk.home, ["b1:1", "b2:2", "b1:3", "b9:9"]) == {
        "b1:1": "replaced by b5:7",
        "b2:2": "replaced by b5:7",
        "b1:3": "open",
    }
