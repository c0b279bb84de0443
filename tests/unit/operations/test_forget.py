"""Who is meant, what is changed, and what a stopped command leaves: in homes without a state, so without a build."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from cli.main import main
from ingestion import bronze, compaction, forgotten, sources
from ingestion.contract import read_contracts
from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from ingestion.land import silent
from ingestion.window import Window
from operations import forget, status
from operations.decide import By
from operations.forget import Found, Person
from tests.pipeline.delivery import ORDER, land_lines, land_rows

AT = datetime(2026, 11, 20, tzinfo=UTC)
CONTRACTS = read_contracts()
HOUR = datetime(2026, 11, 1, 10, tzinfo=UTC)
CUSTOMER = ["customer_id", "email", "full_name"]
BY = By("tester", AT, "asked in person")
ANN = {"customer_id": "7", "email": "ann.lee@shop.example", "full_name": "Ann Marie Lee"}
# Another person of the same name, and one whose address ends alike.
BOB = {"customer_id": "77", "email": "joann.lee@shop.example", "full_name": "Ann Marie Lee"}


def order(one: str, customer_id: str | None) -> dict[str, str | None]:
    return dict(
        zip(ORDER, [one, customer_id, "paid", "EUR", None, "DE", "7", *["2026-11-01 10:00:00+00"] * 2], strict=True)
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home", tmp_path / "landing")
    land_rows(home, "customers", CUSTOMER, [ANN, BOB], AT)
    land_rows(home, "orders", ORDER, [order("o1", "7"), order("o2", "77"), order("7", None)], AT)
    events = [
        {"event_id": "1", "visitor_id": "v", "customer_id": "7"},
        {"event_id": "2", "visitor_id": "w", "quantity": 7, "search_query": "Ann Marie Lee"},
        {"event_id": "3", "visitor_id": "w", "url": "/?mail=ann.lee%40shop.example"},
    ]
    land_lines(home, HOUR, [json.dumps(one) for one in events], AT)
    return home


def content(home: Home) -> dict[str, list[dict]]:
    """Return every record of bronze, by dataset, and check every file against its manifest."""
    found: dict[str, list[dict]] = {}
    with duckdb.connect() as connection:
        for ref in bronze.list_batches(home):
            manifest = bronze.read_manifest(home, ref)
            bronze.verify(home, manifest)
            for path in bronze.parquet_files(home, manifest):
                rows = connection.execute(f"from read_parquet('{path}') order by record_no").fetch_arrow_table()
                found.setdefault(ref.dataset, []).extend(rows.to_pylist())
    return found


def test_only_the_person_is_changed(home: Home) -> None:
    before = content(home)
    outcome = forget.forget(home, Person("7"), BY, silent)
    after = content(home)
    assert outcome.found == (
        Found("clickstream", "blank text", 1, 1),
        Found("clickstream", "mark", 1, 1),
        Found("customers", "mark", 1, 1),
        Found("orders", "blank columns", 1, 1),
    )
    mark = f'"forgotten: receipt {outcome.receipt}"'
    lines = [one["raw"] for one in after["clickstream"]]
    assert lines[0] == f"{mark}\n" and lines[1] == before["clickstream"][1]["raw"]
    assert lines[2] == before["clickstream"][2]["raw"].replace("ann.lee%40shop.example", "[forgotten]")
    assert after["customers"][0] | {"bad_row": None} == dict.fromkeys(after["customers"][0]) | {"record_no": 1}
    assert after["customers"][0]["bad_row"]["raw"] == mark
    assert after["customers"][1] == before["customers"][1] | {"bad_row": None}
    assert after["orders"] == [before["orders"][0] | {"customer_id": None}, *before["orders"][1:]]


def test_lines_that_cannot_be_read_are_the_persons_if_they_have_a_trace(home: Home) -> None:
    """Whose they are is not certain, and nothing but a mark is sure to have no more of the person."""
    cut, not_utf8, others = (
        b'{"customer_id": "7", "url": ',
        b'{"mail": "ann.lee@shop.example", "n": "\xfc"}',
        b'{"n": "\xfc", "q": 7',
    )
    folder = home.landing / "2026-11-01" / "11"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(b"\n".join((cut, not_utf8, others, b"")))
    sources.ingest("clickstream", Window.parse("2026-11-01T11", "2026-11-01T12"), home, AT)
    outcome = forget.forget(home, Person("7"), BY, silent)
    rows = [one for one in content(home)["clickstream"] if one["file"].endswith("a.jsonl")]
    mark = f'"forgotten: receipt {outcome.receipt}"\n'
    assert [(row["raw"], row["raw_bytes"]) for row in rows] == [(mark, None), (mark, None), (None, others + b"\n")]


def test_a_person_in_batches_that_share_a_file_is_forgotten_and_the_others_stay(home: Home) -> None:
    for hour, lines in (
        (11, ['{"event_id": "4", "visitor_id": "v", "customer_id": "7"}']),
        (12, ['{"event_id": "5", "visitor_id": "w"}', '{"event_id": "6", "visitor_id": "w"}']),
    ):
        land_lines(home, HOUR.replace(hour=hour), lines, AT)
    before = content(home)["clickstream"]
    for group in compaction.find(home, AT.date(), lambda _: True):
        assert compaction.compact(home, group)
    assert len([*home.root.rglob("compacted-*/*.parquet")]) == 1
    previewed = forget.preview(home, Person("7"))
    outcome = forget.forget(home, Person("7"), BY, silent)
    assert previewed.found == outcome.found
    assert Found("clickstream", "mark", 2, 2) in outcome.found
    assert not [*home.root.rglob("compacted-*/*.parquet")]
    after = content(home)["clickstream"]
    mark = f'"forgotten: receipt {outcome.receipt}"\n'
    for was, now in zip(before, after, strict=True):
        if '"7"' in was["raw"]:
            assert now["raw"] == mark
        elif "ann.lee" not in was["raw"]:
            assert now == was
    assert [one for one in forget.check(home, Person("7")) if not one.is_source] == []


def test_a_person_is_found_though_batches_are_compacted_while_the_home_is_searched(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_lines(home, HOUR.replace(hour=11), [json.dumps({"event_id": "9", "visitor_id": "w", "customer_id": "7"})], AT)
    before = {one.where for one in forget.check(home, Person("7")) if not one.is_source}
    search = forget.search

    def compact_first(*arguments):
        for group in compaction.find(home, AT.date(), lambda _: True):
            assert compaction.compact(home, group)
        return search(*arguments)

    monkeypatch.setattr(forget, "search", compact_first)
    found = [one for one in forget.check(home, Person("7")) if not one.is_source]
    assert {one.where for one in found} == before
    assert any("compacted-" in one.path for one in found)


def test_a_preview_changes_nothing_and_says_the_same(home: Home) -> None:
    before = {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    previewed = forget.preview(home, Person("7"))
    assert before == {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    assert previewed.found == forget.forget(home, Person("7"), BY, silent).found


def test_a_command_that_is_stopped_at_any_write_is_finished_by_the_same_command(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten.salted(home)  # so that all copies write the same marks
    whole = _copied(home, tmp_path / "whole")
    writes = _stopping(monkeypatch, None)
    forget.forget(whole, Person("7"), BY, silent)
    receipt = _receipt(whole)
    assert writes[0] > 20
    for number in range(writes[0]):
        there = _copied(home, tmp_path / f"stopped-{number}")
        _stopping(monkeypatch, number)
        with pytest.raises(InterruptedError):
            forget.forget(there, Person("7"), BY, silent)
        _stopping(monkeypatch, None)
        forget.forget(there, Person("7"), BY, silent)
        assert content(there) == content(whole)
        assert _receipt(there) == receipt
        assert not any(
            one for one in forget.check(there, Person("7", values=(str(ANN["email"]),))) if not one.is_source
        )
        assert not list(forgotten.folder(there).glob("*.order.json")) and not forgotten.unfinished(there)
        shutil.rmtree(there.root)


def _copied(home: Home, root: Path) -> Home:
    shutil.copytree(home.root, root)
    return Home(root, home.landing)


def _receipt(home: Home) -> dict:
    (path,) = (one for one in forgotten.folder(home).glob("*.json") if one.name != "people.json")
    return json.loads(path.read_text())


def _stopping(monkeypatch: pytest.MonkeyPatch, at: int | None) -> list[int]:
    """Count the writes that are forced to disk from now on, and stop at one of them."""
    count = [0]
    monkeypatch.undo()
    monkeypatch.setattr(forget, "read_contracts", lambda: CONTRACTS)

    def force(path: Path) -> None:
        if count[0] == at:
            raise InterruptedError
        count[0] += 1

    for module in (bronze, forget.blank_file.__globals__):
        if isinstance(module, dict):
            monkeypatch.setitem(module, "force_to_disk", force)
        else:
            monkeypatch.setattr(module, "force_to_disk", force)
    return count


def test_to_forget_twice_changes_nothing_more(home: Home) -> None:
    first = forget.forget(home, Person("7"), BY, silent)
    before = {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    again = forget.forget(home, Person("7"), By("another", AT, "again"), silent)
    assert again.found == () and (again.receipt, again.file) == (first.receipt, first.file)
    assert before == {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}


def test_records_that_come_later_get_a_receipt_of_their_own(home: Home) -> None:
    """Here they were landed past the check of landings, as from a backup."""
    first = forget.forget(home, Person("7"), BY, silent)
    land_rows(home, "orders", ORDER, [order("o9", "7")], AT)
    second = forget.forget(home, Person("7"), BY, silent)
    assert second.receipt != first.receipt and second.found == (Found("orders", "blank columns", 1, 1),)


def test_another_column_and_an_id_that_nobody_has(home: Home) -> None:
    assert forget.preview(home, Person("v", "visitor_id")).found == (Found("clickstream", "mark", 1, 1),)
    assert forget.preview(home, Person("joann.lee@shop.example", "email")).found == (
        Found("customers", "blank columns", 1, 1),  # a customer without an address is valid
    )
    with pytest.raises(Permanent, match="no record has this customer_id"):
        forget.forget(home, Person("8"), BY, silent)
    with pytest.raises(Permanent, match="no contract marks 'status'"):
        forget.preview(home, Person("paid", "status"))


@pytest.mark.parametrize("value", ["", " ", "\t \n", "null"])
@pytest.mark.parametrize(
    "act", [forget.preview, forget.check, lambda home, person: forget.forget(home, person, BY, silent)]
)
def test_nothing_is_nobody_and_changes_nothing(home: Home, act: Callable, value: str) -> None:
    """A variable that was empty, as in `forget "$ID"`: beside the column's name, nothing is in every record."""
    land_lines(home, HOUR, [json.dumps({"event_id": "4", "visitor_id": "v", "customer_id": None})], AT)
    before = content(home)
    for person in (Person(value), Person("7", values=("anna@shop.example", value))):
        with pytest.raises(Permanent, match="is nobody's"):
            act(home, person)
    assert content(home) == before and not forgotten.folder(home).exists()


