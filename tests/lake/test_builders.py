"""Three machines build different dates in one lake at once: the lake ends as a file in which one machine builds all of it."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.contract import PROJECT
from ingestion.home import Home
from operations import hashes, ledger
from tests.lake.conftest import Use, shared
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from tests.pipeline.test_any_order import make_shop
from warehouse import lakehouse
from warehouse.build import Request, build

pytestmark = pytest.mark.lake

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RANGES = (("2026-11-01", "2026-11-02"), ("2026-11-02", "2026-11-03"), ("2026-11-03", "2026-11-06"))
PATIENCE_SECONDS = 1800


def start(home: Home, start: str, end: str) -> "subprocess.Popen[str]":
    arguments = ["build", "--from", start, "--to", end, "--reason", f"from {start}"]
    return subprocess.Popen(
        [sys.executable, "-c", "from cli.main import main; main()", *arguments],
        cwd=PROJECT.parent,
        env={**os.environ, "CLEARWELL_HOME": str(home.root), "CLICKSTREAM_LANDING": str(home.landing)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_three_builders_at_once(tmp_path: Path, use: Use) -> None:
    shop, home = make_shop(7), Home(tmp_path / "file", tmp_path / "landing")
    for dataset, columns, rows in (("orders", ORDER, shop.orders), ("order_items", LINE, shop.lines)):
        land_rows(home, dataset, columns, rows, NOW)
    land_lines(home, datetime(2026, 11, 3, tzinfo=UTC), shop.events, NOW)
    machines = [shared(home, tmp_path / f"machine-{number}") for number in range(len(RANGES))]
    for machine in machines:
        use(machine, "")
    build(machines[0], Request(), NOW)
    # what is new is in one of the three builds, and in no other
    land_rows(home, "orders", ORDER, shop.restored, NOW)
    processes = [start(machine, *dates) for machine, dates in zip(machines, RANGES, strict=True)]
    said = [process.communicate(timeout=PATIENCE_SECONDS)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert sum("planning again" in one for one in said) >= 2, said

    assert len(lakehouse.builds(machines[0].state)) == 1 + len(RANGES)
    # the same records in a file, built once
    build(home, Request(), NOW)
    assert [hashes.read(machine) for machine in machines] == [hashes.read(home)] * len(machines)
    assert ledger.recount(machines[1]) == ([], True)
