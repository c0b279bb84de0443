import errno
import gzip
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingestion import bronze, sources
from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.manifest import Manifest, Waiting, still_waiting
from ingestion.sources import clickstream, ingest, lines
from ingestion.window import Window

Deliver = Callable[..., Path]
Land = Callable[..., Landing]
DAY = ("2026-11-01", "2026-11-02")
TEN = ("2026-11-01T10:00", "2026-11-01T11:00")
LINE = b'{"event_id": "1"}\n'
WRITTEN = 1_790_000_000


def records(home: Home, manifests: tuple[Manifest, ...] | list[Manifest]) -> list[tuple[str, int, str]]:
    rows = []
    for manifest in manifests:
        bronze.verify(home, manifest)
        found = [row for path in bronze.parquet_files(home, manifest) for row in pq.read_table(path).to_pylist()]
        assert sorted(row["record_no"] for row in found) == list(range(1, manifest.records_written + 1))
        assert manifest.counted_by_source == manifest.records_written
        rows += [(row["file"], row["line_number"], row["raw"]) for row in found]
    return sorted(rows)


def test_every_line_lands_once_in_its_folder_hour(home: Home, deliver: Deliver, land: Land):
    deliver("2026-11-01/10/a.jsonl", b'{"n": 1}\n\n \n{"n": 2}')
    deliver("2026-11-01/10/b.jsonl.gz", gzip.compress(b'{"n": 3}\n'))
    deliver("2026-11-01/11/a.jsonl", b'{"n": 4}\n')
    landing = land("clickstream", "2026-11-01T10:00", "2026-11-01T12:00")
    assert len(landing.manifests) == 2
    assert landing.new == {manifest.batch_id for manifest in landing.manifests}
    assert landing.records == 6
    assert records(home, landing.manifests) == [
        ("2026-11-01/10/a.jsonl", 1, '{"n": 1}\n'),
        ("2026-11-01/10/a.jsonl", 2, "\n"),
        ("2026-11-01/10/a.jsonl", 3, " \n"),
        ("2026-11-01/10/a.jsonl", 4, '{"n": 2}'),
        ("2026-11-01/10/b.jsonl.gz", 1, '{"n": 3}\n'),
        ("2026-11-01/11/a.jsonl", 1, '{"n": 4}\n'),
    ]
    ten = landing.manifests[0]
    assert str(ten.window) == "2026-11-01T10:00:00Z/2026-11-01T11:00:00Z"
    assert [(file.path, file.records) for file in ten.inputs] == [
        ("2026-11-01/10/a.jsonl", 4),
        ("2026-11-01/10/b.jsonl.gz", 1),
    ]


def test_a_year_of_quiet_hours_is_a_batch_a_day_and_what_comes_later_is_of_its_hour(
    home: Home, deliver: Deliver, land: Land
):
    for day in (1, 3):
        for hour in (0, 9, 23):
            deliver(f"2026-11-{day:02}/{hour:02}/a.jsonl", LINE)
    whole = land("clickstream", "2026-11-01", "2026-11-05")
    assert [(str(one.window)[:13], one.records_written) for one in whole.manifests] == [
        ("2026-11-01T00", 3), ("2026-11-02T00", 0), ("2026-11-03T00", 3), ("2026-11-04T00", 0),
    ]  # fmt: skip
    assert land("clickstream", "2026-11-01", "2026-11-05").new == frozenset()
    assert land("clickstream", "2026-11-01T09:00", "2026-11-01T10:00").new == frozenset()
    deliver("2026-11-01/09/late.jsonl", LINE)
    late = land("clickstream", "2026-11-01", "2026-11-05")
    assert [str(one.window) for one in late.manifests if one.batch_id in late.new] == [
        "2026-11-01T09:00:00Z/2026-11-01T10:00:00Z"
    ]
    # a file that waits in an hour of such a day holds that hour until it lands
    deliver("2026-11-03/09/b.jsonl.tmp", LINE)
    assert len(land("clickstream", "2026-11-03", "2026-11-04").waiting) == 1
    (home.landing / "2026-11-03/09/b.jsonl.tmp").rename(home.landing / "2026-11-03/09/b.jsonl")
    assert land("clickstream", "2026-11-03", "2026-11-04").records == 1
    assert still_waiting(one for one in bronze.committed(home) if str(one.window).startswith("2026-11-03T09")) == ()


