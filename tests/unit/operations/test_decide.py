"""Decisions are checked and landed in bronze; a wrong one is an error that names the next command, and lands nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from ingestion import bronze
from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from ingestion.sources import decisions
from ingestion.sources.decisions import Target
from operations import decide, listings
from operations.decide import Asked, By
from tests.pipeline.delivery import ORDER, land_rows
from warehouse.plan import Build, Plan

AT = datetime(2026, 11, 3, tzinfo=UTC)
ROW = dict.fromkeys(ORDER) | {"order_id": "o1", "currency": "EUR"}
# The line x landed in three batches, with and without the end of the line. The last record is no dead letter.
REFUSED = """
    ('clickstream', 'b1', 1, 'x' || chr(10), 'dead_letter'), ('clickstream', 'b2', 1, 'x', 'dead_letter'),
    ('clickstream', 'b3', 1, 'x' || chr(13) || chr(10), 'dead_letter'), ('clickstream', 'b1', 2, 'y', 'dead_letter'),
    ('order_items', 'b4', 1, 'x', 'dead_letter'), ('clickstream', 'b1', 3, 'z', 'superseded')
"""
STATE = f"""
    create schema ops; create schema records; create schema silver;
    create table ops.builds as select 'build-1' as build_id, 1::bigint as build_number;
    create table records.refused as from (values {REFUSED}) as refused (dataset, batch_id, record_no, raw, fate);
    create table silver.dead_letters as from records.refused where fate = 'dead_letter';
    create table ops.held (batch_id varchar, broken_batch_id varchar, dataset varchar, window_date date, is_open boolean);
    insert into ops.held values
        ('lines', 'orders', 'order_items', '2026-11-01', true), ('orders', 'orders', 'orders', '2026-11-02', true),
        ('clicks', 'clicks', 'clickstream', '2026-11-03', true), ('older', 'older', 'orders', '2026-11-01', false);
    create table ops.differences
        (dataset varchar, event_date date, batch_id varchar, record_no bigint, is_alert boolean, is_accepted boolean);
    insert into ops.differences values
        ('orders', '2026-11-01', 'counts', 7, true, false), ('orders', '2026-11-02', 'counts', 8, true, true),
        ('orders', '2026-11-03', 'counts', 9, false, false);
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home", tmp_path / "landing")
    home.root.mkdir()
    with duckdb.connect(str(home.state)) as state:
        state.execute(STATE)
    return home


def by(hour: int = 0, reason: str = "a test") -> By:
    return By("somebody", AT + timedelta(hours=hour), reason)


def decided(home: Home) -> dict[tuple[str, str], str]:
    """Return the standing decisions: the action, by subject and target."""
    return {(subject, str(target)): one.action for (subject, target), one in decisions.standing(home).items()}


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_decision_needs_a_reason(reason: str) -> None:
    with pytest.raises(Permanent, match="needs a reason"):
        by(reason=reason)


def test_a_batch_is_retracted_and_restored_once(home: Home) -> None:
    batch = land_rows(home, "orders", ORDER, [ROW], AT)
    with pytest.raises(Permanent, match="is not retracted"):
        decide.restore(home, batch, by())
    decide.retract(home, batch, by(1))
    (one,) = decisions.standing(home).values()
    assert (one.target, one.reason, one.decided_by) == (Target("orders", batch), "a test", "somebody")
    assert one.decided_at == AT + timedelta(hours=1)
    with pytest.raises(Permanent, match=f"clearwell batches restore {batch}"):
        decide.retract(home, batch, by(2))
    decide.restore(home, batch, by(3))
    assert decided(home) == {("presence", batch): "keep"}
    decide.retract(home, batch, by(4))
    assert decided(home) == {("presence", batch): "withdraw"}


