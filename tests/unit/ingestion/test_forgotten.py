"""A mark keeps a record's place and number; what lands again is marked again; a batch is replaced whole or not at all."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion import bronze, forgotten, sources
from ingestion.contract import read_contracts
from ingestion.forgotten import Changes
from ingestion.home import Home
from ingestion.land import describe, silent, staging, write
from ingestion.manifest import Manifest
from ingestion.window import Window

AT = datetime(2026, 11, 2, tzinfo=UTC)
HOUR = Window.parse("2026-11-01T10", "2026-11-01T11")
CONTRACTS = read_contracts()
LINES = [
    '{"event_id": "1", "visitor_id": "v1", "customer_id": "c1"}',
    '{"event_id": "2", "visitor_id": "v2"}',
    '{"event_id": "3", "customer_id": "c1", ',
    '{"event_id": "4", "customer_id": 7}',
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path / "landing")


def land_rows(home: Home, dataset: str, rows: list[dict[str, str | None]]) -> Manifest:
    """Land rows as a source does."""
    columns = list(rows[0])
    with staging(home) as staged:
        folder = staged.folder(dataset)
        table = pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in columns]))
        manifest = describe(
            write(folder, table),
            dataset=dataset,
            source="orders",
            window=HOUR,
            contract_version=1,
            landed_at=AT,
            counted=len(rows),
            content=[tuple(row.values()) for row in rows],
            columns=tuple(columns),
        )
        staged.add(folder, manifest)
        return staged.commit()[0][0]


def rows_of(home: Home, manifest: Manifest) -> list[dict]:
    bronze.verify(home, manifest)
    return pa.concat_tables([pq.read_table(path) for path in bronze.parquet_files(home, manifest)]).to_pylist()


def test_without_forgotten_people_nothing_is_compared(home: Home) -> None:
    assert forgotten.read_people(home) == forgotten.People()
    rows = [{"customer_id": "c1", "email": "a@x.example"}]
    assert rows_of(home, land_rows(home, "customers", rows)) == [{"record_no": 1, **rows[0]}]


def test_an_id_is_kept_as_a_hash_with_a_salt_of_its_home(home: Home, tmp_path: Path) -> None:
    forgotten.add_person(home, "r1", {"customer_id": ["cust-1"]}, silent)
    forgotten.add_person(home, "r1", {"customer_id": ["cust-2"]}, silent)  # a repeated order adds nothing
    people = forgotten.read_people(home)
    assert people.receipts == {("customer_id", people.hash("customer_id", "cust-1")): "r1"}
    file = forgotten.folder(home) / "people.json"
    assert "cust-1" not in file.read_text() and file.stat().st_mode & 0o077 == 0
    other = Home(tmp_path / "other", tmp_path)
    other.root.mkdir()
    assert forgotten.salted(other).hash("customer_id", "cust-1") != people.hash("customer_id", "cust-1")


def test_a_landing_marks_the_customer_and_blanks_the_order(home: Home) -> None:
    before = land_rows(home, "customers", [{"customer_id": "c0", "email": None}])
    forgotten.add_person(home, "r1", {"customer_id": ["c1"]}, silent)
    customers = [{"customer_id": "c0", "email": "b@x.example"}, {"customer_id": "c1", "email": "a@x.example"}]
    landed = land_rows(home, "customers", customers)
    mark = {
        "reason": "forgotten",
        "raw": '"forgotten: receipt r1"',
        "raw_bytes": None,
        "file": None,
        "line_number": None,
    }
    assert rows_of(home, landed) == [
        {"record_no": 1, **customers[0], "bad_row": None},
        {"record_no": 2, "customer_id": None, "email": None, "bad_row": mark},
    ]
    assert landed.records_written == landed.counted_by_source == 2 and before.batch_id != landed.batch_id
    order = {"order_id": "o1", "customer_id": "c1", "total_amount": "3.00"}
    assert rows_of(home, land_rows(home, "orders", [order])) == [{"record_no": 1, **order, "customer_id": None}]


def test_nobody_is_listed_between_the_comparison_of_a_batch_and_its_commit(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the batch would hold the person, and `forget` would have searched bronze already."""
    told: list[str] = []
    commit = bronze.commit

    def forget_meanwhile(*arguments: Any) -> Any:
        forgetting.start()
        while not told:  # it waits, and says so at once
            forgetting.join(0.01)
            assert forgetting.is_alive()
        assert not forgotten.read_people(home).receipts
        return commit(*arguments)

    forgetting = threading.Thread(target=forgotten.add_person, args=(home, "r1", {"customer_id": ["c1"]}, told.append))
    monkeypatch.setattr(bronze, "commit", forget_meanwhile)
    row = {"customer_id": "c1", "email": "a@x.example"}
    landed = land_rows(home, "customers", [row])
    forgetting.join()
    assert rows_of(home, landed) == [{"record_no": 1, **row}] and landed.batch_id in {
        one.batch_id for one in bronze.list_batches(home)
    }
    assert "waiting for" in told[0] and forgotten.read_people(home).receipts


