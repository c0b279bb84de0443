"""A build on Spark is killed, or its Java process is: the next build ends as if nothing had happened, and nothing is left behind."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from ingestion.home import Home
from operations import hashes
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from tests.pipeline.test_any_order import make_shop
from warehouse import exchange
from warehouse.build import Request, build
from warehouse.engines import SPARK

pytestmark = pytest.mark.spark

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PATIENCE_SECONDS = 300
TABLES = "*/spark/tables/*/*/*.parquet"


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes(home: Home, name: str = "") -> list[int]:
    """Return the processes whose command line names the home, and a program."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                command = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(home.root) in command and name in command.split("\0")[0]:
                found.append(int(folder.name))
    return found


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Home]]:
    """Two homes in which the same is to be built: undisturbed by DuckDB, and on Spark."""
    root = tmp_path_factory.mktemp("killed")
    home, shop = Home(root / "one", root / "landing"), make_shop(20261102)
    for dataset, columns, rows in (("orders", ORDER, shop.orders), ("order_items", LINE, shop.lines)):
        land_rows(home, dataset, columns, rows, NOW)
    land_lines(home, datetime(2026, 11, 3, tzinfo=UTC), shop.events[::2], NOW)
    build(home, Request(), NOW)
    land_rows(home, "orders", ORDER, shop.restored, NOW.replace(hour=13))
    land_lines(home, datetime(2026, 11, 3, 5, tzinfo=UTC), random.Random(1).sample(shop.events, 5), NOW)
    other = Home(root / "two", root / "landing")
    shutil.copytree(home.root, other.root)
    build(home, Request(), NOW.replace(hour=13))
    yield home, other
    eventually(lambda: not processes(other))


def start(home: Home, place: Path | None = None) -> "subprocess.Popen[bytes]":
    """Start a build on Spark, and wait until Spark has made a table of it, besides those that a killed build left.

    `place` is where it exchanges files with Spark, if Spark does not see the home.
    """
    tables = partial(place.glob, f"*/builds/{TABLES}") if place else partial(home.builds.glob, TABLES)
    left = {*tables()}
    process = subprocess.Popen(
        [sys.executable, "-c", "from cli.main import main; main()", "build", "--engine", "spark"],
        env={
            **os.environ,
            "CLEARWELL_HOME": str(home.root),
            "CLICKSTREAM_LANDING": str(home.landing),
            exchange.PLACE: str(place or ""),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    eventually(lambda: process.poll() is not None or {*tables()} - left)
    assert process.poll() is None, process.communicate()[0].decode()
    return process


def test_the_builder_is_killed(homes: tuple[Home, Home]) -> None:
    home = homes[1]
    before = hashes.read(home)
    process = start(home)
    assert processes(home, "java")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    eventually(lambda: not processes(home))
    assert hashes.read(home) == before


def test_what_a_killed_builder_left_for_spark_is_removed_and_ctrl_c_leaves_nothing(
    homes: tuple[Home, Home], tmp_path: Path
) -> None:
    home = homes[1]
    process = start(home, tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    eventually(lambda: not processes(home))
    left = files(tmp_path)
    assert any("/bronze/" in str(path) for path in left)
    theirs = {path for path in left if "/builds/" in str(path)}
    process = start(home, tmp_path)
    assert theirs and not theirs & files(tmp_path)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=PATIENCE_SECONDS)[0].decode()
    assert "stopped; the same command goes on from here" in said, said
    eventually(lambda: not processes(home))
    assert files(tmp_path) == set()


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_spark_is_killed(homes: tuple[Home, Home]) -> None:
    home = homes[1]
    before = hashes.read(home)
    process = start(home)
    (java,) = processes(home, "java")
    os.kill(java, signal.SIGKILL)
    said = process.communicate(timeout=PATIENCE_SECONDS)[0].decode()
    assert process.returncode and "Spark ended in the middle of a build" in said, said
    assert "run the same command again" in said
    assert not processes(home) and hashes.read(home) == before


def test_the_next_build_is_as_if_nothing_had_happened(homes: tuple[Home, Home]) -> None:
    undisturbed, home = homes
    build(home, Request(engine=SPARK), NOW.replace(hour=14))
    assert hashes.read(home) == hashes.read(undisturbed)
    assert not processes(home)
    assert [*home.builds.glob("*/spark")] == []