def test_what_is_no_batch_of_records_is_not_retracted(home: Home) -> None:
    with pytest.raises(Permanent, match="there is no batch b1"):
        decide.retract(home, "b1", by())
    batch = land_rows(home, "orders", ORDER, [ROW], AT)
    decide.retract(home, batch, by())
    (decision,) = bronze.list_batches(home, "decisions")
    with pytest.raises(Permanent, match="a batch of decisions cannot be retracted"):
        decide.retract(home, decision.batch_id, by(1))
    assert decided(home) == {("presence", batch): "withdraw"}


def test_a_damaged_batch_is_not_restored(home: Home) -> None:
    batch = land_rows(home, "orders", ORDER, [ROW], AT)
    decide.retract(home, batch, by())
    (path,) = home.bronze.glob(f"orders/*/{batch}/*.parquet")
    path.write_bytes(b"PAR1")
    with pytest.raises(Broken, match="differs from its manifest"):
        decide.restore(home, batch, by(1))
    assert decided(home) == {("presence", batch): "withdraw"}


def test_a_dead_letter_is_discarded_in_all_its_landings_and_taken_back(home: Home) -> None:
    assert decide.discard(home, ["b2:1"], by()) == 3
    assert decided(home) == {("presence", f"b{n}:1"): "withdraw" for n in (1, 2, 3)}
    with pytest.raises(Permanent, match="b1:2 is not discarded"):
        decide.undiscard(home, ["b1:1", "b1:2"], by(1))
    assert decide.undiscard(home, ["b3:1"], by(2)) == 3
    assert decided(home) == {("presence", f"b{n}:1"): "keep" for n in (1, 2, 3)}
    with pytest.raises(Permanent, match="b3:1 is not discarded"):
        decide.undiscard(home, ["b3:1"], by(3))


@pytest.mark.parametrize("name", ["b1:3", "b1:9", "b1", "nonsense"])
def test_what_is_no_dead_letter_is_not_discarded(home: Home, name: str) -> None:
    with pytest.raises(Permanent, match=f"{name} is not a dead letter"):
        decide.discard(home, ["b1:1", name], by())
    assert decided(home) == {}


def refused_row(home: Home) -> str:
    """Land a batch whose first record is a dead letter of the state; return the record's name."""
    batch = land_rows(home, "orders", ORDER, [ROW], AT)
    with duckdb.connect(str(home.state)) as state:
        state.execute(
            "insert into silver.dead_letters values ('orders', ?, 1, ?, 'dead_letter')", [batch, json.dumps(ROW)]
        )
    return f"{batch}:1"


