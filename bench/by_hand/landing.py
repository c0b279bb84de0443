"""Land the sources: their raw values as Parquet."""

import csv
import io
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from isal import igzip

from bench.by_hand.columns import EXCHANGE_RATES, SHOP
from bench.by_hand.job import THREADS, Job

CHUNK_BYTES = 8 << 20
# Late files and late commits, and how far back a rate may come from.
LATE_FILES, LATE_COMMITS, OLD_RATES = timedelta(days=2), timedelta(hours=1), timedelta(days=7)
LINES = pa.schema(
    [
        ("raw", pa.string()),
        ("raw_bytes", pa.binary()),
        ("file", pa.dictionary(pa.int32(), pa.string())),
        ("line_number", pa.int64()),
    ]
)


def land(job: Job) -> dict[str, int]:
    """Write what the sources hold as Parquet; return the lines of each file that could be read whole."""
    with ThreadPoolExecutor(1) as beside, ThreadPoolExecutor(THREADS) as readers:
        shop = beside.submit(land_shop, job)
        paths = list(landing_files(job))
        counts = readers.map(land_file, paths, (job.lines / f"{number}.parquet" for number in range(len(paths))))
        lines = {
            str(path.relative_to(job.landing)): count
            for path, count in zip(paths, counts, strict=True)
            if count is not None
        }
        land_rates(job)
        shop.result()
    return lines


def landing_files(job: Job) -> Iterator[Path]:
    """Yield the files of the window's hours and of those before it that may still get late files."""
    hour = job.start - LATE_FILES
    while hour < job.end:
        folder = job.landing / f"{hour:%Y-%m-%d}" / f"{hour:%H}"
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.name.endswith((".jsonl", ".jsonl.gz", ".jsonl.zst")) and not path.name.startswith("."):
                yield path
        hour += timedelta(hours=1)


def land_file(path: Path, target: Path) -> int | None:
    """Write the lines of a file as Parquet; return how many. None if it cannot be read whole: then nothing is kept of it."""
    lines = 0
    name = "/".join(path.parts[-3:])
    try:
        with pq.ParquetWriter(
            target,
            LINES,
            compression="zstd",
            compression_level=1,
            use_dictionary=["file"],
            write_statistics=False,
            column_encoding={"line_number": "DELTA_BINARY_PACKED"},
        ) as writer:
            for raw, raw_bytes in read_lines(path):
                rows = len(raw)
                files = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([name]))
                numbers = pa.arange(lines + 1, lines + rows + 1)
                writer.write_table(pa.Table.from_arrays([raw, raw_bytes, files, numbers], schema=LINES))
                lines += rows
    except (OSError, EOFError, pa.ArrowInvalid):
        target.unlink(missing_ok=True)
        return None
    return lines


def read_lines(path: Path) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Yield the lines of a file, newlines included, as text over the buffers that were read, and what is not UTF-8 as bytes."""
    rest = b""
    with opened(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            data = rest + chunk if rest else chunk
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            if end:
                yield split_lines(data, end)
    if rest:
        yield split_lines(rest, len(rest))


def opened(path: Path) -> io.IOBase | pa.NativeFile:
    """Open a file for reading, inflated."""
    if path.suffix == ".gz":
        return igzip.open(path, "rb")
    if path.suffix == ".zst":
        return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return path.open("rb", buffering=0)


def split_lines(data: bytes, end: int) -> tuple[pa.Array, pa.Array]:
    """Split a buffer up to `end` at its newlines, without copying the lines that are UTF-8."""
    codes = np.frombuffer(data, np.uint8, end)
    ends = np.flatnonzero(codes == ord("\n")) + 1
    if not len(ends) or ends[-1] != end:
        ends = np.append(ends, end)
    rows = len(ends)
    offsets = np.zeros(rows + 1, np.int32)
    offsets[1:] = ends
    broken = [] if data.isascii() else broken_lines(data, codes, offsets)
    if not broken:
        return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(data)), pa.nulls(rows, pa.binary())
    is_text = np.ones(rows, bool)
    is_text[broken] = False
    valid = pa.py_buffer(np.packbits(is_text, bitorder="little"))
    raw = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(data), valid, len(broken))
    bytes_of = {row: data[offsets[row] : offsets[row + 1]] for row in broken}
    return raw, pa.array([bytes_of.get(row) for row in range(rows)], pa.binary())


def broken_lines(data: bytes, codes: np.ndarray, offsets: np.ndarray) -> list[int]:
    """Return the lines that are not UTF-8. Only lines with bytes beyond ASCII are tried."""
    broken = []
    for row in np.unique(np.searchsorted(offsets, np.flatnonzero(codes > 127), side="right") - 1).tolist():
        try:
            str(data[offsets[row] : offsets[row + 1]], "utf-8")
        except UnicodeDecodeError:
            broken.append(row)
    return broken


def shop_queries(job: Job) -> dict[str, str]:
    """Return the query of each table: the window's rows, the lines of its orders, and the rows these refer to."""
    window = f">= '{job.start}' and {{0}} < '{job.end}'"
    changed = f"(updated_at >= '{job.start - LATE_COMMITS}' and updated_at < '{job.end}')"
    orders = f"select * from shop.orders where (ordered_at {window.format('ordered_at')}) or {changed}"
    order_ids = f"select order_id from ({orders}) as o"
    items = referred("order_items", "order_id", order_ids, changed)
    # By `or`, Postgres goes through all order ids for each line as soon as they do not fit in memory.
    lines = "select product_id from shop.order_items where"
    products = f"{lines} order_id in ({order_ids}) union all {lines} {changed}"
    created = f"((created_at {window.format('created_at')}) or {changed})"
    return {
        "order_items": items,
        "orders": orders,
        "customers": referred("customers", "customer_id", f"select customer_id from ({orders}) as o", created),
        "products": referred("products", "product_id", products, changed),
    }