def test_the_same_content_is_the_same_batch_after_the_person_is_forgotten(home: Home, tmp_path: Path) -> None:
    """So a window that lands again shares the batch that is there, and a repair makes the same batch."""
    rows = [{"customer_id": "c1", "email": "a@x.example"}]
    first = land_rows(home, "customers", rows)
    forgotten.add_person(home, "r1", {"customer_id": ["c1"]}, silent)
    assert land_rows(home, "customers", rows) == first
    other = Home(tmp_path / "other", tmp_path)
    other.root.mkdir()
    forgotten.add_person(other, "r1", {"customer_id": ["c1"]}, silent)
    assert land_rows(other, "customers", rows).batch_id == first.batch_id


def test_lines_are_marked_by_id_and_broken_ones_by_what_looks_like_it(home: Home) -> None:
    forgotten.add_person(home, "r1", {"customer_id": ["c1", "7"]}, silent)
    folder = home.landing / "2026-11-01" / "10"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text("".join(f"{line}\n" for line in LINES))
    (landed,) = sources.ingest("clickstream", HOUR, home, AT).manifests
    mark = '"forgotten: receipt r1"\n'
    assert [row["raw"] for row in rows_of(home, landed)] == [mark, f"{LINES[1]}\n", mark, mark]
    assert [row["line_number"] for row in rows_of(home, landed)] == [1, 2, 3, 4]


def test_which_records_are_valid_without_the_person() -> None:
    assert forgotten.keeps_rest(CONTRACTS["orders"], "customer_id")
    assert not forgotten.keeps_rest(CONTRACTS["customers"], "customer_id")
    assert not forgotten.keeps_rest(CONTRACTS["clickstream"], "visitor_id")


def test_a_text_is_blanked_in_the_chosen_records_only() -> None:
    table = pa.table({"record_no": [1, 2], "reason": ["ask a@x.example", "ask a@x.example"]})
    manifest = replace(_manifest(), columns=("reason",))
    changes = Changes("r1", texts=frozenset({2}), patterns=(r"(^|\s)a@x\.example(\s|$)",))
    changed = forgotten.change(CONTRACTS["decisions"], manifest, changes, table)
    assert changed["reason"].to_pylist() == ["ask a@x.example", "ask [forgotten]"]


def _manifest() -> Manifest:
    return Manifest("decisions", "b", "decisions", HOUR, 1, AT, 2, 2)


@pytest.mark.parametrize("stopped_at", ["prepare", "rename", "manifest", ""])
def test_a_batch_is_replaced_whole_or_not_at_all(home: Home, monkeypatch: pytest.MonkeyPatch, stopped_at: str) -> None:
    before = land_rows(home, "customers", [{"customer_id": "c1", "email": "a@x.example"}])
    there = bronze.batch_folder(home, bronze.reference(before))
    changes = {"part-0.parquet": Changes("r1", whole=frozenset({1}))}
    replace_file = Path.replace

    def stop(name: str, path: Path, target: Path) -> Path:
        if path.name == name:
            raise InterruptedError
        return replace_file(path, target)

    at = {"prepare": "manifest.json.next.part", "rename": "part-0.parquet.next", "manifest": "manifest.json.next"}
    with monkeypatch.context() as patch:
        if stopped_at:
            patch.setattr(Path, "replace", lambda path, target: stop(at[stopped_at], path, target))
        try:
            forgotten.prepare(home, CONTRACTS["customers"], before, changes)
            forgotten.put_in_place(there)
        except InterruptedError:
            assert forgotten.unfinished(home) == [there]
    assert (forgotten.promised(there) is None) == (stopped_at in ("prepare", ""))
    forgotten.put_in_place(there)
    assert forgotten.unfinished(home) == []
    if stopped_at == "prepare":  # nothing was promised: the batch is as it was
        assert rows_of(home, before)[0]["customer_id"] == "c1"
        return
    after = bronze.read_manifest(home, bronze.reference(before))
    assert rows_of(home, after)[0]["customer_id"] is None
    assert replace(after, files=before.files) == before and after.files != before.files


def test_a_mark_is_read_by_the_staging_models() -> None:
    macro = (Path(__file__).parents[3] / "dbt_project" / "macros" / "parse.sql").read_text()
    assert f"{{{{ return('{forgotten.MARK}') }}}}" in macro
    assert json.loads(f'{forgotten.MARK}r1"') == "forgotten: receipt r1"
