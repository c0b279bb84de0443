"""Files of JSON lines at any location: every file once, every line as it is, as the clickstream's own layout lands."""

import functools
import gzip
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion import bronze, sources
from ingestion.contract import Contract, read_contracts
from ingestion.errors import Permanent
from ingestion.file_settings import Files
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.manifest import Waiting
from ingestion.window import Window

NOW = datetime(2100, 1, 1, tzinfo=UTC)
CLICKS = replace(read_contracts()["clickstream"], expect_records_every=None)
LINE = b'{"event_id": "e1"}\n'
Land = Callable[..., Landing]


def events(location: str, lateness: timedelta = timedelta(days=1), each: str = "") -> Contract:
    settings = Files(location, each=each)
    return replace(CLICKS, dataset="events", source="events", kind="file", settings=settings, lateness=lateness)


@pytest.fixture
def land(home: Home, tmp_path: Path) -> Land:
    def do(
        location: str, start: str = "2026-11-02", end: str = "2026-11-03", at: datetime = NOW, **more: Any
    ) -> Landing:
        contract = events(f"{tmp_path}/in/{location}", **more)
        return sources.ingest("events", Window.parse(start, end), home, at, contracts={"events": contract})

    return do


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def do(name: str, body: bytes) -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    return do


Put = Callable[[str, bytes], Path]


def records(home: Home, landing: Landing, *, new: bool = True) -> list[tuple[str, int, bytes]]:
    """Return the lines of a landing's batches: file, number and bytes."""
    found = []
    for manifest in landing.manifests:
        if manifest.batch_id in landing.new or not new:
            for path in bronze.parquet_files(home, manifest):
                found += [
                    (row["file"], row["line_number"], row["raw_bytes"] if row["raw"] is None else row["raw"].encode())
                    for row in pq.read_table(path).to_pylist()
                ]
    return sorted(found)


def windows(landing: Landing) -> list[str]:
    return [str(manifest.window).replace(":00:00Z", "") for manifest in landing.manifests]


def test_a_day_is_a_batch_of_all_its_files(home: Home, land: Land, put: Put) -> None:
    put("dt=2026-11-02/b.json.gz", gzip.compress(LINE))
    put("dt=2026-11-02/a.json", LINE + b"\xff\n" + b"half")
    put("dt=2026-11-02/c.whatever", zstandard.compress(LINE * 2))
    put("dt=2026-11-04/later.json", LINE)
    first = land("dt={date}/*")
    assert windows(first) == ["2026-11-02T00/2026-11-03T00"]
    assert records(home, first) == [
        ("dt=2026-11-02/a.json", 1, LINE), ("dt=2026-11-02/a.json", 2, b"\xff\n"), ("dt=2026-11-02/a.json", 3, b"half"),
        ("dt=2026-11-02/b.json.gz", 1, LINE),
        ("dt=2026-11-02/c.whatever", 1, LINE), ("dt=2026-11-02/c.whatever", 2, LINE),
    ]  # fmt: skip
    (manifest,) = first.manifests
    assert [(one.path[13:], one.records) for one in manifest.inputs] == [
        ("/a.json", 3),
        ("/b.json.gz", 1),
        ("/c.whatever", 2),
    ]
    again = land("dt={date}/*")
    assert again.manifests == first.manifests and not again.new


def test_each_element_of_a_list_is_a_record(home: Home, land: Land, put: Put) -> None:
    put(
        "2026-11-02/a.jsonl.gz",
        gzip.compress(b'{"id":1,"items":[{"n":1},{"n":2}]}\n{"id":2,"items":[]}\n\xff\nbroken\n'),
    )
    put("2026-11-02/b.jsonl", b'{"id":3,"items":[{"n":3}]}')
    first = land("{date}/*", each="$.items")
    assert records(home, first) == [
        ("2026-11-02/a.jsonl.gz", 1, b'{"id":1,"items":{"n":1}}\n'),
        ("2026-11-02/a.jsonl.gz", 1, b'{"id":1,"items":{"n":2}}\n'),
        ("2026-11-02/a.jsonl.gz", 2, b'{"id":2,"items":[]}\n'),
        ("2026-11-02/a.jsonl.gz", 3, b"\xff\n"),
        ("2026-11-02/a.jsonl.gz", 4, b"broken\n"),
        ("2026-11-02/b.jsonl", 1, b'{"id":3,"items":{"n":3}}'),
    ]
    (manifest,) = first.manifests
    assert [one.records for one in manifest.inputs] == [5, 1] and manifest.records_written == 6
    again = land("{date}/*", each="$.items")
    assert again.manifests == first.manifests and not again.new


