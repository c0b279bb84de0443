"""Decisions land as records and are read back; the latest per subject and target counts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion import bronze
from ingestion.home import Home
from ingestion.sources import decisions
from ingestion.sources.decisions import Decision, Target

AT = datetime(2026, 11, 1, 10, tzinfo=UTC)
BATCH, RECORD = Target("orders", "b1"), Target("orders", "b1", 7)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path / "landing")


def decide(home: Home, *made: Decision) -> None:
    for one in made:
        decisions.land(home, [one])


def later(hours: int) -> datetime:
    return AT + timedelta(hours=hours)


def test_what_is_landed_is_read_back(home: Home) -> None:
    made = [
        decisions.withdraw(RECORD, 'it\'s "odd", é', "me", AT),
        decisions.correct(RECORD, Target("orders", "b2", 1), "typo", "me", AT),
        decisions.accept(BATCH, "known", "you", AT),
        decisions.accept_difference(Target("orders", "2026-11-01"), "known", "you", AT),
    ]
    manifest = decisions.land(home, made)
    assert manifest.records_written == 4
    assert set(decisions.standing(home).values()) == set(made)


def test_the_same_decisions_are_the_same_batch(home: Home) -> None:
    made = decisions.withdraw(BATCH, "r", "me", AT)
    assert decisions.land(home, [made]).batch_id == decisions.land(home, [made]).batch_id
    assert len(bronze.list_batches(home, "decisions")) == 1


def test_a_decision_that_was_made_is_known_also_after_it_was_undone(home: Home) -> None:
    decide(home, decisions.withdraw(BATCH, "r", "me", AT), decisions.keep(BATCH, "r", "you", later(1)))
    assert decisions.is_made(home, "me", AT) and decisions.is_made(home, "you", later(1))
    assert not decisions.is_made(home, "you", AT) and not decisions.is_made(home, "me", later(1))


def test_the_latest_counts_in_whatever_order_they_land(home: Home) -> None:
    out, back = decisions.withdraw(BATCH, "r", "me", later(1)), decisions.keep(BATCH, "r", "me", later(2))
    decide(home, back, out)
    assert decisions.standing(home) == {("presence", BATCH): back}
    assert decisions.retracted(home) == frozenset() == decisions.settled(home)
    decide(home, decisions.withdraw(BATCH, "again", "me", later(3)))
    assert decisions.retracted(home) == {"b1"} == decisions.settled(home)


def test_a_record_that_is_withdrawn_takes_no_batch_out(home: Home) -> None:
    decide(home, decisions.withdraw(RECORD, "r", "me", AT))
    assert decisions.retracted(home) == frozenset()
    assert decisions.whole_batches(home, bronze.committed(home)) == frozenset()


def test_an_accepted_batch_holds_nobody(home: Home) -> None:
    decide(home, decisions.accept(BATCH, "known", "me", AT))
    assert decisions.accepted(home) == {"b1"} == decisions.settled(home)
    assert decisions.retracted(home) == frozenset()


def test_a_target_is_named_as_people_type_it() -> None:
    assert (str(BATCH), str(RECORD)) == ("b1", "b1:7")
