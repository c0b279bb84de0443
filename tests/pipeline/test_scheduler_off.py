"""A scheduler that was off lands what it missed once it is started again."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo import simulate
from ingestion import sources
from ingestion.contract import read_contracts
from ingestion.home import Home
from ingestion.window import HOUR, Window
from operations import airflow

LIMIT_SECONDS = 900.0


@pytest.mark.long
def test_off_for_three_days_and_then_for_six_hours(shop: Home, tmp_path: Path) -> None:
    """The scheduler was off for three days, on for two hours and off for six, and is started now."""
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    simulate.simulate(
        shop,
        hour.date() - timedelta(days=5),
        hour.date() + timedelta(days=1),
        orders_per_day=60,
        events_per_day=2000,
    )
    home = Home(tmp_path / "home", shop.landing, shop.database_url())
    contracts = read_contracts()
    for hours_ago in ((96, 80), (8, 6)):
        first, last = (hour - HOUR * one for one in hours_ago)
        for source in sources.SOURCES:
            sources.ingest(source, Window(first, last), home, now)

    def missed(*names: str) -> list[Window]:
        return [one for source in names for one in sources.missed(source, hour, home, contracts)]

    assert sum(one.length / HOUR for one in missed("orders")) == 72 + 6
    # fewer hours of files: the ingest in between also looked for late ones
    assert sum(one.length / HOUR for one in missed("clickstream")) > 6
    try:
        airflow.start(home)
        airflow.unpause(home, [f"ingest_{source}" for source in sources.SOURCES])
        until = time.monotonic() + LIMIT_SECONDS
        while left := missed("orders", "clickstream"):
            assert time.monotonic() < until, left
            time.sleep(1)
        airflow.wait(home, before=now.date() + timedelta(days=1), builds=False, patience=LIMIT_SECONDS)
    finally:
        airflow.stop(home)
