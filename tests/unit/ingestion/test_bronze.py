import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ingestion import bronze
from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.manifest import Manifest
from ingestion.window import Window

WINDOW = Window.parse("2026-11-01T10:00", "2026-11-01T11:00")


def commit(home: Home, batch_id: str, content: bytes = b"records", **more: object) -> tuple[Manifest, bool]:
    with bronze.staged(home, "orders") as folder:
        (folder / "part-0.parquet").write_bytes(content)
        manifest = Manifest(
            dataset="orders",
            batch_id=batch_id,
            source="orders",
            window=WINDOW,
            contract_version=1,
            landed_at=datetime(2026, 11, 1, 12, tzinfo=UTC),
            counted_by_source=1,
            records_written=1,
            files=(bronze.describe(folder / "part-0.parquet"),),
        )
        return bronze.commit(home, folder, replace(manifest, **more))  # type: ignore[arg-type]


def test_a_committed_batch_is_found_read_and_verified(home: Home):
    manifest, is_new = commit(home, "b1")
    assert is_new
    ref = bronze.BatchRef("orders", date(2026, 11, 1), "b1")
    assert bronze.list_batches(home) == bronze.list_batches(home, "orders", ref.date) == [ref]
    assert bronze.list_batches(home, "customers") == bronze.list_batches(home, "orders", date(2026, 11, 2)) == []
    assert bronze.read_manifest(home, ref) == manifest
    assert bronze.parquet_files(home, manifest) == [str(home.bronze / "orders/2026-11-01/b1/part-0.parquet")]
    bronze.verify(home, manifest)
    assert list(home.staging.iterdir()) == []