def test_again_is_the_same_and_reads_nothing(home: Home, deliver: Deliver, land: Land, monkeypatch: pytest.MonkeyPatch):
    deliver("2026-11-01/10/a.jsonl", LINE)
    first = land("clickstream", *DAY)
    monkeypatch.setattr(clickstream, "LineFile", None)
    second = land("clickstream", *DAY)
    assert second.manifests == first.manifests
    assert second.new == frozenset()


def test_a_touched_file_is_known_by_its_checksum(deliver: Deliver, land: Land):
    path = deliver("2026-11-01/10/a.jsonl", LINE)
    land("clickstream", *DAY)
    os.utime(path, (WRITTEN, WRITTEN))
    assert land("clickstream", *DAY).new == frozenset()


def test_a_late_file_lands_alone_with_a_later_window(home: Home, deliver: Deliver, land: Land):
    deliver("2026-11-01/10/a.jsonl", LINE)
    land("clickstream", *TEN)
    deliver("2026-11-01/10/late.jsonl", LINE * 2)
    landing = land("clickstream", "2026-11-02T12:00", "2026-11-02T13:00")
    late, empty = landing.manifests
    assert (str(late.window)[:13], late.records_written) == ("2026-11-01T10", 2)
    assert (str(empty.window)[:13], empty.records_written, empty.files) == ("2026-11-02T12", 0, ())
    assert records(home, bronze.committed(home)) == sorted(
        [("2026-11-01/10/a.jsonl", 1, LINE.decode())] + [("2026-11-01/10/late.jsonl", n, LINE.decode()) for n in (1, 2)]
    )


def test_a_file_later_than_the_lateness_is_for_the_sweep(deliver: Deliver, land: Land):
    deliver("2026-11-01/10/a.jsonl", LINE)
    landing = land("clickstream", "2026-11-03T11:00", "2026-11-03T12:00")
    assert landing.records == 0


def test_other_content_under_a_known_name_is_a_new_file(home: Home, deliver: Deliver, land: Land):
    deliver("2026-11-01/10/a.jsonl", LINE)
    land("clickstream", *TEN)
    deliver("2026-11-01/10/a.jsonl", LINE * 2)
    landing = land("clickstream", *TEN)
    assert len(landing.manifests) == 2
    assert landing.records == 2


def test_a_file_delivered_twice_under_two_names_lands_twice(deliver: Deliver, land: Land):
    deliver("2026-11-01/10/a.jsonl", LINE)
    deliver("2026-11-01/10/b.jsonl", LINE)
    assert land("clickstream", *TEN).records == 2


@pytest.mark.parametrize("name", ["a.jsonl.tmp", "a.part", "b.crdownload", ".a.jsonl.gz.Xy12"])
def test_a_name_of_a_file_being_written_waits(deliver: Deliver, land: Land, name: str):
    deliver("2026-11-01/10/done.jsonl", LINE)
    deliver(f"2026-11-01/10/{name}", LINE)
    landing = land("clickstream", *TEN)
    assert landing.records == 1
    assert landing.waiting == (Waiting(f"2026-11-01/10/{name}", "still being written"),)
    assert landing.manifests[0].waiting == landing.waiting


@pytest.mark.parametrize(
    "name", ["a.json", "a.csv", "a.txt", "part-00000", "a.jsonl.bz2", "a.parquet", "A.JSONL.ZIP", "a.jsonl.1"]
)
def test_another_kind_of_file_waits_and_says_what_to_do(deliver: Deliver, land: Land, name: str):
    deliver(f"2026-11-01/10/{name}", LINE)
    deliver("2026-11-01/10/ok.jsonl", LINE)
    landing = land("clickstream", *TEN)
    assert landing.records == 1
    (left,) = landing.waiting
    assert left.path == f"2026-11-01/10/{name}"
    assert left.reason.startswith("only .jsonl and .ndjson files are read")


