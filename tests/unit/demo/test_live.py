"""Simulating the shop minute by minute gives the same data as simulating whole days."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from demo import live, postgres, simulate
from ingestion.home import Home


class Enough(Exception):
    """Time is up."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "Day", lambda day: simulate.Day(day, 1, 40, 400))


def pass_time(home: Home, *moments: datetime) -> list[str]:
    """Run the shop at these moments, then stop it."""
    clock = iter(moments)
    pauses = iter(moments)
    told: list[str] = []
    next(pauses)

    def sleep(_seconds: float) -> None:
        if next(pauses, None) is None:
            raise Enough

    with pytest.raises(Enough):
        live.run(home, lambda: next(clock), sleep, told.append)
    return told


def seen(home: Home) -> tuple[dict[str, object], dict[str, bytes], list[tuple[object, ...]]]:
    files = {str(path.relative_to(home.landing)): path.read_bytes() for path in home.landing.rglob("*.jsonl*")}
    with psycopg.connect(home.database_url()) as shop:
        rows = [
            row
            for table in ("customers", "orders", "order_items")
            for row in shop.execute(f"select {table}::text from shop.{table} order by 1").fetchall()
        ]
    return json.loads((home.shop / "truth.json").read_text()), files, rows


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path, tmp_path / "landing")
    postgres.start(home)
    yield home
    postgres.stop(home)


def test_what_passes_by_and_by_is_what_whole_days_are(shop: Home, other: Home) -> None:
    first = datetime(2026, 11, 1, 9, 40, tzinfo=UTC)
    steps = [first, first + timedelta(minutes=1), first + timedelta(hours=7), first + timedelta(hours=14)]
    pass_time(shop, *steps)
    assert max(path.parts[-2] for path in (shop.landing / "2026-11-01").rglob("*.jsonl*")) == "22"
    assert not list((shop.landing / "2026-11-02").rglob("*.jsonl*"))
    # this includes a whole day on which nothing ran
    pass_time(shop, datetime(2026, 11, 3, 0, 0, 30, tzinfo=UTC))

    simulate.open_days(other, [simulate.Day(first.date() + timedelta(days=n), 1, 40, 400) for n in range(3)])
    simulate.advance(other, datetime(2026, 11, 3, 0, 0, 30, tzinfo=UTC))
    assert seen(shop) == seen(other)


def test_a_database_that_is_away_is_waited_for(other: Home) -> None:
    start = datetime(2026, 11, 1, 1, tzinfo=UTC)
    gone = Home(other.root, other.landing, "postgresql://postgres@127.0.0.1:1/postgres")
    assert "did not answer" in pass_time(gone, start)[-1]
    assert "is at" in pass_time(other, start)[-1]