def test_the_first_of_two_commits_counts(home: Home):
    first, _ = commit(home, "b1")
    second, is_new = commit(home, "b1", landed_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert not is_new
    assert second == first


def test_a_folder_without_manifest_does_not_exist_and_is_not_in_the_way(home: Home):
    half = home.bronze / "orders" / "2026-11-01" / "b1"
    half.mkdir(parents=True)
    (half / "part-0.parquet").write_bytes(b"half")
    assert bronze.list_batches(home) == []
    assert commit(home, "b1")[1]


def test_what_is_not_committed_leaves_nothing(home: Home):
    with pytest.raises(ValueError, match="stop"), bronze.staged(home, "orders") as folder:
        (folder / "part-0.parquet").write_bytes(b"x")
        raise ValueError("stop")
    assert list(home.staging.iterdir()) == []
    assert bronze.list_batches(home) == []


def test_verify_names_a_changed_or_missing_file(home: Home):
    manifest, _ = commit(home, "b1")
    (path,) = map(Path, bronze.parquet_files(home, manifest))
    path.write_bytes(b"RECORDS")
    with pytest.raises(Permanent, match="differs from its manifest"):
        bronze.verify(home, manifest)
    path.unlink()
    with pytest.raises(Permanent, match="missing"):
        bronze.verify(home, manifest)


def test_a_file_is_read_once_for_as_long_as_nobody_writes_it(home: Home, monkeypatch: pytest.MonkeyPatch):
    manifest, _ = commit(home, "b1")
    (path,) = map(Path, bronze.parquet_files(home, manifest))
    kept, times = path.read_bytes(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    read: list[Path] = []
    describe = bronze.describe
    monkeypatch.setattr(bronze, "describe", lambda path: read.append(path) or describe(path))

    def verified(*, anew: bool = False) -> int:
        before = len(read)
        bronze.verify(home, manifest, anew=anew)
        return len(read) - before

    def write(content: bytes) -> None:
        written = path.stat().st_ctime_ns
        while path.stat().st_ctime_ns == written:
            path.write_bytes(content)

    # as if the file were so new that another write could have the same time
    monkeypatch.setattr(bronze, "_SURELY_ANOTHER_TICK_NS", 10**18)
    assert [verified(), verified()] == [1, 1]
    monkeypatch.setattr(bronze, "_SURELY_ANOTHER_TICK_NS", -(10**18))
    assert [verified(), verified(), verified(anew=True), verified()] == [1, 0, 1, 0]
    # same size, and times set back: only the kernel's change time (ctime) differs
    write(kept[::-1])
    os.utime(path, ns=times)
    for anew in (False, True):
        with pytest.raises(Broken, match="differs from its manifest"):
            bronze.verify(home, manifest, anew=anew)
    write(kept)
    assert [verified(), verified()] == [1, 0]


def test_a_batch_that_is_not_there_is_named(home: Home):
    with pytest.raises(Permanent, match="no batch b9"):
        bronze.read_manifest(home, bronze.BatchRef("orders", date(2026, 11, 1), "b9"))


def test_identity_comes_from_dataset_window_and_content():
    ids = {
        bronze.identify("orders", WINDOW, ["x"]),
        bronze.identify("orders", WINDOW, ["y"]),
        bronze.identify("orders", WINDOW, ["x", "y"]),
        bronze.identify("customers", WINDOW, ["x"]),
        bronze.identify("orders", Window.parse("2026-11-01T10:00", "2026-11-01T12:00"), ["x"]),
    }
    assert len(ids) == 5
    assert bronze.identify("orders", WINDOW, ["x"]) in ids


def test_a_snapshot_enters_together_or_not_at_all(home: Home):
    commit(home, "o1", snapshot_batches={"orders": "o1", "products": "p1"})
    commit(home, "alone")
    assert ids(bronze.committed(home)) == ["alone"]
    commit(home, "p1", snapshot_batches={"orders": "o1", "products": "p1"})
    assert ids(bronze.committed(home)) == ["alone", "o1", "p1"]
    assert ids(bronze.committed(home, frozenset({"o1", "p1"}))) == ["alone"]


def test_a_batch_of_a_broken_snapshot_enters_with_a_later_whole_one(home: Home):
    commit(home, "p1", snapshot_batches={"orders": "killed", "products": "p1"})
    assert bronze.committed(home) == []
    commit(home, "o2", snapshot_batches={"orders": "o2", "products": "p1"})
    assert ids(bronze.committed(home)) == ["o2", "p1"]


def ids(manifests: list[Manifest]) -> list[str]:
    return sorted(manifest.batch_id for manifest in manifests)


INGEST = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from ingestion.contract import read_contracts
from ingestion.home import Home
from ingestion.sources import ingest
from ingestion.window import Window
root, landing, project = map(Path, sys.argv[1:])
contracts = read_contracts(project)
print("ready", flush=True)
ingest("clickstream", Window.parse("2026-11-01", "2026-11-02"), Home(root, landing), datetime(2100, 1, 1, tzinfo=UTC),
       report=lambda line: print(line, flush=True), contracts=contracts)
"""


def start(home: Home, project: Path) -> "subprocess.Popen[bytes]":
    repository = Path(bronze.__file__).parents[1]
    arguments = [sys.executable, "-c", INGEST, str(home.root), str(home.landing), str(project)]
    return subprocess.Popen(arguments, cwd=repository, stdout=subprocess.PIPE)


def hours_of_events(deliver: Callable[..., Path]) -> None:
    for hour in range(24):
        for part in range(2):
            lines = b"".join(b'{"event_id": "%d-%d-%d"}\n' % (hour, part, n) for n in range(20_000))
            deliver(f"2026-11-01/{hour:02d}/{part}.jsonl", lines)


def test_killed_at_any_instant_no_half_batch_is_left(
    home: Home, project: Path, deliver: Callable[..., Path], land: Callable[..., Landing]
):
    hours_of_events(deliver)
    landed = []
    for lines, delay in ((1, 0.0), (1, 0.03), (2, 0.01), (4, 0.02), (3, 0.005)):
        process = start(home, project)
        assert process.stdout
        for _ in range(lines):  # "ready", then one line for each hour that landed
            process.stdout.readline()
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        manifests = bronze.committed(home)
        for manifest in manifests:
            bronze.verify(home, manifest)
        landed.append(len(manifests))
    assert landed == sorted(landed)
    assert 6 <= landed[-1] < 24
    again = land("clickstream", "2026-11-01", "2026-11-02")
    untouched = Home(home.root.with_name("untouched"), home.landing)
    assert ids(list(again.manifests)) == ids(
        list(land("clickstream", "2026-11-01", "2026-11-02", home=untouched).manifests)
    )
    assert sum(manifest.records_written for manifest in bronze.committed(home)) == 24 * 2 * 20_000


def test_two_processes_at_the_same_window_end_in_the_same_batches(
    home: Home, project: Path, deliver: Callable[..., Path]
):
    hours_of_events(deliver)
    both = [start(home, project), start(home, project)]
    assert [process.wait(60) for process in both] == [0, 0]
    for process in both:
        process.communicate()
    manifests = bronze.committed(home)
    assert len(manifests) == 24
    assert sum(manifest.records_written for manifest in manifests) == 24 * 2 * 20_000
