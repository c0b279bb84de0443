"""A place of exchange in S3, over a server that speaks its protocol: what is put there, fetched from there, and left there."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import silent
from tests.lake import moto
from warehouse import exchange

pytestmark = pytest.mark.spark

PLACE = "bucket/of us/ü+%41"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[fs.FileSystem]:
    """A bucket that is the place, in which others have an object."""
    monkeypatch.setenv(exchange.PLACE, f"s3a://{PLACE}/")
    with moto.serving("bucket", tmp_path / "s3.log", monkeypatch):
        store = moto.client()
        with store.open_output_stream(f"{PLACE}/clearwell-of-others/a.parquet") as theirs:
            theirs.write(b"theirs")
        yield store


def objects(store: fs.FileSystem) -> set[str]:
    found = store.get_file_info(fs.FileSelector("bucket", recursive=True))
    return {one.path.removeprefix(f"{PLACE}/") for one in found if one.is_file}


def test_files_go_to_a_bucket_and_tables_come_back(store: fs.FileSystem, tmp_path: Path) -> None:
    home = Home(tmp_path / "it's 100%+ü", tmp_path / "landing")
    raw = [home.bronze / f"{number}" / "part-0.parquet" for number in range(30)]
    for path in raw:
        path.parent.mkdir(parents=True)
        path.write_bytes(str(path).encode())
    # several parts of an upload
    raw[7].write_bytes(bytes(range(256)) * 100_000)
    tables = home.builds / "b1" / "spark" / "tables"
    with exchange.opened(home, "b1", silent) as seen:
        seen.put(raw, silent)
        own = seen.address.rpartition("/")[2]
        assert objects(store) == {"clearwell-of-others/a.parquet"} | {
            f"{own}/bronze/{number}/part-0.parquet" for number in range(30)
        }
        for path in raw:
            with store.open_input_file(f"{PLACE}/{own}/{path.relative_to(home.root)}") as copied:
                assert copied.read() == path.read_bytes()
        made = f"{PLACE}/{own}/{tables.relative_to(home.root)}/gold/sales"
        pq.write_table(pa.table({"n": range(1_000_000)}), f"{made}/part-0.parquet", filesystem=store)
        for name in ("_SUCCESS", "_temporary/0/part-1.parquet"):
            with store.open_output_stream(f"{made}/{name}") as other:
                other.write(b"")
        seen.fetch(tables, silent)
        assert [path for path in tables.rglob("*") if path.is_file()] == [tables / "gold" / "sales" / "part-0.parquet"]
        assert pq.read_table(tables / "gold" / "sales" / "part-0.parquet") == pa.table({"n": range(1_000_000)})
    assert objects(store) == {"clearwell-of-others/a.parquet"}


def test_what_a_killed_build_left_is_removed(store: fs.FileSystem, tmp_path: Path) -> None:
    home, other = (Home(tmp_path / name, tmp_path / "landing") for name in ("one", "two"))
    for one in (home, other):
        one.bronze.mkdir(parents=True)
        (one.bronze / "a").write_text("a")
    with exchange.opened(other, "b1", silent) as of_other:
        of_other.put([other.bronze / "a"], silent)
        with exchange.opened(home, "b1", silent) as killed:
            pass
        killed.put([home.bronze / "a"], silent)
        assert len(objects(store)) == 3
        with exchange.opened(home, "b2", silent):
            assert len(objects(store)) == 2
    assert objects(store) == {"clearwell-of-others/a.parquet"}


def test_a_bucket_that_does_not_exist_is_permanent(
    store: fs.FileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(exchange.PLACE, "s3a://another/prefix")
    (tmp_path / "one").mkdir()
    with (
        pytest.raises(Permanent, match=r"the bucket does not exist \(s3://another/prefix\)\. Next: check the bucket"),
        exchange.opened(Home(tmp_path / "one", tmp_path / "landing"), "b1", silent),
    ):
        pass
