"""Corrections and the decisions that say what they correct share a snapshot: a build takes all of them or none."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingestion import bronze
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.sources import corrections, decisions
from ingestion.sources.corrections import Correction
from ingestion.sources.decisions import Target
from ingestion.window import Window

AT = datetime(2026, 11, 3, tzinfo=UTC)
DAYS = [Window.parse("2026-11-01", "2026-11-02"), Window.parse("2026-11-02", "2026-11-03")]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path / "landing")


def correction(dataset: str, number: int, raw: str, day: int = 0) -> Correction:
    return Correction(Target(dataset, "b1", number), DAYS[day], raw)


def test_all_are_one_snapshot_and_each_is_decided(home: Home) -> None:
    made = [
        correction("orders", 1, '{"order_id": "o1"}'),
        correction("orders", 2, '{"order_id": "o2"}', day=1),
        correction("clickstream", 3, '{"event_id": "e"}'),
    ]
    landed = corrections.land(home, made, "typo", "me", AT)
    assert [one.dataset for one in landed] == ["clickstream", "orders", "orders", "decisions"]
    assert len({one.snapshot_id for one in landed}) == 1 and landed[0].snapshot_id
    assert all(sorted(one.snapshot_batches.values()) == sorted(each.batch_id for each in landed) for one in landed)
    decided = decisions.standing(home)
    assert {target for _, target in decided} == {one.target for one in made}
    for one in decided.values():
        assert one.correcting and one.correcting.batch_id in {each.batch_id for each in landed}


def test_a_row_keeps_its_numbers_as_they_were_typed(home: Home) -> None:
    raw = '{"order_id": "o1", "total_amount": 1.10, "status": null, "note": {"a": 1}}'
    manifest, _ = corrections.land(home, [correction("orders", 1, raw)], "typo", "me", AT)
    (path,) = bronze.parquet_files(home, manifest)
    (row,) = pq.read_table(path).to_pylist()
    assert {name: row[name] for name in json.loads(raw)} == {
        "order_id": "o1",
        "total_amount": "1.10",
        "status": None,
        "note": '{"a": "1"}',
    }


def test_a_line_stays_a_line(home: Home) -> None:
    manifest, _ = corrections.land(home, [correction("clickstream", 7, "{broken")], "typo", "me", AT)
    (row,) = pq.read_table(bronze.parquet_files(home, manifest)[0]).to_pylist()
    assert (row["raw"], row["file"], row["line_number"]) == ("{broken", "correction of b1:7", 1)


@pytest.mark.parametrize("raw", ["", "{", "[]", "{}", "7", '"x"'])
def test_what_is_no_row_lands_nothing(home: Home, raw: str) -> None:
    with pytest.raises(Permanent, match="b1:1 is not a JSON object"):
        corrections.land(home, [correction("orders", 1, raw)], "typo", "me", AT)
    assert list(bronze.committed(home)) == []


def test_the_same_corrections_are_the_same_batches(home: Home) -> None:
    one = [correction("orders", 1, '{"order_id": "o1"}')]
    first, again = (corrections.land(home, one, "typo", "me", AT) for _ in range(2))
    assert [each.batch_id for each in first] == [each.batch_id for each in again]