def test_the_command_itself_is_no_trace_of_a_person(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks say who holds them: an id that was mistyped would be found there, and somebody be told that the person is forgotten."""
    monkeypatch.setattr("sys.argv", ["clearwell", "forget", "nobody-at-all", "--reason", "asked"])
    with pytest.raises(Permanent, match="no record has this customer_id"):
        forget.forget(home, Person("nobody-at-all"), BY, silent)
    assert not forgotten.folder(home).exists()
    monkeypatch.setattr("sys.argv", ["clearwell", "forget", "7", "--value", "ann.lee@shop.example"])
    files: list[str] = []
    locks = {home.root / "forget.lock", home.root / "build.lock"}
    stamps = {one: one.stat().st_ino for one in locks if one.exists()}
    forget.forget(home, Person("7"), BY, lambda line: files.extend(one.read_text() for one in locks if one.exists()))
    assert files and not [one for one in files if "ann.lee" in one]
    assert {one: one.stat().st_ino for one in stamps} == stamps, "a lock that is replaced holds nobody off"


def test_a_damaged_batch_stops_it_before_anything_gets_a_new_checksum(home: Home) -> None:
    path = next(home.bronze.glob("orders/*/*/part-0.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises((Broken, duckdb.Error)):
        forget.forget(home, Person("7"), BY, silent)
    assert not list(home.bronze.glob("orders/*/*/*.next"))


def test_other_files_are_blanked_or_removed(home: Home) -> None:
    said = "ann.lee@shop.example"
    for name in ("runs/2026-11.jsonl", "builds/b/findings.json", "broken/x/y.reason.json", "control-room.html"):
        (home.root / name).parent.mkdir(parents=True, exist_ok=True)
        (home.root / name).write_text(f'["{said}"]')
    with duckdb.connect(str(home.root / "builds" / "b" / "build.duckdb")) as base:
        base.execute(f"create table t as select '{said}' as x")
    (home.root / "broken" / "x" / "part-0.parquet").write_bytes(b"damaged")
    (home.root / "shop").mkdir()
    (home.root / "shop" / "heap").write_text(said)  # the shop is a source
    forget.forget(home, Person("7"), BY, silent)
    receipt = _receipt(home)
    assert receipt["removed"] == ["broken/x/part-0.parquet", "builds/b/build.duckdb"]
    assert receipt["blanked"] == [
        *("broken/x/y.reason.json", "builds/b/findings.json", "control-room.html", "runs/2026-11.jsonl")
    ]
    assert (home.root / "control-room.html").read_text() == '["[forgotten]"]'
    assert (home.root / "shop" / "heap").read_text() == said


def test_what_cannot_be_blanked_is_named_and_the_order_stays(home: Home) -> None:
    (home.root / "other.db").write_bytes(b"\0 ann.lee@shop.example ")
    with pytest.raises(Permanent, match=r"1 files of the home still have the person: other\.db"):
        forget.forget(home, Person("7"), BY, silent)
    (receipt,) = status.read(home, AT)["forgetting"]
    assert "a person is not forgotten yet" in status.read(home, AT)["unhealthy"]
    assert list(forgotten.folder(home).glob(f"{receipt}.order.json"))
    (home.root / "other.db").unlink()
    assert forget.forget(home, Person("7"), BY, silent).file
    assert status.read(home, AT)["forgetting"] == []


def test_the_command_says_what_it_did(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(home.root))
    monkeypatch.setenv("CLICKSTREAM_LANDING", str(home.landing))
    run = CliRunner().invoke
    assert run(main, ["forget", "7"]).exit_code == 1
    assert run(main, ["forget", "7", "--check"]).exit_code == 1
    dry = run(main, ["forget", "7", "--dry-run", "--json"])
    assert {row["dataset"] for row in json.loads(dry.stdout)} == {"clickstream", "customers", "orders"}
    done = run(main, ["forget", "7", "--reason", "asked by ann.lee@shop.example"])
    assert done.exit_code == 0 and "The receipt: " in done.output and "A source still has the person" in done.output
    assert _receipt(home)["reason"] == "asked by [forgotten]"
    assert run(main, ["forget", "7", "--check", "--value", "ann.lee@shop.example"]).exit_code == 0


def test_bronze_that_machines_share_by_a_link_is_searched(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other", tmp_path / "nothing")
    other.root.mkdir()
    other.bronze.symlink_to(home.bronze, target_is_directory=True)
    there, linked = ({one.path for one in forget.check(one, Person("7"))} for one in (home, other))
    assert linked and linked == {one for one in there if one.startswith("bronze/")}


def test_machines_that_share_the_list_of_people_share_its_lock(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other", tmp_path / "nothing")
    other.root.mkdir()
    assert forgotten._lock(home) == home.root / "people.lock" != forgotten._lock(other)
    forgotten.folder(other).symlink_to(forgotten.folder(home), target_is_directory=True)
    assert forgotten._lock(other) == forgotten._lock(home)
