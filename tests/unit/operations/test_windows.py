"""A window that cannot be intended is refused, with the command to type instead; every other one passes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.window import Window
from operations import windows

NOW = datetime(2026, 11, 26, 5, 40, tzinfo=UTC)
LANDED = Window.parse("2026-11-23", "2026-11-26")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "todo"),
    [
        ("2026-11-27", "2026-11-28", "before that"),
        ("2026-11-26T05:00", "2026-11-26T06:00", "before that"),
        ("2026-11-26", "2026-11-27", "--to 2026-11-26T05:00Z"),
        ("2026-11-20", "2026-11-26T05:41", "--to 2026-11-26T05:00Z"),
    ],
)
def test_what_is_not_over_is_refused(start: str, end: str, todo: str) -> None:
    with pytest.raises(Permanent) as refused:
        windows.check_past(Window.parse(start, end), NOW)
    assert todo in str(refused.value)


def test_what_is_over_is_not(tmp_path: object) -> None:
    windows.check_past(Window.parse("2026-11-26T04:00", "2026-11-26T05:40"), NOW)


def test_a_window_before_every_first_record_is_refused() -> None:
    begins = {"orders": at("2026-11-23T00:10:00"), "clickstream": None}
    with pytest.raises(Permanent) as refused:
        windows.check_begun(Window.parse("2026-11-22", "2026-11-23"), begins)
    assert "orders begins at 2026-11-23T00:10:00Z; clickstream has none" in str(refused.value)
    windows.check_begun(Window.parse("2026-11-22", "2026-11-24"), begins)
    windows.check_begun(Window.parse("2011-01-01", "2011-01-02"), {})


@pytest.mark.parametrize(
    ("start", "end", "days", "whole"),
    [
        ("2026-01-01", "2026-01-02", 325, "--from 2026-01-01 --to 2026-11-23;"),
        ("2026-12-24", "2026-12-25", 28, "--from 2026-11-26 --to 2026-12-25;"),
    ],
)
def test_a_hole_is_told_with_the_window_that_leaves_none(start: str, end: str, days: int, whole: str) -> None:
    with pytest.raises(Permanent) as refused:
        windows.check_near(Window.parse(start, end), LANDED)
    assert f"{days} days without data" in str(refused.value) and whole in str(refused.value)


@pytest.mark.parametrize(
    ("start", "end"), [("2026-11-16", "2026-11-17"), ("2026-11-24", "2026-11-25"), ("2026-01-01", "2026-12-01")]
)
def test_what_touches_or_is_near_passes(start: str, end: str) -> None:
    windows.check_near(Window.parse(start, end), LANDED)
    windows.check_near(Window.parse(start, end), None)


def test_the_first_order_is_found_whatever_else_began_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = Home(tmp_path, tmp_path / "landing")
    (home.landing / "2026-11-02").mkdir(parents=True)
    asked: list[str] = []

    def begins(contract: Contract, _home: Home, _window: Window) -> datetime:
        asked.append(contract.dataset)
        return at("2026-11-03T10:00:00")

    monkeypatch.setattr(windows.database_tables, "begins", begins)
    with pytest.raises(Permanent, match=r"orders begins at 2026-11-03T10:00:00Z; clickstream begins at 2026-11-02"):
        windows.check_place(home, Window.parse("2026-11-01", "2026-11-02"))
    assert asked == ["orders"], "customers are no events"
