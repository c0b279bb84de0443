"""Objects of S3: what a pattern lists, what is read, and how each failure is told. The store is a small one on this machine."""

import gzip
import io
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion import bronze, sources
from ingestion.contract import read_contracts
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.file_settings import Files
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.manifest import still_waiting
from ingestion.sources import locations, places, s3
from ingestion.sources.places import Limits
from ingestion.window import Window
from operations.samples import read_sample
from tests.unit.ingestion.sources.s3_store import Store, serving

NOW = datetime(2100, 1, 1, tzinfo=UTC)
DAY = Window.parse("2026-11-10", "2026-11-11")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-key")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr(s3, "_TRIES", 1)
    with serving() as served:
        monkeypatch.setenv("AWS_ENDPOINT_URL", served.address)
        yield served
        s3._connected.cache_clear()


def keys(location: str) -> list[str]:
    return [one.place.removeprefix("s3://exports/") for one in locations.find(location).files]


def test_a_pattern_lists_its_folders_alone_page_by_page(store: Store) -> None:
    for day in range(1, 29):
        for part in range(5):
            store.objects[f"in/dt=2026-11-{day:02d}/part-{part}.csv"] = b"x" * part
    store.objects |= {"in/dt=2026-11-10/_SUCCESS": b"", "in/dt=2026-11-10/deep/part-9.csv": b"", "in/part-1.csv": b""}
    parts = [f"in/dt=2026-11-10/part-{part}.csv" for part in range(5)]
    assert keys("s3://exports/in/dt=2026-11-10/*.csv") == parts
    # three pages of three names, of one of 28 days
    assert store.asked == ["GET in/dt=2026-11-10/"] * 3
    assert keys("s3://exports/in/dt=2026-11-1*/part-3.csv") == [
        f"in/dt=2026-11-{day}/part-3.csv" for day in range(10, 20)
    ]
    assert keys("s3://exports/in/part-*.csv") == ["in/part-1.csv"]
    assert keys("s3://exports/none/*.csv") == []
    assert "is not read: it is a folder" in locations.find("s3://exports/in/dt=2026-11-10/*").skipped[0]


def test_a_folder_of_many_hours_is_listed_once_for_all_of_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.objects |= {f"in/log-{hour:02}-{part}.gz": b"x" for hour in range(4) for part in range(2)}
    once = locations.ListedOnce()
    patterns = [f"s3://exports/in/log-{hour:02}-*.gz" for hour in range(5)]
    found = [[one.place[-5:] for one in locations.find(pattern, once).files] for pattern in patterns]
    assert found == [["-0.gz", "-1.gz"]] * 4 + [[]]
    assert store.asked == ["GET in/"] * 3
    # what is too much to be kept is listed again, and found as well
    monkeypatch.setattr(locations, "_KEPT_NAMES", 7)
    once = locations.ListedOnce()
    assert [len(locations.find(pattern, once).files) for pattern in patterns] == [2, 2, 2, 2, 0]
    assert store.asked == ["GET in/"] * (3 + 5 * 3)


def test_one_object_is_asked_for_by_name(store: Store) -> None:
    store.objects["in/a.csv"] = b"abc"
    (found,) = locations.find("s3://exports/in/a.csv").files
    assert found.size == 3 and store.asked == ["HEAD in/a.csv"]
    assert keys("s3://exports/in/b.csv") == []


