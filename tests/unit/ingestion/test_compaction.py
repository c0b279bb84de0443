"""Small batches of a day go into one file: the same records of the same batches, at every moment once."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ingestion import bronze, compacted, compaction, land
from ingestion.bronze import BatchRef
from ingestion.errors import Broken
from ingestion.home import Home
from ingestion.manifest import Manifest, Whole
from ingestion.window import Window

DAY = datetime(2026, 11, 1, tzinfo=UTC)
HOURS, RECORDS = 6, 5
LATER = date(2026, 12, 1)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home with six hours of clicks on one day, and one of the next day."""
    home = Home(tmp_path / "home", tmp_path / "landing")
    for hour in (*range(HOURS), 24):
        landed(home, hour)
    return home


def landed(home: Home, hour: int, columns: tuple[str, ...] = (), whole: Whole | None = None) -> Manifest:
    start = DAY + timedelta(hours=hour)
    lines = {
        "raw": [f'{{"event_id": "{hour}-{number}"}}\n' for number in range(RECORDS)],
        "raw_bytes": pa.array([None] * RECORDS, pa.binary()),
        "file": ["a.jsonl"] * RECORDS,
        "line_number": pa.array(range(1, RECORDS + 1), pa.int64()),
    }
    more: dict[str, object] = {"whole": whole} if whole else {}
    with land.staging(home) as staged:
        folder = staged.folder("clickstream")
        table = pa.table(lines | {name: ["x"] * RECORDS for name in columns})
        written = land.write(folder, table, dictionary=["file"])
        manifest = land.describe(
            written,
            dataset="clickstream",
            source="clickstream",
            window=Window(start, start + timedelta(hours=1)),
            contract_version=1,
            landed_at=start + timedelta(hours=2),
            counted=RECORDS,
            content=[hour, columns],
            columns=columns,
            **more,
        )
        staged.add(folder, manifest)
        ((kept, _),) = staged.commit()
    return kept


def compact_all(home: Home) -> None:
    for day in compaction.unfinished(home):
        compaction.finish(home, day)
    for group in compaction.find(home, LATER, lambda _: True):
        assert compaction.compact(home, group)


Read = list[tuple[object, ...]]


def as_clearwell_reads(home: Home) -> Read:
    """Read each batch from where its manifest's records lie; every file is verified."""
    found: Read = []
    with duckdb.connect() as connection:
        for one in bronze.committed(home):
            bronze.verify(home, one)
            for path in bronze.parquet_files(home, one):
                where = f"where bronze_batch = '{one.batch_id}'" if compacted.is_shared(path) else ""
                query = f"select '{one.batch_id}', record_no, raw, file, line_number from read_parquet($1) {where}"
                found += connection.execute(query, [path]).fetchall()
    return sorted(found, key=str)


def as_anybody_reads(home: Home) -> Read:
    """Read every Parquet file in bronze."""
    query = f"select record_no, raw, file, line_number from read_parquet('{home.bronze}/**/*.parquet', union_by_name = true)"
    return sorted(duckdb.sql(query).fetchall(), key=str)


def parquet(home: Home) -> dict[str, bytes]:
    return {str(path.relative_to(home.bronze)): path.read_bytes() for path in home.bronze.rglob("*.parquet")}


def manifests(home: Home) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in home.bronze.rglob("manifest.json")}


def test_the_batches_of_a_day_lie_in_one_file_and_are_the_same(home: Home) -> None:
    before = manifests(home), as_clearwell_reads(home), as_anybody_reads(home), bronze.list_batches(home)
    assert len(before[1]) == len(before[2]) == (HOURS + 1) * RECORDS
    compact_all(home)
    assert len(parquet(home)) == 2  # one for the day, and the single batch of the next
    assert (manifests(home), as_clearwell_reads(home), as_anybody_reads(home), bronze.list_batches(home)) == before
    assert compaction.find(home, LATER, lambda _: True) == []
    assert compaction.unfinished(home) == []


def test_unpacked_files_have_the_bytes_that_they_landed_with(home: Home) -> None:
    before = parquet(home), manifests(home)
    compact_all(home)
    compaction.unpack(home, home.bronze / "clickstream" / "2026-11-01")
    assert (parquet(home), manifests(home)) == before
    assert not list(home.bronze.rglob(f"{compacted.PREFIX}*"))


