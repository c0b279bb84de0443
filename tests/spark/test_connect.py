"""What is new is built at a Spark Connect server, with the same hash as by DuckDB."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.home import Home
from operations import hashes
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from tests.pipeline.test_any_order import make_shop
from tests.spark.servers import free_port, wait_for
from warehouse import java, spark
from warehouse.build import Request, build
from warehouse.engines import SPARK

pytestmark = pytest.mark.spark

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PATIENCE_SECONDS = 300


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Start pyspark's own server, and yield its address."""
    port = free_port()
    (pyspark,) = spark.python().parent.parent.glob("lib/python*/site-packages/pyspark")
    settings = {"spark.connect.grpc.binding.address": "127.0.0.1", "spark.connect.grpc.binding.port": port}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(pyspark / "sbin" / "start-connect-server.sh", "--wait"),
                *(text for name, value in settings.items() for text in ("--conf", f"{name}={value}")),
            ],
            env={
                **os.environ,
                **java.settings(spark.python().parent.parent, tmp_path / "java"),
                "SPARK_LOCAL_DIRS": str(tmp_path),
                "SPARK_LOG_DIR": str(tmp_path),
                "TMPDIR": str(tmp_path),
            },
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wait_for(process, port, PATIENCE_SECONDS)
        assert process.poll() is None, (tmp_path / "server.log").read_text()
        yield f"sc://127.0.0.1:{port}"
        os.killpg(process.pid, 15)
        process.wait(PATIENCE_SECONDS)


def test_what_is_new_is_built_at_a_server(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, shop = Home(tmp_path / "one", tmp_path / "landing"), make_shop(20261103)
    other = Home(tmp_path / "two", home.landing)
    monkeypatch.setenv(spark.SERVER, server)
    said: list[str] = []
    for hour in (12, 13):
        at = NOW.replace(hour=hour)
        for dataset, columns, rows in (("orders", ORDER, shop.orders), ("order_items", LINE, shop.lines)):
            land_rows(home, dataset, columns, rows[hour % 2 :: 2], at)
        land_lines(home, datetime(2026, 11, 3, hour, tzinfo=UTC), shop.events[hour % 2 :: 2], NOW)
        if hour == NOW.hour:
            build(home, Request(), at)
            shutil.copytree(home.root, other.root)
    shutil.copytree(home.root / "bronze", other.root / "bronze", dirs_exist_ok=True)
    build(home, Request(), at)
    build(other, Request(engine=SPARK), at, said.append)
    assert hashes.read(home) == hashes.read(other)
    assert [*other.builds.glob("*/spark")] == []
    assert f"transform: Spark runs at {server}" in said
