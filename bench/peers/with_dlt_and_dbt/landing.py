"""Land the sources in schema `raw` of a DuckDB file with dlt."""

import logging
from collections.abc import Iterator

import connectorx
import dlt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from bench.by_hand import landing
from bench.by_hand.columns import CLICK, SHOP
from bench.by_hand.job import THREADS, Job

PAGE = 10_000
TABLE_ROWS = 100_000
# Texts stay texts, so that a value of a wrong type does not become a column of its own.
COLUMNS = {
    **{name: {"data_type": "text"} for name in CLICK},
    "properties": {"data_type": "json"},
    "broken_line": {"data_type": "binary"},
}


def land(job: Job, *, as_lines: bool) -> None:
    """Load the lines of the landing folder, as rows or as they are, the shop's tables and the exchange rates."""
    logging.getLogger("dlt").setLevel(logging.ERROR)
    dlt.config["runtime.dlthub_telemetry"] = False
    dlt.config["normalize.workers"] = THREADS
    dlt.config["data_writer.file_max_items"] = TABLE_ROWS
    landing.land_rates(job)
    pipeline = dlt.pipeline(
        "shop",
        pipelines_dir=str(job.work / "dlt"),
        destination=dlt.destinations.duckdb(str(job.out)),
        dataset_name="raw",
    )
    if as_lines:
        clickstream = dlt.resource(lines(job), name="clickstream")
    else:
        clickstream = dlt.resource(clicks(job), name="clickstream", columns=COLUMNS, max_table_nesting=0)
    sources = [
        clickstream,
        *(dlt.resource(rows(job, table), name=table) for table in SHOP),
        dlt.resource([pq.read_table(job.raw("exchange_rates"))], name="exchange_rates"),
    ]
    pipeline.run(sources, loader_file_format="parquet").raise_on_failed_jobs()


def clicks(job: Job) -> Iterator[list[dict]]:
    """Yield pages of lines: each its object, or itself if it is none."""
    page = []
    for path in landing.landing_files(job):
        with landing.opened(path) as file:
            for line in file.read().rstrip(b"\n").split(b"\n"):
                page.append(parsed(line))
                if len(page) == PAGE:
                    yield page
                    page = []
    yield page


def parsed(line: bytes) -> dict:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {"broken_line": line}
    return value if isinstance(value, dict) else {"broken_line": line}


def lines(job: Job) -> Iterator[pa.Table]:
    """Yield the lines of each file, those that are not UTF-8 as bytes."""
    for path in landing.landing_files(job):
        for raw, raw_bytes in landing.read_lines(path):
            yield pa.table({"raw": raw, "raw_bytes": raw_bytes})


def rows(job: Job, table: str) -> Iterator[pa.Table]:
    """Yield the window's rows of a table. A number may be NaN, so that amounts are read as text."""
    columns = [f"{name}::text" if kind.startswith("decimal") else name for name, kind in SHOP[table].items()]
    query = f"select {', '.join(columns)} from ({landing.shop_queries(job)[table]}) as s"
    for batch in connectorx.read_sql(job.url, query, return_type="arrow_stream", batch_size=TABLE_ROWS):
        yield pa.Table.from_batches([batch])