@pytest.mark.parametrize("write", [lambda entry: json.dumps([entry]), lambda entry: f"\n{json.dumps(entry)}\n\n"])
@pytest.mark.parametrize("is_text", [True, False])
def test_a_corrected_record_lands_with_the_decision_about_it(
    home: Home, tmp_path: Path, write: Callable[[object], str], is_text: bool
) -> None:
    name, fixed = refused_row(home), ROW | {"currency": "USD"}
    file = tmp_path / "fixed.json"
    file.write_text(write({"record": name, "raw": json.dumps(fixed) if is_text else fixed, "reasons": ["ignored"]}))
    records, decision = decide.resubmit(home, file, by())
    (row,) = pq.read_table(bronze.parquet_files(home, records)[0]).to_pylist()
    assert {column: row[column] for column in ORDER} == fixed
    original = bronze.find_manifest(home, name.split(":")[0])
    assert (records.dataset, records.window, records.source) == ("orders", original.window, "corrections")
    assert decision.dataset == "decisions" and decision.snapshot_id == records.snapshot_id
    (one,) = decisions.standing(home).values()
    assert (str(one.target), one.action, one.correcting) == (name, "correct", Target("orders", records.batch_id, 1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"record": "b1:3", "raw": "z"}]', "b1:3 is not a dead letter"),
        ('[{"raw": "z"}]', "each entry must be an object with `record` and `raw`"),
        ('[{"record": "b2:1", "raw": "x"}]', "b2:1 is unchanged"),
        ("[]", "has no records"),
        ("", "has no records"),
        ("[1, {", "is not JSON"),
        ('{"record": "b1:2"', "is not JSON"),
        ("[1]", "must be an object"),
        ('{"record": "b1:2", "raw": "fixed"}\n7', "must be an object"),
    ],
)
def test_a_wrong_file_of_corrections_lands_nothing(home: Home, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "fixed.json"
    file.write_text(text)
    with pytest.raises(Permanent, match=said) as caught:
        decide.resubmit(home, file, by())
    assert caught.value.where == str(file) and caught.value.todo
    assert bronze.list_batches(home) == []


def test_what_is_asked_for_is_decided_once_also_if_it_is_asked_again(home: Home) -> None:
    batch = land_rows(home, "orders", ORDER, [ROW], AT)
    asked = Asked("retract", batch)
    for _ in range(2):
        decide.carry_out(home, asked, by())
    assert len(bronze.list_batches(home, "decisions")) == 1
    # a run that is tried again after its decision was undone does not undo that
    decide.restore(home, batch, by(1))
    decide.carry_out(home, asked, by())
    assert decided(home) == {("presence", batch): "keep"}
    # somebody else decides again
    decide.carry_out(home, asked, replace(by(2), name="another"))
    assert decided(home) == {("presence", batch): "withdraw"}


def test_a_finding_is_accepted_and_a_corrected_record_lands_as_asked(home: Home) -> None:
    decide.carry_out(home, Asked("accept", "difference:orders:2026-11-01"), by())
    assert set(decided(home).values()) == {"accept"}
    name = refused_row(home)
    content = json.dumps({"record": name, "raw": ROW | {"currency": "USD"}}).encode()
    upload = decide.keep_upload(home, content)
    assert decide.keep_upload(home, content) == upload and [one.name for one in home.uploads.iterdir()] == [upload]
    asked = Asked("resubmit", upload)
    for _ in range(2):
        decide.carry_out(home, asked, by(1))
        assert not any(home.uploads.iterdir())
    assert decided(home)["content", name] == "correct"
    with pytest.raises(Permanent, match="the file of corrected records is gone"):
        decide.carry_out(home, asked, by(2))


def test_dead_letters_with_a_reason_are_discarded_as_asked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def listed(home: Home, dataset: str | None, cause: str, limit: int) -> list[dict[str, str]]:
        asked.append((dataset, cause))
        return [{"record": "b1:2"}] if cause == "broken" else []

    monkeypatch.setattr(listings, "dead_letter_records", listed)
    with pytest.raises(Permanent, match="no open dead letter of clickstream has the reason other"):
        decide.carry_out(home, Asked("discard", "other", "clickstream"), by())
    assert decided(home) == {}
    decide.carry_out(home, Asked("discard", "broken", "clickstream"), by())
    assert decided(home) == {("presence", "b1:2"): "withdraw"}
    assert set(asked) == {("clickstream", "other"), ("clickstream", "broken")}


@pytest.mark.parametrize(
    ("action", "about", "said"),
    [
        ("retract", "b1", "there is no batch b1"),
        ("accept", "held:b9", "there is no open finding held:b9"),
        ("resubmit", "../orders", "is no uploaded file"),
        ("resubmit", "", "must say what it is about"),
        ("restore", "b1", "there is no action restore"),
    ],
)
def test_what_cannot_be_decided_is_told_before_anything_is_started(
    home: Home, action: str, about: str, said: str
) -> None:
    with pytest.raises(Permanent, match=said) as caught:
        decide.check(home, Asked(action, about))
    assert caught.value.todo and decided(home) == {}


def test_a_reason_is_signed_if_both_are_known() -> None:
    assert decide.signed("why", "anna") == "why (asked by anna)"
    assert [decide.signed("", "anna"), decide.signed("why", None)] == ["", "why"]


def names(home: Home, **chosen: object) -> list[str]:
    return [one.name for one in decide.select_findings(home, **chosen)]  # type: ignore[arg-type]


def test_open_findings_are_chosen_by_name_dataset_and_half_open_range(home: Home) -> None:
    difference = "difference:orders:2026-11-01"
    assert names(home) == ["held:clicks", "held:lines", "held:orders", difference]
    assert names(home, finding="clicks") == names(home, finding="held:clicks") == ["held:clicks"]
    # what is held for orders belongs to orders
    assert names(home, dataset="orders") == ["held:lines", "held:orders", difference]
    assert names(home, dataset="orders", end=date(2026, 11, 2)) == [difference]
    assert names(home, start=date(2026, 11, 2), end=date(2026, 11, 3)) == ["held:lines", "held:orders"]
    for chosen in ({"finding": "older"}, {"finding": "difference:orders:2026-11-02"}, {"dataset": "customers"}):
        with pytest.raises(Permanent, match="there is no open finding"):
            names(home, **chosen)


def test_accepting_a_held_batch_settles_all_that_is_held_for_it(home: Home) -> None:
    found = decide.select_findings(home, dataset="orders")
    assert decide.accept(home, found, by()) == ["difference:orders:2026-11-01", "held:lines", "held:orders"]
    assert decided(home) == {("hold", "orders"): "accept", ("difference", "counts:7"): "accept"}
    assert "held:clicks" in names(home) and not {"held:lines", "held:orders"} & set(names(home))
    assert decide.accept(home, [], by()) == []


def planned(home: Home, build_id: str, consequence: str) -> Build:
    """Write the plan and the verdict of a build that fails a check, with the published batches that it would hold."""
    made = Build(home, build_id)
    made.folder.mkdir(parents=True)
    Plan(build_id, "build-1", 2, False, "", AT.isoformat(), (), ()).save(made.folder)
    finding = {"check_name": "c", "result": "fail", "failed_rows": 1, "message": "", "examples": "[]"}
    made.verdict.write_text(json.dumps([finding | {"consequence": consequence}]))
    with duckdb.connect(str(made.file)) as file:
        file.execute("""
            create schema plan;
            create table plan.held as
            select batch_id, broken_batch_id, dataset, date '2026-11-01' as window_date, timestamp '2026-11-01' as window_start,
                timestamp '2026-11-02' as window_end, 5 as refused_records, 9 as records, 'refused_records' as cause, is_given
            from (values ('given', 'given', 'products', true), ('with it', 'given', 'orders', true), ('new', 'new', 'orders', false))
                as held (batch_id, broken_batch_id, dataset, is_given)
        """)
    return made


def test_published_batches_that_a_refused_build_would_hold_can_be_accepted(home: Home) -> None:
    assert decide.refused_holds(home) == []
    planned(home, "build-2", "stopped")
    assert [row["batch_id"] for row in decide.refused_holds(home)] == ["given"]
    decide.accept(home, decide.select_findings(home, "given"), by())
    assert decided(home) == {("hold", "given"): "accept"}
    assert decide.refused_holds(home) == []


def test_holds_of_a_build_that_was_not_refused_are_not_listed(home: Home) -> None:
    planned(home, "build-2", "held")
    assert decide.refused_holds(home) == [] and "held:given" not in names(home)


def test_only_a_build_that_is_not_published_is_dropped(home: Home) -> None:
    made, published = planned(home, "build-2", "stopped"), planned(home, "build-1", "")
    with pytest.raises(Permanent, match="build build-1 is published"):
        decide.drop_build(home, "build-1")
    (home.builds / "recount").mkdir()
    for name in ("build-3", "recount", "../builds"):
        with pytest.raises(Permanent, match="there is no build"):
            decide.drop_build(home, name)
    decide.drop_build(home, "build-2")
    assert not made.folder.exists() and published.folder.exists()
