"""A history is read in UTC, with its known incidents; what is planted in a copy is told, and the copy is else the same."""

import csv
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bench import histories

FIRST = datetime(2026, 1, 5)
DAYS = 130
BROKEN = range(70, 72)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a CSV of purchases and checkouts by hour, of which most are missing on two days."""
    path = tmp_path / "history.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["at", "bought", "checkouts", "broken"])
        for number in range(24 * DAYS):
            day, hour = divmod(number, 24)
            checkouts = 60 + 10 * min(hour, 23 - hour) + (day * 31 + hour * 17) % 9
            share = 0.29 if day in BROKEN else 0.7
            rows.writerow([FIRST + timedelta(hours=number), round(checkouts * share), checkouts, int(day in BROKEN)])
    return path


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["histories", *arguments])
    histories.main()
    return capsys.readouterr().out.splitlines()


def test_known_and_planted_incidents_are_told_and_nothing_else(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ("--time", "at", "--count", "bought", "--per", "checkouts", "--label", "broken")
    known, *planted = run(monkeypatch, capsys, str(file), *columns, "--planted", "1")
    assert known.startswith("130 days: 1 of 1 known incidents told; alerts on 2 days, 0 of them without")
    assert len(planted) >= 4
    assert all("1 of 1 told" in line and "0 false days" in line for line in planted)


def test_times_without_a_zone_are_in_the_one_that_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    windows = file.with_name("incidents.csv")
    windows.write_text("start,end\n2026-03-16T00:00,2026-03-18T00:00\n")
    found = run(
        monkeypatch,
        capsys,
        *(str(file), "--time", "at", "--count", "bought", "--zone", "America/New_York"),
        *("--incidents", str(windows), "--verbose"),
    )
    assert "  told   2026-03-16 04:00 to 2026-03-18 03:00" in found
