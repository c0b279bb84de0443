"""Files that several windows read whole land once, as long as they do not change, and no row of them gets lost."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingestion import bronze, sources
from ingestion.contract import Contract, read_contract
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.window import Window

CONTRACT = """
sources:
  - name: bronze
    tables:
      - name: partners
        config: {meta: {contract_version: 1, source: partners, format: rows, key: [id], cadence: 1 day, lateness: 2 days,
                 owner: us, location: here.csv}}
        columns: [{name: id, data_type: varchar}, {name: city, data_type: varchar}, {name: file_time, data_type: timestamp}]
"""
NOW = datetime(2100, 1, 1, tzinfo=UTC)
DAYS = [Window.parse(f"2026-11-{day:02d}", f"2026-11-{day + 1:02d}") for day in range(1, 5)]
LAST, FIRST = Window.parse("2026-11-30", "2026-12-01"), Window.parse("2026-12-01", "2026-12-02")


@pytest.fixture
def partners(tmp_path: Path) -> Callable[..., Contract]:
    def made(location: str, **more: object) -> Contract:
        path = tmp_path / "staging_partners.yml"
        path.write_text(CONTRACT)
        found = read_contract(path)
        settings = replace(found.settings, location=f"{tmp_path}/{location}")
        return replace(found, settings=settings, **more)  # type: ignore[arg-type]

    return made


def land(home: Home, contract: Contract, window: Window) -> Landing:
    return sources.ingest("partners", window, home, NOW, contracts={contract.dataset: contract})


def ids(home: Home, landing: Landing) -> list[str]:
    found = [pq.read_table(path).to_pylist() for path in bronze.parquet_files(home, landing.manifests[0])]
    return [row["id"] for part in found for row in part]


def put(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (0, 0))


def test_a_file_a_month_lands_once_in_the_first_window_that_reads_it(
    home: Home, tmp_path: Path, partners: Callable[..., Contract]
) -> None:
    put(tmp_path, "2026-11.csv", "id,city\na,Bern\nb,Rome\n")
    put(tmp_path, "2026-12.csv", "id,city\na,Bern\nb,Rome\n")
    contract = partners("{year}-{month}.csv")
    first = land(home, contract, DAYS[0])
    assert ids(home, first) == ["a", "b"]
    for window in (*DAYS[1:], LAST):
        landing = land(home, contract, window)
        reading = landing.manifests[0].reading
        assert landing.records == 0 and reading and (reading.read, reading.landed_before) == (2, 2)
        assert "of 2 rows read, 2 landed before, and their files are unchanged" in landing.messages[0]
    # The same rows of another month are other records. November is read too, for lateness.
    assert land(home, contract, FIRST).records == 2
    # Each window lands its own again as the same batch.
    for window in (*DAYS, LAST, FIRST):
        assert not land(home, contract, window).new


def test_a_file_that_changes_lands_again_as_it_is_then(
    home: Home, tmp_path: Path, partners: Callable[..., Contract]
) -> None:
    contract = partners("all/*.csv")
    put(tmp_path, "all/a.csv", "id,city\na,Bern\n")
    put(tmp_path, "all/b.csv", "id,city\nb,Rome\n")
    assert ids(home, land(home, contract, DAYS[0])) == ["a", "b"]
    put(tmp_path, "all/b.csv", "id,city\nb,Oslo\nc,Rome\n")
    assert ids(home, land(home, contract, DAYS[1])) == ["b", "c"]
    # The same rows under other names are no change, and other names of their columns are one.
    put(tmp_path, "all/a.csv", "id,town\na,Bern\n")
    (tmp_path / "all" / "b.csv").rename(tmp_path / "all" / "x.csv")
    assert ids(home, land(home, contract, DAYS[2])) == ["a"]


def test_a_file_that_gives_its_rows_their_version_lands_again_with_each_edition(
    home: Home, tmp_path: Path, partners: Callable[..., Contract]
) -> None:
    contract = partners("all.csv", version_column="file_time")
    put(tmp_path, "all.csv", "id,city\na,Bern\n")
    assert [land(home, contract, window).records for window in DAYS[:2]] == [1, 0]
    os.utime(tmp_path / "all.csv", (86_400, 86_400))
    assert [land(home, contract, window).records for window in DAYS[2:]] == [1, 0]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_in_any_order_of_windows_each_row_lands_once(
    home: Home, tmp_path: Path, partners: Callable[..., Contract], order: tuple[int, ...]
) -> None:
    put(tmp_path, "2026-11.csv", "id,city\na,Bern\n,\nragged\n")
    contract = partners("{year}-{month}.csv")
    assert [land(home, contract, DAYS[place]).records for place in order] == [3, 0, 0]


def test_a_file_a_day_of_an_hourly_source_lands_once_also_in_the_nightly_sweep(
    home: Home, tmp_path: Path, partners: Callable[..., Contract]
) -> None:
    put(tmp_path, "2026-11-01.csv", "id,city\na,Bern\n")
    contract = partners("{date}.csv", cadence=timedelta(hours=1))
    hours = [Window.parse(f"2026-11-01T{hour:02d}:00", f"2026-11-01T{hour + 1:02d}:00") for hour in range(3)]
    assert [land(home, contract, window).records for window in (*hours, DAYS[0])] == [1, 0, 0, 0]
    put(tmp_path, "2026-11-01.csv", "id,city\na,Bern\nb,Rome\n")
    assert ids(home, land(home, contract, DAYS[0])) == ["a", "b"]


def test_files_of_a_day_each_belong_to_their_own_window(
    home: Home, tmp_path: Path, partners: Callable[..., Contract]
) -> None:
    """Of days with the same content, each lands: a row may be dated by the window that it came with."""
    contract = partners("{date}.csv")
    for window in DAYS:
        put(tmp_path, f"{window.date}.csv", "id,city\na,Bern\n")
        assert land(home, contract, window).records == 1


def test_what_a_killed_run_left_of_a_snapshot_counts_for_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, partners: Callable[..., Contract]
) -> None:
    """No build sees a batch whose snapshot is not all there: its rows must land with another window."""
    put(tmp_path, "all.csv", "id,city\na,Bern\n")
    contract = partners("all.csv")
    both = {"partners": contract, "people": replace(contract, dataset="people")}
    commit, calls = bronze.commit, []

    def killed(*given: object) -> object:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return commit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(bronze, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        sources.ingest("partners", DAYS[0], home, NOW, contracts=both)
    assert len(bronze.list_batches(home)) == 1 and bronze.committed(home) == []
    assert sources.ingest("partners", DAYS[1], home, NOW, contracts=both).records == 2
    assert sources.ingest("partners", DAYS[2], home, NOW, contracts=both).records == 0


def test_a_window_in_which_nothing_is_new_is_no_silence(
    home: Home, tmp_path: Path, partners: Callable[..., Contract]
) -> None:
    put(tmp_path, "all.csv", "id,city\na,Bern\n")
    contract = partners("all.csv", expect_records_every=timedelta(days=1))
    assert [land(home, contract, window).records for window in DAYS[:2]] == [1, 0]
    put(tmp_path, "all.csv", "id,city\n")
    with pytest.raises(Permanent, match="no records of partners"):
        land(home, contract, DAYS[2])