@pytest.mark.parametrize(
    "name",
    [
        "_SUCCESS",
        ".DS_Store",
        "README",
        "readme.txt",
        ".a.jsonl.crc",
        "a.jsonl.md5",
        "hour.done",
        "SHA256SUMS",
        "_tmp/x",
    ],
)
def test_what_cannot_be_data_holds_nothing(deliver: Deliver, land: Land, name: str):
    deliver(f"2026-11-01/10/{name}", b"{}")
    deliver("2026-11-01/10/empty", b"")
    (deliver("2026-11-01/10/ok.jsonl", LINE).parent / "empty folder").mkdir()
    landing = land("clickstream", *TEN)
    assert (landing.records, landing.waiting, landing.messages) == (1, (), ())


@pytest.mark.parametrize("name", ["a.ndjson", "A.JSONL", "a.NDJSON.Gz", "b.jsonl.GZ"])
def test_ndjson_and_capitals_are_read(deliver: Deliver, land: Land, name: str):
    deliver(f"2026-11-01/10/{name}", gzip.compress(LINE) if name.lower().endswith("gz") else LINE)
    landing = land("clickstream", *TEN)
    assert (landing.records, landing.waiting) == (1, ())


def test_what_is_no_file_holds_itself_and_not_its_hour(home: Home, deliver: Deliver, land: Land):
    folder = deliver("2026-11-01/10/ok.jsonl", LINE).parent
    deliver("2026-11-01/10/inner/a.jsonl", LINE)
    deliver("2026-11-01/10/_temporary/0/a.jsonl", LINE)
    (folder / "loop.jsonl").symlink_to("loop.jsonl")
    (folder / "nothing.jsonl").symlink_to("nowhere.jsonl")
    (folder / "linked.jsonl").symlink_to("ok.jsonl")
    os.mkfifo(folder / "pipe.jsonl")
    landing = land("clickstream", *TEN)
    assert landing.records == 2
    assert {left.path.removeprefix("2026-11-01/10/"): left.reason.split(":")[0] for left in landing.waiting} == {
        "inner": "a folder within an hour is not read",
        "_temporary": "still being written",
        "loop.jsonl": "too many levels of symbolic links",
        "nothing.jsonl": "a link to nothing",
        "pipe.jsonl": "it is a pipe, a socket or a device, not a file",
    }
    assert land("clickstream", *TEN).new == frozenset()


def test_a_file_without_rights_holds_itself(deliver: Deliver, land: Land, monkeypatch: pytest.MonkeyPatch):
    deliver("2026-11-01/10/a.jsonl", LINE)
    deliver("2026-11-01/10/b.jsonl", LINE)
    opened = Path.open

    def refuse(path: Path, *arguments: object, **more: object) -> object:
        if path.name == "a.jsonl":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    landing = land("clickstream", *TEN)
    assert (landing.records, landing.waiting) == (1, (Waiting("2026-11-01/10/a.jsonl", "permission denied"),))


def test_a_folder_named_like_a_file_and_a_huge_file_hold_themselves(
    home: Home, deliver: Deliver, land: Land, monkeypatch: pytest.MonkeyPatch
):
    """The huge file is a sparse terabyte without a line end; no more than the longest allowed line is read."""
    monkeypatch.setattr(lines, "LONGEST_LINE", 32 << 20)
    deliver("2026-11-01/10/ok.jsonl", LINE)
    deliver("2026-11-01/10/folder.jsonl/a.jsonl", LINE)
    deliver("2026-11-01/11/ok.jsonl", LINE)
    huge = deliver("2026-11-01/10/huge.jsonl", b"")
    with huge.open("r+b") as file:
        file.truncate(1 << 40)
    landing = land("clickstream", "2026-11-01T10:00", "2026-11-01T12:00")
    assert landing.records == 2
    assert {left.path.removeprefix("2026-11-01/10/"): left.reason.split(":")[0] for left in landing.waiting} == {
        "folder.jsonl": "a folder within an hour is not read",
        "huge.jsonl": "a line is longer than 32 MiB",
    }
    assert {manifest.window.start.hour: len(manifest.waiting) for manifest in landing.manifests} == {10: 2, 11: 0}
    assert all(any(left.path in message for message in landing.messages) for left in landing.waiting)


