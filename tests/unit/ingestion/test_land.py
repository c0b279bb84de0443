"""How batches land: what describes them, when they exist, and what a landing counts."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion import bronze, land
from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Landing, Run, Staging, Written
from ingestion.manifest import Manifest
from ingestion.window import Window

WINDOW = Window.parse("2026-11-01", "2026-11-02")
AT = datetime(2026, 11, 2, tzinfo=UTC)
BATCH = Manifest("orders", "b1", "orders", WINDOW, 1, AT, 3, 3)
TABLE = pa.table({"order_id": ["o1", "o2"]})


def home_in(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "landing")


def describe(written: Written, dataset: str = "orders", counted: int = 2, content: str = "a") -> Manifest:
    return land.describe(
        written,
        dataset=dataset,
        source="orders",
        window=WINDOW,
        contract_version=1,
        landed_at=AT,
        counted=counted,
        content=[content],
    )


def stage(staged: Staging, dataset: str, content: str = "a") -> None:
    folder = staged.folder(dataset)
    staged.add(folder, describe(land.write(folder, TABLE), dataset, content=content))


def test_only_what_is_new_counts_as_landed() -> None:
    batches = (
        BATCH,
        replace(BATCH, batch_id="b2", records_written=4),
        replace(BATCH, batch_id="b3", records_written=5),
    )
    assert Landing("orders", WINDOW, batches, frozenset({"b2", "b3"})).records == 9
    assert Landing("orders", WINDOW, batches, frozenset()).records == 0


def test_a_table_is_written_with_numbered_records(tmp_path: Path) -> None:
    written = land.write(tmp_path, TABLE, dictionary=["order_id"])

    assert written.records == 2
    (file,) = written.files
    assert pq.read_table(tmp_path / file.name).to_pylist() == [
        {"record_no": 1, "order_id": "o1"},
        {"record_no": 2, "order_id": "o2"},
    ]


def test_a_table_without_rows_leaves_no_file(tmp_path: Path) -> None:
    assert land.write(tmp_path, TABLE.slice(0, 0)) == Written((), 0)
    assert not list(tmp_path.iterdir())


def test_a_batch_with_another_number_of_records_than_the_source_counted_is_refused() -> None:
    with pytest.raises(Permanent, match=r"counted 3 records, but 2 were written") as raised:
        describe(Written((), 2), counted=3)
    assert str(WINDOW) in str(raised.value) and "clearwell ingest orders --from" in str(raised.value)


def test_what_is_not_committed_leaves_nothing(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    with pytest.raises(KeyboardInterrupt), land.staging(home) as staged:
        stage(staged, "orders")
        raise KeyboardInterrupt
    assert not list(home.staging.iterdir())
    assert not home.bronze.exists()


def test_a_second_commit_of_the_same_content_is_not_new(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    for is_new in (True, False):
        with land.staging(home) as staged:
            stage(staged, "orders")
            assert [new for _, new in staged.commit()] == [is_new]
    assert len(bronze.list_batches(home)) == 1


def test_batches_of_a_snapshot_name_each_other(tmp_path: Path) -> None:
    with land.staging(home_in(tmp_path)) as staged:
        for dataset, content in (("orders", "a"), ("orders", "b"), ("customers", "a")):
            stage(staged, dataset, content)
        assert len(staged.files("orders", "")) == 2 and not staged.files("orders", "missed")
        committed = [manifest for manifest, _ in staged.commit(as_snapshot=True)]

    ids = [manifest.batch_id for manifest in committed]
    assert len({manifest.snapshot_id for manifest in committed}) == 1
    for manifest in committed:
        assert manifest.snapshot_batches == dict(zip(("orders", "orders 2", "customers"), ids, strict=True))


def test_silence_is_refused_only_where_records_are_expected(tmp_path: Path) -> None:
    contract = read_contracts()["orders"]
    assert contract.expect_records_every

    def expect(days: int, has_any: bool, every: bool = True) -> None:
        run = Run(Window(WINDOW.start, WINDOW.start + days * WINDOW.length), home_in(tmp_path), {}, AT)
        of = contract if every else replace(contract, expect_records_every=None)
        land.expect_records(run, of, "the shop", lambda: has_any, ["the replica is behind"])

    with pytest.raises(
        Permanent, match=r"no records of orders for .* some every .*; the replica is behind \(the shop\)"
    ):
        expect(1, has_any=False)
    expect(1, has_any=True)
    expect(1, has_any=False, every=False)


def test_messages_of_a_landing_are_reported() -> None:
    said: list[str] = []
    run = Run(WINDOW, Home(Path("home"), Path("landing")), {}, AT, said.append)

    landing = land.landed(run, "orders", [(BATCH, True), (replace(BATCH, batch_id="b2"), False)], ["one row is odd"])

    assert said == ["one row is odd"] and landing.messages == ("one row is odd",)
    assert landing.records == 3 and len(landing.manifests) == 2
