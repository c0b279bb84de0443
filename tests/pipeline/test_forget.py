"""After `forget`, no file of the home has the person, the accounts balance, and nothing else has changed."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from ingestion import bronze, forgotten
from ingestion.errors import Permanent
from ingestion.forgotten import BLANK
from ingestion.home import Home
from ingestion.land import silent
from operations import damage, forget, hashes, ledger
from operations.decide import By
from operations.forget import Person
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from warehouse import publish, state
from warehouse.build import Request, build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = datetime(2026, 11, 1, 10, tzinfo=UTC)
CUSTOMER = ["customer_id", "email", "full_name", "country", "created_at", "updated_at"]
ID, VISITOR, MAIL, NAME = "cust-c4n4ry", "visitor-c4n4ry", "c4n4ry@shop.example", "Canary Person"
CANARIES = (ID, VISITOR, MAIL, NAME)


def customer(one: str, mail: str, name: str) -> dict[str, str | None]:
    at = "2026-11-01 09:00:00+00"
    return dict(zip(CUSTOMER, [one, mail, name, "DE", at, at], strict=True))


def order(one: str, customer_id: str | None, total: str = "10.00") -> dict[str, str | None]:
    at = "2026-11-01 10:05:00+00"
    return dict(zip(ORDER, [one, customer_id, "paid", "EUR", "card", "DE", total, at, at], strict=True))


def item(one: str) -> dict[str, str | None]:
    return dict(zip(LINE, [one, "1", "p1", "1", "10.00", "0", "2026-11-01 10:05:00+00"], strict=True))


def event(one: str, visitor: str, customer_id: str | None = None, **more: object) -> str:
    body = {"event_id": one, "event_type": "page_view", "event_time": "2026-11-01T10:15:00Z", "visitor_id": visitor}
    return json.dumps(body | ({"customer_id": customer_id} if customer_id else {}) | more)


def deliver(home: Home, *, with_person: bool = True) -> None:
    """Land a small shop; without the person, what remains of it when the person is forgotten."""
    person = [customer(ID, MAIL, NAME)] if with_person else []
    others = [customer("cust-2", "mary@shop.example", "Mary"), customer("cust-3", "li@shop.example", "Li")]
    land_rows(home, "customers", CUSTOMER, [*person, *others], NOW)
    theirs = ID if with_person else None
    orders = [order("o1", theirs), order("o2", "cust-2"), order("o3", theirs, "ten"), order("o4", "cust-2")]
    land_rows(home, "orders", ORDER, orders, NOW)
    land_rows(home, "order_items", LINE, [item(one) for one in ("o1", "o2", "o3", "o4")], NOW)
    land_lines(home, HOUR, [*(PERSONS if with_person else []), *others_lines(MAIL if with_person else BLANK)], NOW)


# Whole, linked by visitor, refused, and cut.
PERSONS = [
    event("e1", VISITOR),
    event("e2", VISITOR, ID),
    event("e5", VISITOR, quantity="many"),
    '{"event_id": "e6", "customer_id": "' + ID + '", ',
]


def others_lines(mail: str) -> list[str]:
    return [
        event("e3", "visitor-2", "cust-2"),
        event("e4", "visitor-3", url=f"https://shop.example/?mail={mail}", search_query="shoes"),
        # few enough of the person's to be no incident
        *(event(f"f{number}", f"visitor-{number}") for number in range(10, 400)),
    ]


def plant(home: Home) -> None:
    """Write the person where faults and tools may: logs, alerts, a page, a file set aside."""
    said = f"{NAME} <{MAIL}> is {ID} and {VISITOR}"
    for name in ("runs/2026-11.jsonl", "alerts.json", "control-room.html", "airflow/logs/task.log", "broken/x.json"):
        path = home.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps({"said": said}) + "\n")


def left(home: Home) -> dict[str, list[str]]:
    """Return the files with a canary in their bytes, and what Parquet and DuckDB files hold besides."""
    found: dict[str, list[str]] = {}
    for path in sorted(home.root.rglob("*")):
        if not path.is_file() or home.landing in path.parents:
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            text += str(state_rows(f"from read_parquet('{path}')"))
        elif path.suffix == ".duckdb":
            text += everything(path)
        if hits := [one for one in CANARIES if one in text]:
            found[str(path.relative_to(home.root))] = hits
    return found


def state_rows(query: str) -> list[tuple]:
    import duckdb

    with duckdb.connect() as connection:
        return connection.execute(query).fetchall()


def everything(path: Path) -> str:
    with state.connect(path) as connection:
        tables = state.rows(connection, "select schema_name as s, table_name as t from duckdb_tables()")
        return "\n".join(str(state.rows(connection, f'from {row["s"]}."{row["t"]}"')) for row in tables)


def fates(home: Home) -> dict[tuple[str, str], int]:
    query = "select dataset, fate, sum(records)::int as n from ops.ledger group by all"
    return {(row["dataset"], row["fate"]): row["n"] for row in state.read(home.state, "ops.ledger", query)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with a published shop, from which the person is forgotten by a command that is stopped at every step."""
    root = tmp_path_factory.mktemp("home")
    home = Home(root, root / "landing")
    deliver(home)
    build(home, Request(), NOW)
    plant(home)
    for canary in CANARIES:  # the test can fail
        assert any(canary in found for found in left(home).values()), canary
    assert {canary for found in left(home).values() for canary in found} == set(CANARIES)
    by = By("tester", NOW + timedelta(hours=1), f"asked by {MAIL}")
    for module, name in STEPS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, stop)
            with pytest.raises(InterruptedError):
                forget.forget(home, Person(ID), by, silent)
        assert list(forgotten.folder(home).glob("*.order.json"))
    outcome = forget.forget(home, Person(ID), replace(by, at=NOW + timedelta(hours=2)), silent)
    assert {(one.dataset, one.becomes): one.records for one in outcome.found} == FOUND
    return home