def test_what_the_process_lacks_is_no_fault_of_a_file(deliver: Deliver, land: Land, monkeypatch: pytest.MonkeyPatch):
    """Otherwise every file would be left waiting because of a limit of the process."""
    deliver("2026-11-01/10/a.jsonl", LINE)
    opened = Path.open

    def refuse(path: Path, *arguments: object, **more: object) -> object:
        if path.name == "a.jsonl":
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return opened(path, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(Permanent, match="too many open files"):
        land("clickstream", *TEN)
    monkeypatch.undo()
    assert land("clickstream", *TEN).records == 1


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (
            "2026-11-1/10/a.jsonl",
            "2026-11-1/10 waits: a folder of this name is not read: move its files to 2026-11-01/10",
        ),
        (
            "2026-11-1/9/a.jsonl",
            "2026-11-1/9 waits: a folder of this name is not read: move its files to 2026-11-01/09",
        ),
        (
            "2026-11-01/9/a.jsonl",
            "2026-11-01/9 waits: a folder of this name is not read: move its files to 2026-11-01/09",
        ),
        ("dt=2026-11-01/hour=9/a.jsonl", "dt=2026-11-01/hour=9 waits: a folder of this name is not read"),
        ("20261101/09h/a.jsonl", "20261101/09h waits: a folder of this name is not read"),
        ("2026-11-01/10", "2026-11-01/10 waits: a file where a folder should be is not read"),
        ("2026-11-01/a.jsonl", "2026-11-01/a.jsonl is in no hour's folder: move it to 2026-11-01/HH"),
        ("2026-11-01/noon/a.jsonl", "2026-11-01/noon is in no hour's folder: move it to 2026-11-01/HH"),
        ("2026-11-01/24/a.jsonl", "2026-11-01/24 is in no hour's folder"),
        ("2026-11-1/a.jsonl", "2026-11-1/a.jsonl is in no hour's folder: move it to 2026-11-01/HH"),
        ("a.jsonl", "a.jsonl is in no hour's folder: move it to YYYY-MM-DD/HH"),
        ("2026/11/01/10/a.jsonl", "2026 is not a date: files are read from YYYY-MM-DD/HH"),
        ("2026-02-30/10/a.jsonl", "2026-02-30 is not a date"),
        ("2025-3-4/10/a.jsonl", "2025-3-4 is not read: rename it to 2025-03-04"),
    ],
)
def test_what_lies_in_no_hour_is_named(deliver: Deliver, land: Land, path: str, what: str):
    deliver("2026-11-01/11/ok.jsonl", LINE)
    deliver(path, LINE)
    landing = land("clickstream", *DAY)
    assert landing.records == 1
    (message,) = landing.messages
    assert message.startswith(what)
    assert len(landing.waiting) == (" waits: " in what)
    held = [manifest.window.start.hour for manifest in landing.manifests if manifest.waiting]
    assert held == [10 if "/10" in path else 9 for _ in landing.waiting]
    assert land("clickstream", *DAY).new == frozenset()


def test_an_hour_that_is_named_right_at_last_lands_and_waits_no_more(home: Home, deliver: Deliver, land: Land):
    start = datetime(2100, 1, 1, tzinfo=UTC)
    deliver("2026-11-01/9/a.jsonl", LINE)
    deliver("2026-11-01/10/a.jsonl", LINE)
    assert len(land("clickstream", *DAY, at=start).waiting) == 1
    (home.landing / "2026-11-01/9").rename(home.landing / "2026-11-01/09")
    landing = land("clickstream", *DAY, at=start + timedelta(hours=1))
    assert (landing.records, landing.messages) == (1, ())
    assert still_waiting(bronze.committed(home)) == ()


