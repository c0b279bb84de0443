"""Where the records of compacted batches lie."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ingestion import compacted
from ingestion.compacted import Compacted
from ingestion.manifest import File, Manifest
from ingestion.window import Window

OWN, COMMON = File("part-0.parquet", 3, "own"), File("part-0.parquet", 9, "common")
NOW = datetime(2026, 11, 2, tzinfo=UTC)
MANIFEST = Manifest("orders", "b1", "orders", Window.parse("2026-11-01", "2026-11-02"), 1, NOW, 1, 1, files=(OWN,))


def test_a_folder_is_read_as_it_was_written(tmp_path: Path) -> None:
    one = Compacted(tmp_path / "compacted-x", COMMON, {"b1": OWN})
    one.folder.mkdir()
    (one.folder / compacted.INDEX).write_text(one.to_json())
    (tmp_path / "b1").mkdir()
    assert compacted.of_day(tmp_path) == [one]


def test_a_batch_is_held_under_the_manifest_that_it_had_and_no_other() -> None:
    one = Compacted(Path("compacted-x"), COMMON, {"b1": OWN})
    assert one.holds(MANIFEST)
    assert not one.holds(replace(MANIFEST, batch_id="b2"))
    assert not one.holds(replace(MANIFEST, files=(replace(OWN, sha256="rewritten"),)))
    assert not one.holds(replace(MANIFEST, files=()))


def test_a_shared_file_is_told_by_its_folder() -> None:
    assert compacted.is_shared("/home/compacted-1/bronze/orders/2026-11-01/compacted-x/part-0.parquet")
    assert not compacted.is_shared("/home/compacted-1/bronze/orders/2026-11-01/b1/part-0.parquet")