def referred(table: str, key: str, keys: str, condition: str) -> str:
    """Return the query of a table's rows that have one of the keys or meet the condition, so that each part can use an index."""
    return f"""
        select t.* from shop.{table} as t where t.{key} in ({keys})
        union all
        select t.* from shop.{table} as t where {condition} and not exists (select from ({keys}) as k where k.{key} = t.{key})
    """


def land_shop(job: Job) -> None:
    """Write the shop's rows of the window as Parquet, each value as the database's own text, from one snapshot."""
    queries = shop_queries(job)
    with psycopg.connect(job.url, client_encoding="utf8") as shop:
        shop.isolation_level, shop.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
        shop.execute("set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set work_mem = '64MB'")
        for table, columns in SHOP.items():
            copied = f"copy (select {', '.join(columns)} from ({queries[table]}) as s) to stdout (format csv)"
            schema = pa.schema([(name, pa.string()) for name in columns])
            with (
                shop.cursor().copy(copied) as rows,
                pq.ParquetWriter(job.raw(table), schema, compression="zstd", compression_level=1) as writer,
            ):
                for chunk in gathered(rows):
                    writer.write_table(read_csv(chunk, schema))


def gathered(rows: psycopg.Copy) -> Iterator[bytearray]:
    """Yield rows of a copy together, in chunks."""
    chunk = bytearray()
    for row in rows:
        chunk += row
        if len(chunk) > CHUNK_BYTES:
            yield chunk
            chunk = bytearray()
    if chunk:
        yield chunk


def read_csv(chunk: bytearray, schema: pa.Schema) -> pa.Table:
    """Read whole rows of Postgres's CSV as texts. An empty value without quotes is null."""
    return pa_csv.read_csv(
        pa.py_buffer(chunk),
        pa_csv.ReadOptions(column_names=schema.names, block_size=len(chunk) + 1, use_threads=False),
        pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        pa_csv.ConvertOptions(
            column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )


def land_rates(job: Job) -> None:
    """Write the exchange rates of the window and the week before as Parquet, one row per date and currency."""
    lines = csv.reader(io.StringIO(read_rates(job.rates), newline=""))
    header = [name.strip() for name in next(lines)]
    first, last = (job.start - OLD_RATES).date(), (job.end - timedelta.resolution).date()
    kept = [line for line in lines if line and is_between(line[0], first, last)]
    if {"rate_date", "currency", "rate"} <= set(header):
        rows = [{name: value or None for name, value in zip(header, line, strict=False)} for line in kept]
    else:
        rows = [
            {"rate_date": line[0] or None, "currency": currency, "rate": cell}
            for line in kept
            for currency, cell in zip(header[1:], line[1:], strict=False)
            if currency and cell.strip() not in ("", "N/A")
        ]
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in EXCHANGE_RATES}
    pq.write_table(pa.table(columns), job.raw("exchange_rates"))


def read_rates(path: Path) -> str:
    """Return the text of a file of rates, or of the one file in a zip."""
    if not zipfile.is_zipfile(path):
        return path.read_text("utf-8-sig")
    with zipfile.ZipFile(path) as archive:
        return archive.read(archive.namelist()[0]).decode("utf-8-sig")


def is_between(text: str, first: date, last: date) -> bool:
    """Say whether a row belongs to the dates; one without a readable date does."""
    return not text[:4].isdigit() or str(first) <= text[:10] <= str(last)