def test_late_and_overwritten_files_land_with_their_day_and_nothing_else_again(
    home: Home, land: Land, put: Put
) -> None:
    kept, changed = put("2026-11-02/a.jsonl", LINE), put("2026-11-02/b.jsonl", LINE)
    land("{date}/*.jsonl")
    put("2026-11-02/late.jsonl", b"late\n")
    changed.write_bytes(b"new\n" + LINE)
    os.utime(kept, (1, 1))  # touched: its checksum is the same
    after = land("{date}/*.jsonl", "2026-11-03", "2026-11-04")
    assert windows(after) == ["2026-11-02T00/2026-11-03T00", "2026-11-03T00/2026-11-04T00"]
    assert [row[::2] for row in records(home, after)] == [
        ("2026-11-02/b.jsonl", b"new\n"), ("2026-11-02/b.jsonl", LINE), ("2026-11-02/late.jsonl", b"late\n"),
    ]  # fmt: skip
    # past its lateness, a day is not looked at
    put("2026-11-02/too-late.jsonl", LINE)
    assert records(home, land("{date}/*.jsonl", "2026-11-04", "2026-11-05")) == []
    assert len(records(home, land("{date}/*.jsonl"))) == 1


def test_hours_have_batches_of_their_own(home: Home, land: Land, put: Put) -> None:
    put("2026/11/02/09/a.jsonl", LINE)
    put("2026/11/02/10/a.jsonl", LINE * 2)
    landing = land("{year}/{month}/{day}/{hour}/*.jsonl", "2026-11-02T09:00", "2026-11-02T11:00")
    assert len(landing.manifests) == 2
    filled = {manifest.window.start.hour: manifest.records_written for manifest in landing.manifests if manifest.inputs}
    assert filled == {9: 1, 10: 2}


def test_a_quiet_day_of_hours_is_one_batch(home: Home, land: Land, put: Put) -> None:
    put("2026/11/02/09/a.jsonl", LINE)
    put("2026/11/02/10/a.jsonl", LINE * 2)
    landing = land("{year}/{month}/{day}/{hour}/*.jsonl")
    assert windows(landing) == ["2026-11-02T00/2026-11-03T00"] and landing.records == 3
    put("2026/11/02/09/b.jsonl", LINE)
    late = land("{year}/{month}/{day}/{hour}/*.jsonl", "2026-11-03T00:00", "2026-11-03T01:00")
    assert windows(late) == ["2026-11-02T09/2026-11-02T10", "2026-11-03T00/2026-11-03T01"] and late.records == 1
    assert not land("{year}/{month}/{day}/{hour}/*.jsonl").new


def test_a_file_a_day_and_a_run_an_hour_lands_it_once(home: Home, land: Land, put: Put) -> None:
    path = put("2026-11-02.jsonl", LINE)
    first = land("{date}.jsonl", "2026-11-02T05:00", "2026-11-02T06:00")
    assert windows(first) == ["2026-11-02T05/2026-11-02T06"] and first.records == 1
    assert land("{date}.jsonl", "2026-11-02T06:00", "2026-11-02T07:00").records == 0
    path.write_bytes(LINE * 2)
    assert land("{date}.jsonl", "2026-11-02T07:00", "2026-11-02T08:00").records == 2
    assert land("{date}.jsonl", "2026-11-03", "2026-11-04").records == 0


def test_without_date_parts_a_file_lands_once_in_the_window_that_finds_it(home: Home, land: Land, put: Put) -> None:
    put("a.jsonl", LINE)
    put("b.jsonl.gz", gzip.compress(b"b\n"))
    first = land("*.jsonl*")
    assert windows(first) == ["2026-11-02T00/2026-11-03T00"] and first.records == 2
    path = put("c.jsonl", b"c\n")
    second = land("*.jsonl*", "2026-11-03", "2026-11-04")
    assert records(home, second) == [("c.jsonl", 1, b"c\n")] and windows(second) == ["2026-11-03T00/2026-11-04T00"]
    third = land("*.jsonl*", "2026-11-04", "2026-11-05")
    assert third.records == 0 and windows(third) == ["2026-11-04T00/2026-11-05T00"] and len(third.new) == 1
    assert not land("*.jsonl*", "2026-11-04", "2026-11-05").new and not land("*.jsonl*").new
    path.write_bytes(b"changed\n")
    assert records(home, land("*.jsonl*", "2026-11-05", "2026-11-06")) == [("c.jsonl", 1, b"changed\n")]


