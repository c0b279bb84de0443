"""What is brought to a place of exchange and back, what is left there of whom, and how each failure is told.

tests/spark/test_exchange.py does the same over a server that speaks as S3 does, tests/spark/test_files.py with Spark.
"""

import json
import socket
from pathlib import Path
from threading import Event
from typing import IO, Any

import pytest

from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.home import Home
from ingestion.land import silent
from ingestion.sources import s3
from tests.unit.ingestion.sources.s3_store import serving
from warehouse import exchange
from warehouse.exchange import Exchange

# How long a copy waits for Ctrl-C.
PATIENCE_SECONDS = 60


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with an odd name, and a file of bronze."""
    made = Home(tmp_path / "it's 100%+ü", tmp_path / "landing")
    file = made.bronze / "orders" / "a.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"raw" * 1000)
    return made


@pytest.fixture(params=["", "file://"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the place, in which others have files."""
    place = tmp_path / "of us" / "50%"
    (place / "clearwell-0123").mkdir(parents=True)
    (place / "clearwell-0123" / "theirs").touch()
    monkeypatch.setenv(exchange.PLACE, f"{request.param}{place}/")
    return place


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_without_a_place_spark_sees_the_home_itself(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(exchange.PLACE, raising=False)
    before = files(home.root)
    with exchange.opened(home, "b1", silent) as seen:
        seen.put(home.bronze.rglob("*"), silent)
        seen.fetch(home.builds, silent)
        assert seen.address == str(home.root) and seen.seen(home.bronze) == str(home.bronze)
    assert files(home.root) == before


def test_files_go_to_the_place_and_tables_come_back(home: Home, place: Path) -> None:
    raw, tables = home.bronze / "orders" / "a.parquet", home.builds / "b1" / "spark" / "tables"
    with exchange.opened(home, "b1", silent) as seen:
        own = Path(seen.address.removeprefix("file://"))
        assert own.parent == place and seen.seen(raw) == f"{seen.address}/bronze/orders/a.parquet"
        # of a retracted batch, a file may be missing
        seen.put([raw, home.bronze / "orders" / "none.parquet"], silent)
        assert files(own) == {"bronze/orders/a.parquet"}
        assert (own / "bronze" / "orders" / "a.parquet").read_bytes() == raw.read_bytes()
        made = own / tables.relative_to(home.root) / "gold"
        for name in ("x/part-0.parquet", "x/_SUCCESS", "x/_temporary/0/part-0.parquet", "x/.part-0.parquet.crc"):
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_text(name)
        seen.fetch(tables, silent)
        assert files(tables) == {"gold/x/part-0.parquet"}
        # what has been copied is not copied again
        said: list[str] = []
        raw.write_text("not read again")
        seen.put([raw], said.append)
        (made / "y").mkdir()
        (made / "y" / "part-1.parquet").touch()
        seen.fetch(tables, said.append)
        assert said == [f"transform: copying 1 files, 0.0 MB, from {seen.address}"]
        assert files(tables) == {"gold/x/part-0.parquet", "gold/y/part-1.parquet"}
    assert files(place) == {"clearwell-0123/theirs"} and not own.exists()


def test_what_a_killed_build_left_is_removed_and_nothing_of_another_home(home: Home, place: Path) -> None:
    other = Home(home.root.with_name("other"), home.landing)
    (other.bronze).mkdir(parents=True)
    (other.bronze / "b").write_text("b")
    with exchange.opened(other, "b1", silent) as seen_by_other:
        seen_by_other.put([other.bronze / "b"], silent)
        with exchange.opened(home, "b1", silent) as killed:
            pass
        killed.put(home.bronze.rglob("*.parquet"), silent)
        assert len(files(place)) == 3
        with exchange.opened(home, "b2", silent) as seen:
            assert seen.address == killed.address != seen_by_other.address
            assert len(files(place)) == 2
        assert len(files(place)) == 2
    assert files(place) == {"clearwell-0123/theirs"}


def test_a_copy_of_a_home_has_a_folder_of_its_own(home: Home, place: Path) -> None:
    with exchange.opened(home, "b1", silent) as seen:
        pass
    copy = Home(home.root.with_name("copy"), home.landing)
    copy.root.mkdir()
    named = "spark-files.json"
    (copy.root / named).write_text((home.root / named).read_text())
    with exchange.opened(copy, "b1", silent) as of_copy:
        assert of_copy.address != seen.address
    # a name that is no id could lead out of the place
    (home.root / named).write_text(json.dumps({"home": str(home.root), "id": "../others"}))
    with exchange.opened(home, "b1", silent) as again:
        assert again.address == seen.address


@pytest.mark.parametrize("error", [Permanent("a model failed"), KeyboardInterrupt()])
def test_the_place_is_emptied_after_an_error_as_well(home: Home, place: Path, error: BaseException) -> None:
    def fail() -> None:
        with exchange.opened(home, "b1", silent) as seen:
            seen.put(home.bronze.rglob("*.parquet"), silent)
            assert len(files(place)) == 2
            raise error

    with pytest.raises(type(error)) as raised:
        fail()
    assert raised.value is error and files(place) == {"clearwell-0123/theirs"}


def test_what_cannot_be_emptied_is_said_and_hides_no_error(
    home: Home, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    no_rights = Permanent("the object cannot be deleted", todo="ask for the right")
    times = iter([None, no_rights, None, no_rights])

    def empty(_: Exchange) -> None:
        if error := next(times):
            raise error

    monkeypatch.setattr(Exchange, "empty", empty)
    with pytest.raises(Permanent, match="a model failed"), exchange.opened(home, "b1", said.append):
        raise Permanent("a model failed")
    assert len(said) == 1 and "until the next build on Spark: the object cannot be deleted. Next: ask" in said[0]
    with pytest.raises(Permanent, match="cannot be deleted"), exchange.opened(home, "b1", said.append):
        pass


def test_ctrl_c_ends_a_copy_and_leaves_out_the_rest(home: Home, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_LONG_BYTES", 0)
    monkeypatch.setattr(exchange, "_AT_ONCE", 1)
    many = [home.bronze / f"{number}.parquet" for number in range(10)]
    for path in many:
        path.write_bytes(b"x")
    copy, ended = exchange._copy, []

    def copy_until_it_is_over(file: IO[bytes], copied: Any, is_over: Event) -> None:
        if Path(file.name) != many[0]:
            ended.append(is_over.wait(PATIENCE_SECONDS))
        copy(file, copied, is_over)

    def report(line: str) -> None:
        if line.startswith("transform: copied"):
            raise KeyboardInterrupt

    monkeypatch.setattr(exchange, "_copy", copy_until_it_is_over)
    with exchange.opened(home, "b1", silent) as seen:
        with pytest.raises(KeyboardInterrupt):
            seen.put(many, report)
        # the first was copied, and the second begun at most
        assert ended in ([], [True])
        assert sum(path.stat().st_size for path in place.rglob("*.parquet")) == 1


def test_long_copies_say_how_far_they_are(home: Home, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_LONG_BYTES", 5_000_000)
    monkeypatch.setattr(exchange, "_PIECE_BYTES", 300_000)
    many = [home.bronze / f"{number}.parquet" for number in range(20)]
    for path in many:
        path.write_bytes(bytes(1_000_000))
    said: list[str] = []
    with exchange.opened(home, "b1", silent) as seen:
        seen.put(many, said.append)
        assert said[0] == f"transform: copying 20 files, 20.0 MB, to {seen.address}"
        assert said[1:] == [f"transform: copied {done}.0 MB of 20.0 MB" for done in range(2, 21, 2)]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("hdfs://node/folder", "is neither in S3 nor a folder"),
        ("folder", "is neither in S3 nor a folder"),
        ("file://folder", "is neither in S3 nor a folder"),
        ("s3a://KEY:se/cret@bucket/prefix", "the address of the object cannot be read"),
        ("s3a://", "is neither in S3 nor a folder"),
        ("s3a:///prefix", "the address of the object cannot be read"),
        ("/data/{a,b}", "Spark: it misreads '{' '}'"),
        ("s3://bucket/it's", "Spark: it misreads"),
    ],
)
def test_what_is_no_place_is_permanent_and_shows_no_secret(place: str, why: str) -> None:
    with pytest.raises(Permanent, match=why) as raised:
        exchange.parse(place)
    assert raised.value.todo and "cret" not in str(raised.value).replace("AWS_SECRET", "")


def test_spark_is_told_a_place_as_it_is_written() -> None:
    for place in ("s3a://bucket/a b/%41", "s3://bucket", "file:///data", "/data/ü"):
        assert exchange.parse(f"{place}/") == place
    assert exchange.parse("S3A://bucket/Prefix") == "s3a://bucket/Prefix"


def test_a_folder_that_is_not_mounted_is_permanent(home: Home, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(exchange.PLACE, str(place / "none"))
    with (
        pytest.raises(Permanent, match=r"does not exist \(.*none\)\. Next: create or mount"),
        exchange.opened(home, "b1", silent),
    ):
        pass
    assert not (place / "none").exists()


def test_failures_of_s3_are_told_with_what_to_do_next(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(s3, "_TRIES", 1)
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret-key", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)

    def failing(place: str) -> ClearwellError:
        monkeypatch.setenv(exchange.PLACE, place)
        with pytest.raises(ClearwellError) as raised, exchange.opened(home, "b1", silent) as seen:
            seen.put(home.bronze.rglob("*.parquet"), silent)
        assert "secret-key" not in f"{raised.value!r}" and raised.value.todo
        return raised.value

    with serving() as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.address)
        error = failing("s3a://others/prefix")
        assert isinstance(error, Permanent) and "the bucket does not exist (s3://others/prefix)" in str(error)
        store.fail = lambda method, _path: (403, "AccessDenied") if method == "GET" else None
        error = failing("s3a://exports/prefix")
        assert isinstance(error, Permanent) and "cannot be read: ACCESS_DENIED" in str(error)
        store.fail = lambda method, _path: (403, "AccessDenied") if method == "POST" else None
        error = failing("s3a://exports/prefix")
        assert isinstance(error, Permanent) and "cannot be written: ACCESS_DENIED" in str(error)
        assert "bronze/orders/a.parquet" in error.where and "check the credentials" in error.todo
        store.fail = lambda method, _path: (503, "SlowDown") if method == "POST" else None
        assert isinstance(failing("s3a://exports/prefix"), Transient)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        error = failing("s3a://exports/prefix")
        assert isinstance(error, Transient) and "the store cannot be reached" in str(error)
    s3._connected.cache_clear()