@pytest.mark.parametrize("key", ["a b+ü.csv", "a%20b.csv", "a=b&c.csv"])
def test_a_key_may_have_characters_that_addresses_write_otherwise(store: Store, key: str, tmp_path: Path) -> None:
    store.objects[f"in/{key}"] = b"abc"
    assert places.fetch(f"s3://exports/in/{key}")[0] == b"abc"
    places.copy(f"s3://exports/in/{key}", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"abc"


def test_an_object_is_inflated_dated_and_bounded(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.objects["a"] = gzip.compress(b"abc")
    published = datetime(2026, 11, 3, 15, tzinfo=UTC)
    assert places.fetch("s3://exports/a") == (b"abc", published)
    store.objects["a"] = bytes(1000)
    with pytest.raises(Permanent, match="the most that is read at once"):
        places.fetch("s3://exports/a", Limits(bytes=999))
    monkeypatch.setattr(s3, "_PIECE_BYTES", 64)
    places.copy("s3://exports/a", tmp_path / "a", Limits(bytes=999))
    assert (tmp_path / "a").read_bytes() == bytes(1000)
    assert (tmp_path / "a").stat().st_mtime == published.timestamp()


@pytest.mark.parametrize("size", [0, 4])
def test_an_object_that_is_overwritten_while_it_is_read_is_transient(store: Store, size: int) -> None:
    store.objects["a"] = b"1234"

    def overwrite(method: str, _key: str) -> None:
        if method == "GET":
            store.objects["a"] = b"5678" + bytes(size)

    store.fail = overwrite  # type: ignore[assignment]
    with pytest.raises(Transient, match="changed while it was read"):
        places.fetch("s3://exports/a")


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (403, "AccessDenied", Permanent, "ACCESS_DENIED"),
        (403, "InvalidAccessKeyId", Permanent, "check the credentials"),
        (403, "SignatureDoesNotMatch", Permanent, "check the credentials"),
        (400, "ExpiredToken", Permanent, "status 400"),
        (503, "SlowDown", Transient, "the store is busy"),
        (500, "InternalError", Transient, "the store is busy"),
        (503, "ServiceUnavailable", Transient, "the store is busy"),
    ],
)
def test_each_failure_has_its_kind_and_no_secret(
    store: Store, status: int, code: str, kind: type[Exception], said: str
) -> None:
    store.objects["in/a.csv"] = b"abc"
    store.fail = lambda _method, _key: (status, code)
    for do in (
        lambda: locations.find("s3://exports/in/*.csv"),
        lambda: locations.find("s3://exports/in/a.csv"),
        lambda: places.fetch("s3://exports/in/a.csv", is_listed=True),
    ):
        with pytest.raises(ClearwellError) as raised:
            do()
        assert type(raised.value) is kind
        told = f"{raised.value!r} {raised.value} {raised.value.__cause__}"
        assert "s3://exports/in" in told and "secret-key" not in told and "\n" not in told
        if "/a.csv" not in str(raised.value):  # a listing has a body, which says more than the head of an object
            assert said in str(raised.value)


def test_what_does_not_exist(store: Store) -> None:
    with pytest.raises(Permanent, match="the object does not exist"):
        places.fetch("s3://exports/a")
    with pytest.raises(Transient, match="gone since it was listed"):
        places.fetch("s3://exports/a", is_listed=True)
    for location in ("s3://others/*.csv", "s3://others/in/*.csv", "s3://others/a.csv"):
        with pytest.raises(Permanent, match="the bucket does not exist"):
            locations.find(location)


def test_an_error_of_a_file_of_this_machine_is_not_told_as_one_of_the_object(store: Store, tmp_path: Path) -> None:
    store.objects["a"] = b"abc"
    with pytest.raises(IsADirectoryError):
        s3.copy("s3://exports/a", tmp_path)


def test_a_bucket_that_may_not_be_asked_for_may_have_no_files_yet(store: Store) -> None:
    store.fail = lambda method, key: (403, "AccessDenied") if method == "HEAD" and not key else None
    assert keys("s3://exports/in/*.csv") == []


def test_nobody_there_is_transient(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Transient, match="the store cannot be reached"):
            places.fetch("s3://exports/a")


@pytest.mark.parametrize("place", ["s3://KEY:se/cret@exports/a", "s3://KEY:secret@exports/a", "s3:///a", "s3://Ex/a"])
def test_an_address_that_is_none_is_permanent_and_not_shown(place: str) -> None:
    with pytest.raises(Permanent, match="the address of the object cannot be read") as raised:
        places.fetch(place)
    assert "cret" not in f"{raised.value!r} {raised.value.__cause__}".replace("AWS_SECRET", "")