def test_strays_by_the_thousand_are_a_few_messages(deliver: Deliver, land: Land):
    deliver("2026-11-01/10/a.jsonl", LINE)
    for number in range(50):
        deliver(f"{number}.csv", LINE)
    messages = land("clickstream", *TEN).messages
    assert len(messages) == 21
    assert messages[-1].startswith("and 30 more")


def test_only_the_dates_of_the_run_are_walked(deliver: Deliver, land: Land, monkeypatch: pytest.MonkeyPatch):
    for day in range(1, 31):
        deliver(f"2026-10-{day:02d}/10/a.jsonl", LINE)
    deliver("2026-11-01/10/a.jsonl", LINE)
    walked: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: walked.append(str(folder)) or scandir(folder))
    land("clickstream", *TEN)
    dates = [name.rpartition("/landing/")[2] for name in walked if "/landing/" in name]
    assert [name for name in dates if "/" not in name] == ["2026-10-30", "2026-11-01"]
    assert {name[:10] for name in dates} == {"2026-10-30", "2026-10-31", "2026-11-01"}, (
        "the hours of each date are looked up"
    )


def test_a_plain_file_that_stops_within_a_line_waits_while_it_is_young(deliver: Deliver, land: Land):
    path = deliver("2026-11-01/10/a.jsonl", LINE + b'{"event')
    os.utime(path, (WRITTEN, WRITTEN))
    young = datetime.fromtimestamp(WRITTEN + 1, UTC)
    landing = land("clickstream", *TEN, at=young)
    assert (landing.records, landing.waiting) == (0, (Waiting("2026-11-01/10/a.jsonl", "still being written"),))
    assert land("clickstream", *TEN, at=young + timedelta(minutes=1)).records == 2


def test_a_plain_file_of_whole_lines_lands_at_once(deliver: Deliver, land: Land):
    path = deliver("2026-11-01/10/a.jsonl", LINE)
    os.utime(path, (WRITTEN, WRITTEN))
    assert land("clickstream", *TEN, at=datetime.fromtimestamp(WRITTEN, UTC)).records == 1


def test_an_unreadable_file_waits_and_the_others_land(home: Home, deliver: Deliver, land: Land):
    deliver("2026-11-01/10/a.jsonl", LINE)
    deliver("2026-11-01/10/b.jsonl.gz", gzip.compress(LINE * 1000)[:-4])
    deliver("2026-11-01/10/c.jsonl", LINE)
    landing = land("clickstream", *TEN)
    assert [name for name, _, _ in records(home, landing.manifests)] == [
        "2026-11-01/10/a.jsonl",
        "2026-11-01/10/c.jsonl",
    ]
    assert landing.messages == ("2026-11-01/10/b.jsonl.gz waits: truncated: its compressed data ends too early",)


def test_a_waiting_file_is_said_once_and_settled_when_it_lands_or_goes(home: Home, deliver: Deliver, land: Land):
    whole = gzip.compress(LINE * 1000)
    deliver("2026-11-01/10/a.jsonl.gz", whole[:-4])
    deliver("2026-11-01/10/b.jsonl.tmp", LINE)
    deliver("2026-11-01/10/c.jsonl", LINE)
    start = datetime(2100, 1, 1, tzinfo=UTC)
    assert len(land("clickstream", *TEN, at=start).waiting) == 2
    assert land("clickstream", *TEN, at=start + timedelta(hours=1)).new == frozenset()
    deliver("2026-11-01/10/a.jsonl.gz", whole)
    (home.landing / "2026-11-01/10/b.jsonl.tmp").unlink()
    landing = land("clickstream", *TEN, at=start + timedelta(hours=2))
    assert landing.records == 1000
    assert landing.waiting == still_waiting(bronze.committed(home)) == ()
    (settled,) = (manifest for manifest in landing.manifests if manifest.batch_id in landing.new)
    assert settled.resolved == ("2026-11-01/10/b.jsonl.tmp",)