def test_an_unpacked_file_with_other_encodings_has_the_same_records_and_a_new_checksum(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, records, landed_as = as_clearwell_reads(home), manifests(home), parquet(home)
    compact_all(home)
    monkeypatch.setattr(compaction, "encodings", lambda _: ([compaction.BRONZE_BATCH], []))
    compaction.unpack(home, home.bronze / "clickstream" / "2026-11-01")
    assert as_clearwell_reads(home) == before and parquet(home).keys() == landed_as.keys()
    assert parquet(home) != landed_as and manifests(home) != records
    for one in bronze.committed(home):
        bronze.verify(home, one)


def test_a_batch_that_lands_again_is_the_same_and_one_that_is_new_is_added(home: Home) -> None:
    compact_all(home)
    landed(home, 0)
    assert len(parquet(home)) == 2
    for hour in (8, 9):
        landed(home, hour)
    before = as_clearwell_reads(home)
    compact_all(home)
    assert len(parquet(home)) == 3
    assert as_clearwell_reads(home) == before


class Killed(BaseException):
    """The process ends here."""


def test_a_run_killed_at_any_write_loses_and_repeats_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill after the first, second, … change of the disk; each time all is there once, and the next run ends it."""
    reached = 0
    for last in range(1, 100):
        home = Home(tmp_path / str(last), tmp_path / "landing")
        for hour in range(HOURS):
            landed(home, hour)
        before = as_clearwell_reads(home)
        with monkeypatch.context() as patch:
            changes = _killing(patch, last)
            try:
                compact_all(home)
            except Killed:
                reached += 1
        assert as_clearwell_reads(home) == before, f"after {changes[-1]}"
        compact_all(home)
        assert as_clearwell_reads(home) == before
        assert len(as_anybody_reads(home)) == HOURS * RECORDS
        assert len(parquet(home)) == 1
        if len(changes) < last:
            break
    assert reached >= HOURS + 3


def _killing(patch: pytest.MonkeyPatch, last: int) -> list[str]:
    """Let the process die before its change number `last`: a rename, a removal or a write forced to disk."""
    changes: list[str] = []

    def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def change(path: Path, *rest: object, **more: object) -> object:
            if "compacted" in str(path) or "part-0" in str(path) or "index" in str(path) or name == "rename":
                changes.append(f"{name} {path.name}")
                if len(changes) == last:
                    raise Killed
            return real(path, *rest, **more)

        return change

    for name in ("rename", "unlink"):
        patch.setattr(Path, name, counted(name, getattr(Path, name)))
    patch.setattr(bronze, "force_to_disk", counted("force", bronze.force_to_disk))
    return changes


def test_a_damaged_common_file_is_noticed_and_batches_that_landed_again_replace_it(home: Home) -> None:
    compact_all(home)
    (shared,) = home.bronze.glob(f"*/2026-11-01/{compacted.PREFIX}*/part-0.parquet")
    body = bytearray(shared.read_bytes())
    body[len(body) // 2] ^= 1
    shared.write_bytes(body)
    ids = [ref.batch_id for ref in bronze.list_batches(home, "clickstream", date(2026, 11, 1))]
    for batch_id in ids:
        ref = BatchRef("clickstream", date(2026, 11, 1), batch_id)
        with pytest.raises(Broken, match="size or checksum"):
            bronze.verify(home, bronze.read_manifest(home, ref))
    for hour in range(HOURS):
        manifest = next(one for one in bronze.committed(home) if one.window.start == DAY + timedelta(hours=hour))
        bronze.batch_folder(home, bronze.reference(manifest)).rename(home.root / f"aside-{hour}")
        landed(home, hour)
    compaction.finish(home, shared.parents[1])
    assert not shared.exists()
    assert len(list(home.broken.rglob("part-0.parquet"))) == 1
    assert len(as_clearwell_reads(home)) == (HOURS + 1) * RECORDS


def test_an_index_that_cannot_be_read_is_damage_of_its_batches(home: Home) -> None:
    compact_all(home)
    (index,) = home.bronze.rglob(compacted.INDEX)
    for text in ("", "[]", "{}", json.dumps({"file": {}, "batches": {}})):
        index.unlink()
        index.write_text(text)
        first = bronze.list_batches(home)[0]
        with pytest.raises(Broken, match="missing"):
            bronze.verify(home, bronze.read_manifest(home, first))


def test_a_lost_index_is_written_again_from_the_file_and_the_manifests(home: Home) -> None:
    before = as_clearwell_reads(home)
    compact_all(home)
    (index,) = home.bronze.rglob(compacted.INDEX)
    was = json.loads(index.read_text())
    day = index.parents[1]
    assert not compaction.reindex(home, day)
    for text in (None, "{"):
        index.unlink()
        if text:
            index.write_text(text)
        compaction.finish(home, day)
        assert compaction.find(home, LATER, lambda _: True) == [], "without its index, nothing is touched"
        assert compaction.reindex(home, day)
        assert json.loads(index.read_text()) == was and as_clearwell_reads(home) == before


def test_an_index_is_not_written_again_if_a_batch_is_missing_or_has_other_records(home: Home) -> None:
    compact_all(home)
    (index,) = home.bronze.rglob(compacted.INDEX)
    day, shared = index.parents[1], index.parent / "part-0.parquet"
    index.unlink()
    table = pq.read_table(shared)
    some = table.filter(pc.not_equal(table["bronze_batch"], table["bronze_batch"][0]))
    for other in (some, table.slice(1), pa.concat_tables([table.slice(1), table.slice(1, 1)])):
        pq.write_table(other, shared)
        assert not compaction.reindex(home, day) and not index.exists()


def test_a_damaged_batch_stays_as_it_is(home: Home) -> None:
    (group,) = compaction.find(home, LATER, lambda _: True)
    path = Path(bronze.parquet_files(home, group.manifests[0])[0])
    path.write_bytes(b"garbage")
    before = parquet(home)
    assert not compaction.compact(home, group)
    assert parquet(home) == before


def test_what_is_young_unsettled_large_whole_or_alone_is_left(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compaction.find(home, date(2026, 11, 1), lambda _: True) == []
    assert compaction.find(home, LATER, lambda _: False) == []
    landed(home, 10, whole=Whole("sha", RECORDS))
    landed(home, 11, columns=("a",))
    (group,) = compaction.find(home, LATER, lambda _: True)
    assert len(group.manifests) == HOURS
    monkeypatch.setattr(compaction, "SMALL", 10)
    assert compaction.find(home, LATER, lambda _: True) == []


def test_a_file_is_no_larger_than_enough(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    size = bronze.committed(home)[0].bytes
    monkeypatch.setattr(compaction, "ENOUGH", 3 * size + 100)
    before = as_clearwell_reads(home)
    assert [len(group.manifests) for group in compaction.find(home, LATER, lambda _: True)] == [3, 3]
    compact_all(home)
    assert as_clearwell_reads(home) == before
    assert len(parquet(home)) == 3
