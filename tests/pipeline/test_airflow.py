"""A real scheduler takes a backfill of the messy shop to the published file, while a reader polls it."""

import threading
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from demo import simulate
from ingestion.home import Home
from operations import airflow, ledger
from tests.pipeline import truth


class Reader(threading.Thread):
    """Ask the published file again and again for two numbers that agree in every whole version."""

    def __init__(self, home: Home) -> None:
        super().__init__(daemon=True)
        self.home, self.over, self.wrong, self.answers = home, threading.Event(), [], 0

    def run(self) -> None:
        while not self.over.wait(0.2):
            if self.home.published.exists():
                try:
                    with duckdb.connect(str(self.home.published), read_only=True) as published:
                        row = published.sql(
                            "select (select sum(orders) from gold.daily_revenue), (select sum(orders) from gold.hourly_revenue)"
                        ).fetchone()
                    self.answers += 1
                    if row is None or row[0] != row[1]:
                        self.wrong.append(str(row))
                except duckdb.Error as error:
                    self.wrong.append(str(error))


@pytest.mark.long
def test_a_backfill_through_the_scheduler_ends_in_the_truth(shop: Home) -> None:
    # The scheduler adds its own run of yesterday, which has to find a day of the shop as well.
    last = datetime.now(UTC).date()
    first = last - timedelta(days=2)
    simulate.simulate(shop, first, last, orders_per_day=100, events_per_day=2000)
    reader = Reader(shop)
    reader.start()
    try:
        airflow.start(shop)
        airflow.backfill(shop, "sweep_sources", first, last)
        airflow.unpause(shop, ["sweep_sources"])
        airflow.unpause(shop, ["build_warehouse"])
        airflow.wait(shop, patience=400)
    finally:
        airflow.stop(shop)
        reader.over.set()
        reader.join()
    assert truth.differences(shop) == []
    assert ledger.recount(shop) == ([], True)
    assert reader.wrong == [] and reader.answers > 0
    assert airflow.read(shop) is None