# Before the build, before and after the state is copied, while texts are blanked, and before the receipt.
STEPS = (
    (forget.builds, "build"),
    (forget, "blank_tables"),
    (forget.publish, "publish_state"),
    (forget, "blank_file"),
    (forget, "_finish"),
)
FOUND = {
    ("clickstream", "mark"): 4,
    ("clickstream", "blank text"): 1,
    ("customers", "mark"): 1,
    ("orders", "blank columns"): 2,
}


def stop(*_arguments: object, **_more: object) -> None:
    raise InterruptedError


def test_nothing_of_the_person_is_left(home: Home) -> None:
    assert left(home) == {}
    assert not [one for one in forget.check(home, Person(ID, values=(MAIL, NAME))) if not one.is_source]
    assert not [one for one in forget.check(home, Person(VISITOR, "visitor_id")) if not one.is_source]


def test_the_source_is_named_and_not_changed(home: Home) -> None:
    assert {one.path for one in forget.check(home, Person(ID)) if one.is_source} == {
        str(path) for path in home.landing.rglob("*.jsonl")
    }


def test_the_records_are_withdrawn_and_the_accounts_balance(home: Home) -> None:
    assert fates(home) == {
        ("clickstream", "current"): 392,
        ("clickstream", "withdrawn"): 4,
        ("customers", "current"): 2,
        ("customers", "withdrawn"): 1,
        ("decisions", "current"): 1,
        ("order_items", "current"): 4,
        ("orders", "current"): 3,
        ("orders", "dead_letter"): 1,
    }
    query = """
        select distinct refused.reasons, decisions.action, decisions.decided_by, decisions.reason
        from records.refused as refused
        inner join records.decisions as decisions on refused.decision = decisions.batch_id || ':' || decisions.record_no
        where refused.fate = 'withdrawn'
    """
    decided = {"reasons": ["forgotten"], "action": "forget", "decided_by": "tester", "reason": "asked by [forgotten]"}
    assert state.read(home.state, "records.refused", query) == [decided]
    assert ledger.recount(home) == ([], True)
    assert damage.search(home) == []


def test_the_receipt_has_checksums_and_nothing_of_the_person(home: Home) -> None:
    (file,) = (path for path in forgotten.folder(home).glob("*.json") if path.name != "people.json")
    receipt = json.loads(file.read_text())
    assert (receipt["forgotten_by"], receipt["reason"]) == ("tester", "asked by [forgotten]")
    now = {one.batch_id: one for one in map(partial(bronze.read_manifest, home), bronze.list_batches(home))}
    assert len(receipt["batches"]) == 3
    for batch in receipt["batches"]:
        of_now = {one.name: one.sha256 for one in now[batch["batch_id"]].files}
        for one in batch["files"]:
            assert one["sha256_before"] != one["sha256_after"] == of_now[one["name"]]
    assert {one["name"] for one in receipt["databases"]} == {"warehouse.duckdb", "published"}
    for database in receipt["databases"]:
        assert database["sha256_before"] != database["sha256_after"]
    assert receipt["still_in_sources"] and file.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in forgotten.folder(home).iterdir()) == sorted([file.name, "people.json"])


def test_readers_have_one_state_and_it_can_be_restored(home: Home) -> None:
    assert [path.stem for path in publish.kept_states(home)] == [state.last_build(home.state)]
    assert state.last_build(home.published) == state.last_build(home.state)


def test_landing_again_does_not_bring_the_person_back(home: Home, tmp_path: Path) -> None:
    """The hour's file is delivered again with one more line. Then all tables are those of a shop that never had the person."""
    more = event("g1", "visitor-2", "cust-2")
    later = NOW + timedelta(hours=3)
    land_lines(home, HOUR, [*PERSONS, *others_lines(BLANK), more], later)
    build(home, Request(), later)
    assert left(home) == {}
    assert fates(home)["clickstream", "withdrawn"] == 8
    twin = Home(tmp_path, tmp_path / "landing")
    deliver(twin, with_person=False)
    land_lines(twin, HOUR, [more], later)
    build(twin, Request(), later)
    assert hashes.read(home) == hashes.read(twin)
    assert ledger.recount(home) == ([], True)
    assert ledger.recompute(home, later) == []


def test_an_unknown_id_and_a_pin_are_told(home: Home) -> None:
    with pytest.raises(Permanent, match="no record has this customer_id"):
        forget.forget(home, Person("cust-nobody"), By("tester", NOW, "test"), silent)
    with pytest.raises(Permanent, match="no contract marks 'status' as personal"):
        forget.preview(home, Person("paid", "status"))
    publish.write_pin(home, publish.Pin("b", "test", "tester", NOW.isoformat()))
    with pytest.raises(Permanent, match="unpin"):
        forget.forget(home, Person("cust-2"), By("tester", NOW, "test"), silent)
    (home.published.parent / "pinned.json").unlink()
