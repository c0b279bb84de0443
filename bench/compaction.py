"""Measure what the compaction of bronze gains: a year of hourly batches of one dataset, before and after."""

import argparse
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import duckdb
import pyarrow as pa

from ingestion import bronze, compaction, land
from ingestion.home import Home
from ingestion.window import Window

FIRST = datetime(2025, 1, 1, tzinfo=UTC)
ROUNDS = 3
_EVENT = '{{"event_id":"{id}","event_type":"page_view","event_time":"{at}","visitor_id":"{visitor}","url":"https://shop.example/{number}"}}\n'
Result = TypeVar("Result")


def land_hours(home: Home, hours: int, records: int) -> None:
    """Land hourly batches of clicks."""
    for hour in range(hours):
        start = FIRST + timedelta(hours=hour)
        lines = [
            _EVENT.format(id=md5(f"{hour} {n}".encode()).hexdigest(), at=start.isoformat(), visitor=n % 7, number=n)
            for n in range(records)
        ]
        with land.staging(home) as staged:
            folder = staged.folder("clickstream")
            columns = {
                "raw": lines,
                "raw_bytes": pa.array([None] * records, pa.binary()),
                "file": [f"{start:%Y-%m-%d/%H}/a.jsonl"] * records,
                "line_number": pa.array(range(1, records + 1), pa.int64()),
            }
            written = land.write(folder, pa.table(columns), dictionary=["file"])
            manifest = land.describe(
                written,
                dataset="clickstream",
                source="clickstream",
                window=Window(start, start + timedelta(hours=1)),
                contract_version=1,
                landed_at=start + timedelta(hours=2),
                counted=records,
                content=[hour],
            )
            staged.add(folder, manifest)
            staged.commit()


def measure(home: Home) -> dict[str, str]:
    """Measure files, bytes, and the least seconds of three rounds of listing, planning and reading."""
    refs = bronze.list_batches(home)
    known = frozenset(ref.batch_id for ref in refs)
    manifests = bronze.committed(home)
    files = sorted({path for one in manifests for path in bronze.parquet_files(home, one)})
    query = "select count(*), sum(hash(raw)) from read_parquet($files, union_by_name = true)"

    def read() -> object:
        with duckdb.connect() as connection:
            return connection.execute(query, {"files": files}).fetchall()

    return {
        "files": f"{sum(path.is_file() for path in home.bronze.rglob('*')):,}",
        "Parquet MB": f"{sum(Path(path).stat().st_size for path in files) / 1e6:.1f}",
        "list, s": f"{_least(lambda: bronze.list_batches(home)):.2f}",
        "plan with nothing new, s": f"{_least(lambda: bronze.look(home, known)):.2f}",
        "all manifests and files for a full build, s": f"{_least(lambda: [bronze.parquet_files(home, one) for one in bronze.committed(home)]):.2f}",
        "read all records, s": f"{_least(read):.2f}",
        "content": str(read()),
    }


def _least(work: Callable[[], Result]) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def main() -> None:
    """Print both."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hours", type=int, default=24 * 365)
    options.add_argument("--records", type=int, default=100, help="records per hour")
    given = options.parse_args()
    with TemporaryDirectory() as folder:
        home = Home(Path(folder), Path(folder) / "landing")
        land_hours(home, given.hours, given.records)
        before = measure(home)
        began = time.perf_counter()
        for group in compaction.find(home, date.max, lambda _: True):
            compaction.compact(home, group)
        took = time.perf_counter() - began
        after = measure(home)
    for name in before:
        print(f"{name:<45} {before[name]:>12} {after[name]:>12}")
    print(f"compacted in {took:.1f} s")


if __name__ == "__main__":
    main()