def test_a_file_that_waits_goes_and_waits_again_still_waits(home: Home, deliver: Deliver, land: Land):
    start = datetime(2100, 1, 1, tzinfo=UTC)
    deliver("2026-11-01/10/ok.jsonl", LINE)
    for hour in range(4):
        path = home.landing / "2026-11-01/10/a.jsonl.tmp"
        path.unlink() if hour % 2 else deliver("2026-11-01/10/a.jsonl.tmp", LINE)
        land("clickstream", *TEN, at=start + timedelta(hours=hour))
        assert len(still_waiting(bronze.committed(home))) == (hour + 1) % 2


def test_a_folder_hour_that_may_not_be_read_waits(
    home: Home, deliver: Deliver, land: Land, monkeypatch: pytest.MonkeyPatch
):
    deliver("2026-11-01/10/a.jsonl", LINE)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(clickstream.os, "scandir", refuse)
    assert Waiting("2026-11-01/10", "permission denied") in land("clickstream", *TEN).waiting


def test_a_name_that_is_no_text_is_written_so_that_it_can_be_read(home: Home, land: Land):
    folder = home.landing / "2026-11-01" / "10"
    folder.mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.jsonl")).write_bytes(LINE)
    assert records(home, land("clickstream", *TEN).manifests) == [("2026-11-01/10/\\xff.jsonl", 1, LINE.decode())]


def test_no_record_at_all_where_some_are_expected_is_an_incident(home: Home, deliver: Deliver, land: Land):
    deliver("2026-11-01/10/a.jsonl.tmp", LINE)
    with pytest.raises(Permanent, match=r"no records of clickstream .* 2026-11-01/10/a.jsonl.tmp waits"):
        land("clickstream", *DAY)
    assert bronze.list_batches(home) == []
    assert land("clickstream", *TEN).records == 0


def test_records_that_came_before_are_enough(home: Home, deliver: Deliver, land: Land):
    path = deliver("2026-11-01/10/a.jsonl", LINE)
    land("clickstream", *DAY)
    path.unlink()
    assert land("clickstream", *DAY).new == frozenset()


def test_without_expectation_an_empty_window_is_fine(home: Home, contracts: dict[str, Contract]):
    relaxed = contracts | {"clickstream": replace(contracts["clickstream"], expect_records_every=None)}
    landing = ingest("clickstream", Window.parse(*DAY), home, datetime(2100, 1, 1, tzinfo=UTC), contracts=relaxed)
    assert [str(one.window) for one in landing.manifests] == ["2026-11-01T00:00:00Z/2026-11-02T00:00:00Z"]


def test_a_missing_landing_folder_is_named(home: Home, land: Land):
    with pytest.raises(Permanent, match="CLICKSTREAM_LANDING"):
        land("clickstream", *DAY, home=Home(home.root, home.landing / "nowhere"))


def test_a_window_within_an_hour_lands_that_hour(deliver: Deliver, land: Land):
    deliver("2026-11-01/10/a.jsonl", LINE)
    landing = land("clickstream", "2026-11-01T10:15", "2026-11-01T10:45")
    assert [str(manifest.window)[:13] for manifest in landing.manifests] == ["2026-11-01T10"]
    assert landing.records == 1


def test_the_run_tells_what_it_does(home: Home, deliver: Deliver, contracts: dict[str, Contract]):
    deliver("2026-11-01/10/a.jsonl", LINE)
    said: list[str] = []
    ingest("clickstream", Window.parse(*TEN), home, datetime(2100, 1, 1, tzinfo=UTC), said.append, contracts)
    assert said == ["clickstream 2026-11-01 10h: 1 records from 1 file(s)"]


def test_a_landing_folder_that_cannot_be_read_is_a_problem(home: Home, contracts: dict[str, Contract]) -> None:
    assert sources.check("clickstream", home, contracts) == []
    home.landing.rmdir()
    (problem,) = sources.check("clickstream", home, contracts)
    assert problem.what == "the landing folder of the clickstream does not exist"
    assert problem.where == str(home.landing) and "CLICKSTREAM_LANDING" in problem.todo
