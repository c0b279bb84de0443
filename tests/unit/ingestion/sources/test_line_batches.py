"""Batches of lines, from files that are only said to be there: what is known, what waits, what is told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion import bronze
from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Run
from ingestion.manifest import Manifest, Waiting
from ingestion.sources.line_batches import Batches, LineBatch
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
    def do(*names: str, window: Window = WINDOW, earlier: Sequence[Manifest] = (), every: bool = False) -> Batches:
        contract = CONTRACT if every else replace(CONTRACT, expect_records_every=None)
        batches = Batches(replace(run, window=window), contract, "here")
        batch = Given(run, contract, window, earlier, earlier, tmp_path, names)
        batches.land(window, earlier, batch.stage)
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
    with pytest.raises(Permanent, match="2 lines were read but 1 were written"):
        land("a")
    assert bronze.list_batches(home) == []
