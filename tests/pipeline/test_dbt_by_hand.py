"""Run dbt by hand with the defaults: models, tests and unit tests in a separate file for given dates; source freshness."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb

from ingestion.contract import PROJECT
from ingestion.home import Home
from tests.pipeline.copies import copied


def dbt(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    places = ["--target-path", str(home.root / "target"), "--log-path", str(home.root), "--no-use-colors"]
    return subprocess.run(
        [Path(sys.executable).with_name("dbt"), *arguments, *places],
        cwd=PROJECT,
        env={**os.environ, "CLEARWELL_HOME": str(home.root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_builds_gold_of_some_dates_from_bronze_and_never_touches_the_state(second_day: Home, tmp_path: Path) -> None:
    home = copied(second_day, tmp_path / "home")
    home.state.unlink()
    done = dbt(home, "build", "--vars", "{from: 2026-11-01, to: 2026-11-02}")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "revenue_follows_the_money_rules" in done.stdout
    with duckdb.connect(str(home.root / "dev.duckdb"), read_only=True) as dev:
        found = dev.sql("select sum(net_amount) from gold.daily_revenue").fetchone()
        lines = dev.sql("select sum(line_amount) from silver.order_items where is_counted").fetchone()
        windows = dev.sql("select distinct window_date from plan.batches").fetchall()
    assert found and found == lines and found[0] > 0
    assert windows == [(date(2026, 11, 1),)]
    assert not home.state.exists()

    bad = dbt(home, "run", "-s", "plan_batches", "--vars", "{from: '2026-11-31'}")
    assert bad.returncode == 1
    assert "--vars: from is '2026-11-31', which is not a date. Next: --vars '{from: 2026-01-01" in bad.stdout

    fresh = dbt(home, "source", "freshness")
    assert fresh.returncode == 0, fresh.stdout[-3000:]
    for dataset in ("orders", "clickstream", "exchange_rates"):
        assert f"freshness of bronze.{dataset} " in fresh.stdout
    assert "ERROR" not in fresh.stdout
