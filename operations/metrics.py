"""Say how a home is, in numbers, as Prometheus reads them.

The numbers are those of the published file, so they tell what readers have. Times are Unix seconds, sizes are bytes, and what
has no value has no line. Each number is a gauge: it is read anew, and a replay may lower it.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ingestion import atomic
from ingestion.errors import ClearwellError
from ingestion.home import Home
from operations import status
from operations.watch import UNUSUAL
from warehouse import state

# The last run of each stage, source and dataset, and when it last went well.
_RUNS = """
    select
        stage, coalesce(source, '') as source, coalesce(dataset, '') as dataset,
        max_by(seconds, started_at) as seconds, max_by(records, started_at) as records, max_by(bytes, started_at) as bytes,
        max(started_at) as started_at, max(started_at) filter (where result = 'ok') as succeeded_at,
        count(*) filter (where result in ('transient', 'permanent', 'failed')) as failures
    from ops.runs
    group by all
    order by all
"""
_FATES = "select dataset, fate, sum(records)::bigint as records from ops.ledger group by all order by all"
# Of the last two dates on which a dataset has records: the share that was refused.
_REFUSED = """
    select dataset, sum(records) filter (where fate = 'dead_letter')::double / sum(records) as share
    from ops.ledger
    where record_date >= (select max(last.record_date) - 1 from ops.ledger as last where last.dataset = ledger.dataset)
    group by dataset
    having sum(records) > 0
    order by dataset
"""
_COMPLETE = "select dataset, complete_until, holes, short_windows, len(unreconciled_dates) as unreconciled from ops.completeness order by all"
_BUILDS = "select max(build_number) as number, max(audited_at) as audited_at from ops.builds"


def exposition(home: Home, now: datetime) -> bytes:
    """Return all numbers in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Home(home, now))
    return generate_latest(registry)


def write(home: Home, now: datetime, path: Path) -> None:
    """Write the numbers to a file that the node exporter's textfile collector reads, whole or not at all."""
    atomic.write_bytes(path, exposition(home, now))


class _Home(Collector):
    def __init__(self, home: Home, now: datetime) -> None:
        self.home, self.now = home, now

    def collect(self) -> Iterable[GaugeMetricFamily]:
        # a file that nobody writes any more is read for ever, with numbers that were well
        yield _gauge("read_timestamp_seconds", "When these numbers were read", [((), self.now.timestamp())])
        yield from _files(self.home)
        try:
            yield from _health(self.home, self.now)
            yield from _tables(self.home)
            is_read = 1
        except (ClearwellError, duckdb.Error):
            is_read = 0
        yield _gauge("readable", "Whether the published file and the state could be read", [((), is_read)])


def _files(home: Home) -> Iterator[GaugeMetricFamily]:
    sizes = [((name,), path.stat().st_size) for name, path in _paths(home) if path.exists()]
    yield _gauge("file_bytes", "Size of the state and the published file", sizes, "file")
    if home.root.is_dir():
        free = shutil.disk_usage(home.root).free
        yield _gauge("disk_free_bytes", "Free space where the home is", [((), free)])


def _paths(home: Home) -> tuple[tuple[str, Path], ...]:
    return ("state", home.state), ("published", home.published)


def _health(home: Home, now: datetime) -> Iterator[GaugeMetricFamily]:
    found = status.read(home, now)
    yield _gauge("healthy", "Whether `clearwell status` is healthy", [((), int(found["healthy"]))])
    yield _gauge("held_batches", "Held batches that wait for a person", [((), len(found["held"]))])
    yield _gauge("gaps", "Windows that are missing between others", [((), len(found["gaps"]))])
    yield _gauge("waiting_batches", "Batches that wait for a build", [((), found["batches_waiting"])])
    yield _gauge("damaged_files", "Damaged files", [((), len(found["broken"]))])
    yield _gauge(
        "late",
        "Whether a dataset is less complete than it should be by now",
        [((one,), 1) for one in found["late"]],
        "dataset",
    )
    results = {"fail": 0, "warn": 0}
    for finding in found["findings"]:
        if finding.get("consequence") == "accepted":
            continue
        results[finding["result"]] = results.get(finding["result"], 0) + 1
    yield _gauge(
        "findings",
        "Findings of the last build that nobody accepted",
        [((name,), count) for name, count in results.items()],
        "result",
    )


def _tables(home: Home) -> Iterator[GaugeMetricFamily]:
    def read(table: str, query: str) -> list[state.Row]:
        return state.read(home.published, table, query)

    complete = read("ops.completeness", _COMPLETE)
    yield _gauge(
        "complete_until_timestamp_seconds",
        "The time up to which a dataset is complete; the lag is time() less this",
        [((row["dataset"],), _seconds(row["complete_until"])) for row in complete if row["complete_until"]],
        "dataset",
    )
    yield _gauge("holes", "Gaps in a dataset", [((row["dataset"],), row["holes"]) for row in complete], "dataset")
    yield _gauge(
        "short_windows",
        "Windows of a dataset in which files wait or batches are held",
        [((row["dataset"],), row["short_windows"]) for row in complete],
        "dataset",
    )
    yield _gauge(
        "unreconciled_dates",
        "Dates whose count at the source differs from what landed",
        [((row["dataset"],), row["unreconciled"]) for row in complete],
        "dataset",
    )
    yield _gauge(
        "records",
        "Records of a dataset by fate",
        [((row["dataset"], row["fate"]), row["records"]) for row in read("ops.ledger", _FATES)],
        "dataset",
        "fate",
    )
    yield _gauge(
        "refused_share",
        "Share of a dataset's records that were refused, on its last two dates",
        [((row["dataset"],), row["share"] or 0) for row in read("ops.ledger", _REFUSED)],
        "dataset",
    )
    yield _gauge(
        "anomalies",
        "Unusual numbers of a dataset's last week that nobody accepted",
        [((name,), count) for name, count in Counter(row["dataset"] for row in read("ops.anomalies", UNUSUAL)).items()],
        "dataset",
    )
    for row in read("ops.builds", _BUILDS):
        if row["number"] is not None:
            yield _gauge("build_number", "Number of the published build", [((), row["number"])])
            yield _gauge(
                "audited_timestamp_seconds", "When the published build was audited", [((), _seconds(row["audited_at"]))]
            )
    runs = read("ops.runs", _RUNS)
    for name, help_text in _OF_RUNS:
        values = [
            ((row["stage"], row["source"], row["dataset"]), _number(row[name])) for row in runs if row[name] is not None
        ]
        suffix = "_timestamp_seconds" if name.endswith("_at") else ""
        yield _gauge(f"run_{name.removesuffix('_at')}{suffix}", help_text, values, "stage", "source", "dataset")


_OF_RUNS = (
    ("seconds", "How long the last run of a stage took"),
    ("records", "New records of the last run of a stage; divided by its seconds, the throughput"),
    ("bytes", "Bytes of these records in bronze"),
    ("started_at", "When the last run of a stage began"),
    ("succeeded_at", "When a run of a stage began that last went well"),
    ("failures", "Failed runs of a stage that are in the log"),
)


def _gauge(
    name: str, help_text: str, values: Iterable[tuple[tuple[str, ...], float]], *labels: str
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"clearwell_{name}", help_text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def _number(value: float | datetime) -> float:
    return _seconds(value) if isinstance(value, datetime) else value


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()