def land(home: Home, location: str, window: Window = DAY) -> Landing:
    clicks = read_contracts()["clickstream"]
    contract = replace(
        clicks, dataset="events", source="events", kind="file", settings=Files(location), expect_records_every=None,
        lateness=timedelta(0),
    )  # fmt: skip
    return sources.ingest("events", window, home, NOW, contracts={"events": contract})


def test_lines_land_once_and_are_not_read_again(store: Store, home: Home) -> None:
    store.objects["in/2026-11-10/a.jsonl"] = b"{}\n{}\n"
    store.objects["in/2026-11-10/b.jsonl.gz"] = gzip.compress(b"{}\n")
    first = land(home, "s3://exports/in/{date}/*")
    assert [(one.path, one.records) for one in first.manifests[0].inputs] == [
        ("2026-11-10/a.jsonl", 2),
        ("2026-11-10/b.jsonl.gz", 1),
    ]
    store.asked.clear()
    assert not land(home, "s3://exports/in/{date}/*").new
    assert store.asked == ["GET in/2026-11-10/"]
    store.objects["in/2026-11-10/a.jsonl"] = b"{}\n{}\n{}\n"
    assert land(home, "s3://exports/in/{date}/*").records == 3


def test_an_empty_object_under_a_packed_name_waits(store: Store, home: Home) -> None:
    store.objects |= {"in/2026-11-10/a.jsonl.gz": b"", "in/2026-11-10/b.jsonl": b"", "in/2026-11-10/c.jsonl": b"{}\n"}
    (manifest,) = land(home, "s3://exports/in/{date}/*").manifests
    assert [one.path for one in still_waiting([manifest])] == ["2026-11-10/a.jsonl.gz"]
    assert manifest.records_written == 1


def test_rows_land_from_a_bucket(store: Store, home: Home) -> None:
    rates = read_contracts()["exchange_rates"]
    contract = replace(rates, settings=replace(rates.settings, location="s3://exports/{date}/*.csv"))
    head = b"rate_date,currency,rate,updated_at\n"
    store.objects["2026-11-10/b.csv"] = head + b"2026-11-10,USD,1.2,2026-11-10T15:00:00Z\n"
    store.objects["2026-11-10/a.csv"] = head + b"2026-11-10,JPY,175,2026-11-10T15:00:00Z\n"
    landing = sources.ingest("exchange_rates", DAY, home, NOW, contracts={"exchange_rates": contract})
    assert landing.records == 2
    store.fail = lambda method, key: (403, "AccessDenied") if key.endswith("b.csv") else None
    with pytest.raises(Permanent, match=r"s3://exports/2026-11-10/b\.csv"):
        sources.ingest("exchange_rates", DAY, home, NOW, contracts={"exchange_rates": contract})
    assert len(bronze.list_batches(home)) == 1


def test_a_sample_is_of_the_first_and_the_last_objects(store: Store) -> None:
    for day in ("2026-11-09", "2026-11-10", "2026-11-11"):
        for part in "ab":
            store.objects[f"x/dt={day}/{part}.csv.gz"] = gzip.compress(f"id;at\n{part};{day}\n".encode())
    found = read_sample("s3://exports/x/dt={date}/*.csv.gz")
    ids = [("a", "2026-11-09"), ("b", "2026-11-09"), ("a", "2026-11-10"), ("b", "2026-11-10")]
    assert found.rows == (*ids, ("a", "2026-11-11"), ("b", "2026-11-11")) and found.is_whole
    assert found.csv == {"delimiter": ";"} and found.days == ("2026-11-09", "2026-11-11")
    written = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2]}), written)
    store.objects["y.parquet"] = written.getvalue()
    assert read_sample("s3://exports/y.parquet").rows == (("1",), ("2",))
    with pytest.raises(Permanent, match="does not exist"):
        read_sample("s3://exports/z.csv")
