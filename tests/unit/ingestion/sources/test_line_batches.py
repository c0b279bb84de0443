"""Batches of lines, from files that are only said to be there: what is known, what waits, what is told."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest

from ingestion import bronze
from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Run
from ingestion.manifest import Manifest, Waiting
from ingestion.sources import line_batches
from ingestion.sources.line_batches import Batches, LineBatch, Upcoming
from ingestion.sources.lines import LineFile, Unreadable
from ingestion.window import Window

WINDOW = Window.parse("2026-11-01T10:00", "2026-11-01T11:00")
CONTRACT = read_contracts()["clickstream"]


@dataclass(frozen=True)
class Given(LineBatch[str]):
    """Files of a folder by name; one named `bad` cannot be read, and one named `gone` is gone meanwhile."""

    folder: Path
    names: Sequence[str]

    def _look(self) -> tuple[list[str], list[Waiting]]:
        return list(self.names), []

    def _open(self, item: str) -> LineFile:
        if item in ("bad", "gone"):
            raise Unreadable("it is odd")
        return LineFile(self.folder / item, "plain")

    def _size(self, item: str) -> int:
        return (self.folder / item).stat().st_size if (self.folder / item).exists() else 0

    def _name(self, item: str) -> str:
        return f"in/{item}"

    def _is_there(self, item: str) -> bool:
        return item != "gone"


@pytest.fixture
def run(home: Home) -> Run:
    return Run(WINDOW, home, {}, datetime(2100, 1, 1, tzinfo=UTC))


Do = Callable[..., Batches]


@pytest.fixture
def land(run: Run, tmp_path: Path) -> Do:
    def do(
        *names: str,
        window: Window = WINDOW,
        earlier: Sequence[Manifest] = (),
        every: bool = False,
        if_quiet: bool = False,
    ) -> Batches:
        contract = CONTRACT if every else replace(CONTRACT, expect_records_every=None)
        with Upcoming() as upcoming:
            batches = Batches(replace(run, window=window), contract, "here", upcoming)
            is_landed = batches.land(Given.of(run, contract, window, earlier, tmp_path, names), if_quiet=if_quiet)
        assert is_landed or if_quiet
        batches.expect_records()
        return batches

    return do


def test_what_cannot_be_read_waits_unless_it_is_gone(land: Do, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n2\n")
    landing = land("a", "bad", "gone").landing()
    (manifest,) = landing.manifests
    assert [(one.path, one.records) for one in manifest.inputs] == [("in/a", 2)]
    assert landing.waiting == (Waiting("in/bad", "it is odd"),) and landing.messages == ("in/bad waits: it is odd",)


def test_a_file_is_known_by_its_content_and_settled_when_it_lands(land: Do, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    first = land("a", "bad").landing()
    assert land("a", "bad", earlier=first.manifests).landing().new == frozenset()
    (tmp_path / "a").write_bytes(b"2\n")
    second = land("a", earlier=first.manifests).landing()
    (manifest,) = (one for one in second.manifests if one.batch_id in second.new)
    assert manifest.records_written == 1 and manifest.resolved == ("in/bad",)


@dataclass(frozen=True)
class Ahead(Given):
    """The same files, of which some are read before their turn."""

    def _open_ahead(self, item: str) -> LineFile | None:
        return LineFile(self.folder / item, "plain") if item not in ("bad", "gone", "in turn") else None


def test_files_read_before_their_turn_land_as_they_would_without(run: Run, tmp_path: Path) -> None:
    names = ("a", "bad", "c", "in turn", "e", "empty")
    for name in names:
        (tmp_path / name).write_bytes(f"{name}\n".encode() * 3 if name != "empty" else b"")
    landed = []
    for kind in (Given, Ahead):
        with Upcoming() as upcoming, TemporaryDirectory() as other:
            home = Home(Path(other), tmp_path)
            batches = Batches(replace(run, home=home), CONTRACT, "here", upcoming)
            batches.land(kind.of(batches.run, CONTRACT, WINDOW, [], tmp_path, names))
            (manifest,) = batches.manifests.values()
            rows = [pq.read_table(path).to_pylist() for path in bronze.parquet_files(home, manifest)]
            landed.append((manifest, rows))
    assert landed[0] == landed[1]
    assert [one.path for one in landed[0][0].inputs] == ["in/a", "in/c", "in/in turn", "in/e", "in/empty"]
    assert not [one for one in threading.enumerate() if one.name.startswith("read-ahead")]


def test_a_file_that_is_not_wanted_or_has_changed_is_not_taken(tmp_path: Path) -> None:
    def content(file: LineFile | None) -> list[str] | None:
        return file and [line for table in file.tables("x") for line in table["raw"].to_pylist()]

    with Upcoming() as upcoming:
        for name in "abcd":
            (tmp_path / name).write_text(f"{name}\n")
            upcoming.add(name, LineFile(tmp_path / name, "plain"))
        assert content(upcoming.take("b")) == ["b\n"]
        assert "a" not in upcoming and upcoming.take("a") is None and upcoming.take("b") is None
        (tmp_path / "d").unlink()
        assert content(upcoming.take("c")) == ["c\n"]
        with pytest.raises(Unreadable, match="it is gone"):
            content(upcoming.take("d") or LineFile(tmp_path / "d", "plain"))


def test_an_empty_window_lands_unless_records_are_expected(home: Home, land: Do) -> None:
    day = Window.parse("2026-11-01", "2026-11-02")
    with pytest.raises(Permanent, match=r"no records of clickstream .* in/bad waits: it is odd"):
        land("bad", window=day, every=True)
    assert bronze.list_batches(home) == []
    assert [one.records_written for one in land().landing().manifests] == [0]


def test_a_line_that_gets_lost_stops_the_landing(
    home: Home, land: Do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"1\n2\n")
    tables = LineFile.tables
    monkeypatch.setattr(LineFile, "tables", lambda file, name: (one.slice(1) for one in tables(file, name)))
    with pytest.raises(Permanent, match="2 records were read but 1 were written"):
        land("a")
    assert bronze.list_batches(home) == []


DAY = Window.parse("2026-11-01", "2026-11-02")


def hours_of(land: Do, first: int, last: int) -> list[Manifest]:
    return [one for hour in DAY.hours()[first:last] for one in land(window=hour).landing().manifests]


def test_a_quiet_day_that_has_not_landed_is_one_batch(land: Do, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n2\n")
    (manifest,) = land("a", window=DAY, if_quiet=True).landing().manifests
    assert (manifest.window, manifest.records_written) == (DAY, 2)
    # an hour of it is held by it
    assert land("a", window=WINDOW, earlier=[manifest]).landing().manifests == (manifest,)
    (tmp_path / "late").write_bytes(b"3\n")
    late = land("late", window=WINDOW, earlier=[manifest]).landing()
    assert [(one.window, one.records_written) for one in late.manifests] == [(WINDOW, 1), (DAY, 2)][::-1]
    # a day that is lost lands again as it was, whatever came later
    lost = [one for one in late.manifests if one.window == WINDOW]
    assert [
        one.batch_id
        for one in land("a", window=DAY, earlier=lost, if_quiet=True).landing().manifests
        if one.window == DAY
    ] == [manifest.batch_id]


def test_a_day_is_landed_by_the_hour_if_it_has_much_or_something_waits_or_most_of_it_landed(
    land: Do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"1\n2\n")
    assert land("a", "bad", window=DAY, if_quiet=True).manifests == {}
    assert land("a", window=DAY, earlier=hours_of(land, 0, 12), if_quiet=True).new == set()
    assert land("a", window=DAY, earlier=land("bad").landing().manifests, if_quiet=True).new == set()
    monkeypatch.setattr(line_batches, "QUIET_DAY_BYTES", 3)
    assert land("a", window=DAY, if_quiet=True).new == set()
