"""Measure a whole build by DuckDB and by Spark on this machine: time, memory, and what Spark shuffles and spills.

python -m bench.engines --events 1000000 3000000 10000000
python -m bench.engines --events 1000000 --of-one-visitor 1000000

The hashes of both must be equal. Spark needs `make spark`, and JAVA's memory is CLEARWELL_SPARK_MEMORY.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.processes import CLEARWELL, environment, run
from demo import postgres, simulate
from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from operations import hashes
from warehouse.engines import DUCKDB, SPARK

DAY = date(2026, 11, 1)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
# So many events of a shop come with one order.
EVENTS_PER_ORDER = 50


@dataclass(frozen=True)
class Moved:
    """What the tasks of Spark wrote for other tasks, and wrote to disk for want of memory, in bytes."""

    shuffled: int
    spilled: int


def main() -> None:
    """Build each size by both engines, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--of-one-visitor", type=int, default=0, help="More events, all of one visitor.")
    arguments = parser.parse_args()
    for events in arguments.events:
        with TemporaryDirectory(prefix="clearwell-bench-") as folder, made(Path(folder), events) as home:
            land(home, arguments.of_one_visitor)
            found = {engine: measure(home, engine) for engine in (DUCKDB, SPARK)}
            if found[DUCKDB] != found[SPARK]:
                sys.exit("the engines made different tables")


@contextmanager
def made(folder: Path, events: int) -> Iterator[Home]:
    """Yield a home with a shop in which one day has passed."""
    home = Home(folder / "home", folder / "landing" / "clickstream")
    postgres.start(home)
    try:
        simulate.simulate(
            home, DAY, DAY + timedelta(days=1), orders_per_day=events // EVENTS_PER_ORDER, events_per_day=events
        )
        yield home
    finally:
        postgres.stop(home)


def land(home: Home, of_one_visitor: int) -> None:
    """Land the day, with more events of one visitor."""
    if of_one_visitor:
        file = home.landing / f"{DAY}" / "12" / "one-visitor.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as lines:
            for number in range(of_one_visitor):
                at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=number % 86_400)
                event = {"event_id": f"busy-{number}", "event_type": "page_view", "event_time": at.isoformat()}
                lines.write(json.dumps({**event, "visitor_id": "busy"}) + "\n")
        landed = datetime(2026, 11, 2, tzinfo=UTC).timestamp()
        os.utime(file, (landed, landed))
    window = Window.parse(DAY.isoformat(), (DAY + timedelta(days=1)).isoformat())
    for source in sources.SOURCES:
        sources.ingest(source, window, home, NOW)


def measure(home: Home, engine: str) -> list[dict[str, object]]:
    """Build a copy of the home by an engine, print what it took, and return the hashes of its tables."""
    copy = Home(home.root.parent / engine, home.landing)
    shutil.copytree(home.root / "bronze", copy.root / "bronze")
    events = copy.root.parent / "events"
    events.mkdir(exist_ok=True)
    used = run(
        [CLEARWELL, "build", "--full", "--reason", "bench", "--engine", engine],
        environment(CLEARWELL_HOME=str(copy.root), SPARK_CONF_DIR=str(told_to_log(copy.root.parent / "conf", events))),
    )
    what = read(events) if engine == SPARK else Moved(0, 0)
    size = sum(file.stat().st_size for file in copy.root.rglob("bronze/**/*.parquet"))
    print(
        f"{engine:<7} {size / 1e6:>7.0f} MB of bronze {used}   {what.shuffled / 1e6:>7.0f} MB shuffled, "
        f"{what.spilled / 1e6:.0f} MB spilled",
        flush=True,
    )
    return hashes.read(copy)


def told_to_log(folder: Path, events: Path) -> Path:
    """Return a folder of settings by which Spark logs its tasks."""
    folder.mkdir(exist_ok=True)
    (folder / "spark-defaults.conf").write_text(
        f"spark.eventLog.enabled true\nspark.eventLog.compress false\nspark.eventLog.dir file://{events}\n"
    )
    return folder


def read(events: Path) -> Moved:
    """Add up what the tasks of Spark's event logs moved."""
    shuffled = spilled = 0
    for file in (one for one in events.rglob("*") if one.is_file()):
        for line in file.open():
            if line.startswith('{"Event":"SparkListenerTaskEnd"'):
                metrics = json.loads(line).get("Task Metrics") or {}
                shuffled += metrics.get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0)
                spilled += metrics.get("Disk Bytes Spilled", 0)
    return Moved(shuffled, spilled)


if __name__ == "__main__":
    main()
