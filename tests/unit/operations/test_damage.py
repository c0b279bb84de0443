"""Which damage to batches in the state a quick look sees, and which only the search finds."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from ingestion import bronze
from ingestion.home import Home
from ingestion.manifest import Manifest
from ingestion.window import Window
from operations import damage


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path / "landing")


@pytest.fixture
def folder(home: Home) -> Path:
    """Return the folder of a batch that is in the state."""
    with bronze.staged(home, "orders") as folder:
        (folder / "part-0.parquet").write_bytes(b"records")
        manifest = Manifest(
            dataset="orders",
            batch_id="b1",
            source="orders",
            window=Window.parse("2026-11-01", "2026-11-02"),
            contract_version=1,
            landed_at=datetime(2026, 11, 2, tzinfo=UTC),
            counted_by_source=1,
            records_written=1,
            files=(bronze.describe(folder / "part-0.parquet"),),
        )
        bronze.commit(home, folder, manifest)
    with duckdb.connect(str(home.state)) as state:
        state.execute("create schema ops")
        state.execute("""
            create table ops.batches as
            select 'orders' as dataset, date '2026-11-01' as window_date, 'b1' as batch_id, ['part-0.parquet'] as files, 7 as bytes
        """)
    return bronze.batch_folder(home, bronze.reference(manifest))


def alter(manifest: Path) -> None:
    manifest.write_text(manifest.read_text().replace('"records_written": 1', '"records_written": 2'))


@pytest.mark.parametrize(
    ("deed", "is_seen"),
    [
        (lambda folder: (folder / "part-0.parquet").unlink(), True),
        (lambda folder: (folder / "part-0.parquet").write_bytes(b"record"), True),
        (lambda folder: (folder / bronze.MANIFEST).unlink(), True),
        (lambda folder: (folder / "part-0.parquet").write_bytes(b"RECORDS"), False),
        (lambda folder: alter(folder / bronze.MANIFEST), False),
    ],
)
def test_a_file_that_is_gone_or_of_another_size_is_seen_at_a_glance_and_all_else_is_found(
    home: Home, folder: Path, deed: Callable[[Path], object], is_seen: bool
) -> None:
    assert damage.glance(home) == damage.search(home) == []
    deed(folder)
    assert [one.name for one in damage.glance(home)] == ["b1"] * is_seen
    ((found,),) = [damage.search(home)]
    assert (found.kind, found.name, found.path) == ("batch", "b1", folder) and found.what


def test_what_else_lies_in_a_folder_is_no_damage(home: Home, folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    os.utime(folder / "part-0.parquet", ns=(1, 1))
    assert damage.glance(home) == damage.search(home) == []
