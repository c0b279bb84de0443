"""Where one visitor has most of the events, and Spark has too little memory and writes to disk, the tables are the same."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.engines import read
from ingestion.home import Home
from operations import hashes
from tests.pipeline.delivery import land_lines
from warehouse.build import Request, build
from warehouse.engines import SPARK

pytestmark = pytest.mark.spark

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
EVENTS, OTHERS = 20_000, 500
# Sorts and windows write to disk after so many rows.
FEW_ROWS = 2_000
SETTINGS = """
spark.shuffle.spill.numElementsForceSpillThreshold {rows}
spark.sql.windowExec.buffer.in.memory.threshold {rows}
spark.sql.windowExec.buffer.spill.threshold {rows}
spark.sql.sortMergeJoinExec.buffer.in.memory.threshold {rows}
spark.sql.sortMergeJoinExec.buffer.spill.threshold {rows}
spark.sql.autoBroadcastJoinThreshold -1
spark.sql.shuffle.partitions 4
spark.eventLog.enabled true
spark.eventLog.compress false
spark.eventLog.dir file://{events}
"""


def event(number: int) -> str:
    at = FIRST + timedelta(seconds=number * 7 % (3 * 86_400))
    visitor = "busy" if number < EVENTS else f"v{number % 50}"
    body = {"event_id": f"e{number}", "event_type": "page_view", "event_time": at.isoformat(), "visitor_id": visitor}
    return json.dumps(body)


def test_one_visitor_has_most_of_the_events_and_spark_spills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, other = Home(tmp_path / "one", tmp_path / "landing"), Home(tmp_path / "two", tmp_path / "landing")
    land_lines(home, FIRST + timedelta(days=3), [event(number) for number in range(EVENTS + OTHERS)], NOW)
    shutil.copytree(home.root, other.root)
    conf, events = tmp_path / "conf", tmp_path / "events"
    conf.mkdir()
    events.mkdir()
    quick = (Path(__file__).parent / "conf" / "spark-defaults.conf").read_text()
    settings = SETTINGS.format(rows=FEW_ROWS, events=events)
    (conf / "spark-defaults.conf").write_text(quick.replace("spark.sql.shuffle.partitions 1\n", "") + settings)
    monkeypatch.setenv("SPARK_CONF_DIR", str(conf))
    build(home, Request(), NOW)
    build(other, Request(engine=SPARK), NOW)
    assert hashes.read(home) == hashes.read(other)
    moved = read(events)
    assert moved.shuffled > 0 and moved.spilled > 0
