"""`dbt build`, typed by hand with the defaults: models, tests and unit tests, into a file of its own."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from demo import simulate
from ingestion import sources
from ingestion.contract import PROJECT
from ingestion.home import Home
from ingestion.window import Window


def test_it_builds_gold_from_bronze_and_never_touches_the_state(shop: Home) -> None:
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 2), orders_per_day=40, events_per_day=500)
    for source in sources.SOURCES:
        sources.ingest(source, Window.parse("2026-11-01", "2026-11-02"), shop, datetime(2026, 11, 20, tzinfo=UTC))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("dbt"),
            "build",
            "--target-path",
            shop.root / "target",
            "--log-path",
            shop.root,
        ],
        cwd=PROJECT,
        env={**os.environ, "CLEARWELL_HOME": str(shop.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "revenue_follows_the_money_rules" in done.stdout
    with duckdb.connect(str(shop.root / "dev.duckdb"), read_only=True) as dev:
        found = dev.sql("select sum(net_amount) from gold.daily_revenue").fetchone()
        lines = dev.sql("select sum(line_amount) from silver.order_items where is_counted").fetchone()
    assert found and found == lines and found[0] > 0
    assert not shop.state.exists()