def test_a_sweep_lands_what_is_new_with_its_own_day_and_what_waited_with_the_day_it_waited_in(
    home: Home, tmp_path: Path, land: Land, put: Put
) -> None:
    whole = gzip.compress(b"waited\n")
    put("a.jsonl", LINE)
    put("b.jsonl.gz", whole[:-5])
    assert len(land("*").waiting) == 1
    put("b.jsonl.gz", whole)
    put("c.jsonl", b"new\n")
    contracts = {"events": events(f"{tmp_path}/in/*")}
    swept = sources.sweep("events", Window.parse("2026-11-03", "2026-11-04"), home, NOW, contracts=contracts)
    found = {
        str(one.window.date): [file.path for file in one.inputs] for one in swept.manifests if one.batch_id in swept.new
    }
    assert found == {"2026-11-02": ["b.jsonl.gz"], "2026-11-03": ["c.jsonl"]}
    assert swept.waiting == ()


def test_a_cut_file_waits_and_the_others_land(home: Home, land: Land, put: Put) -> None:
    whole = gzip.compress(LINE * 100)
    path = put("2026-11-02/a.jsonl.gz", whole[:-9])
    put("2026-11-02/b.jsonl", LINE)
    put("2026-11-02/c.zip", b"PK\x03\x04")
    put("2026-11-02/d.jsonl.gz", b"")
    first = land("{date}/*")
    assert first.records == 1
    assert first.waiting == (
        Waiting("2026-11-02/a.jsonl.gz", "truncated: its compressed data ends too early"),
        Waiting("2026-11-02/c.zip", "a zip of lines is not read: deliver it plain, or compressed by gzip or zstd"),
        Waiting("2026-11-02/d.jsonl.gz", "truncated: its compressed data ends too early"),
    )
    path.write_bytes(whole)
    (path.parent / "c.zip").unlink()
    second = land("{date}/*")
    assert second.records == 100 and [one.path for one in second.waiting] == ["2026-11-02/d.jsonl.gz"]
    (new,) = (manifest for manifest in second.manifests if manifest.batch_id in second.new)
    assert new.resolved == ("2026-11-02/c.zip",)


def test_a_fresh_file_that_ends_within_a_line_waits(land: Land, put: Put) -> None:
    path = put("2026-11-02.jsonl", LINE + b'{"eve')
    at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    assert land("{date}.jsonl", at=at).waiting == (Waiting("2026-11-02.jsonl", "still being written"),)
    assert land("{date}.jsonl", at=at + timedelta(seconds=4)).records == 2


def test_what_is_not_there(land: Land, put: Put) -> None:
    with pytest.raises(Permanent, match=r"the file does not exist.*none\.jsonl"):
        land("none.jsonl")
    assert land("{date}.jsonl").records == land("none/*.jsonl").records == 0


def test_what_a_wildcard_does_not_read_is_told(land: Land, put: Put) -> None:
    put("2026-11-02/a.jsonl.part", LINE)
    landing = land("{date}/*")
    assert landing.records == 0 and "a.jsonl.part is not read" in "".join(landing.messages)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 23), st.sampled_from(["a.jsonl", "b.jsonl.gz", "c.ndjson.zst"])),
        st.lists(st.sampled_from([b"", LINE, b"\xff\n", b"x\r\n", b"end"]), max_size=3).map(b"".join),
        max_size=5,
    )
)
def test_the_layout_of_the_clickstream_lands_as_its_own_kind_does(
    tmp_path_factory: pytest.TempPathFactory, made: dict[tuple[int, str], bytes]
) -> None:
    root = tmp_path_factory.mktemp("both")
    pack = {".gz": gzip.compress, ".zst": zstandard.compress}
    home = Home(root / "home", root / "landing")
    home.landing.mkdir()
    for (hour, name), body in made.items():
        path = home.landing / "2026-11-02" / f"{hour:02d}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack.get(path.suffix, bytes)(body))
    contracts = {"clickstream": CLICKS, "events": events(f"{home.landing}/{{date}}/{{hour}}/*")}
    window = Window.parse("2026-11-02", "2026-11-03")
    ours, theirs = (sources.ingest(name, window, home, NOW, contracts=contracts) for name in ("events", "clickstream"))
    assert records(home, ours) == records(home, theirs)
    for one, other in zip(ours.manifests, theirs.manifests, strict=True):
        assert (one.window, one.inputs, one.waiting) == (other.window, other.inputs, other.waiting)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "in")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_lands_once_for_each_content(home: Home, put: Put, address: str) -> None:
    path = put("2026-11-02.jsonl.gz", gzip.compress(LINE))
    contract = events(f"{address}/{{date}}.jsonl.gz?token=secret", timedelta(0))

    def do() -> Landing:
        window = Window.parse("2026-11-02", "2026-11-03")
        return sources.ingest("events", window, home, NOW, contracts={"events": contract})

    assert records(home, do()) == [(f"{address}/2026-11-02.jsonl.gz", 1, LINE)]
    assert not do().new
    path.write_bytes(gzip.compress(LINE * 2))
    assert do().records == 2
