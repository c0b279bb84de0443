"""A second, later and plain count of what a source holds, by event date, to hold against what was landed.

It shares no code with the landing: other SQL, other readers. Its batches are the dataset `source_counts`.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from ingestion import bronze
from ingestion.home import Home
from ingestion.landing import Landing, Run
from ingestion.manifest import Manifest
from ingestion.parquet import PartWriter
from ingestion.sources.postgres import snapshot
from ingestion.window import Window, iso

DATASET = "source_counts"
_READ_BYTES = 1 << 20

_ORDERS_BY_DATE = """
    select to_char(ordered_at, 'YYYY-MM-DD'), count(*)
    from shop.orders
    where ordered_at >= %(start)s and ordered_at < %(end)s
    group by 1 order by 1
"""
_LINES_BY_DATE = """
    select
        to_char(o.ordered_at, 'YYYY-MM-DD'), o.currency::text, count(*),
        -- one NaN would hide the money of all the others
        coalesce(sum(i.quantity * i.unit_price - coalesce(i.discount_amount, 0)) filter (
            where i.unit_price <> 'NaN' and coalesce(i.discount_amount, 0) <> 'NaN'
        ), 0)::text
    from shop.orders as o
    join shop.order_items as i on i.order_id = o.order_id
    where o.ordered_at >= %(start)s and o.ordered_at < %(end)s
    group by 1, 2 order by 1, 2
"""


@dataclass(frozen=True)
class Count:
    """How many records, and how much money of one currency, a source holds for one date. All as text, as in bronze."""

    dataset: str
    event_date: str
    currency: str | None
    records: str
    amount: str | None


COLUMNS = (*(field.name for field in fields(Count)), "counted_at")


def count(source: str, run: Run) -> Landing:
    """Count the whole days the window touches, and land the counts unless they are the ones landed last."""
    days = run.window.days()
    window = Window(days[0].start, days[-1].end)
    counts = _COUNTERS[source](run.home, window)
    last = max(_earlier(run.home, source, window), key=lambda manifest: manifest.landed_at, default=None)
    if last and _read(run.home, last) == counts:
        return Landing(source, window, (last,), frozenset())
    with bronze.staged(run.home, DATASET) as folder:
        manifest, is_new = bronze.commit(run.home, folder, _stage(folder, run, source, window, counts, last))
    run.report(f"{source} {window}: counted again at the source")
    return Landing(source, window, (manifest,), frozenset({manifest.batch_id} if is_new else ()))


def _stage(folder: Path, run: Run, source: str, window: Window, counts: list[Count], last: Manifest | None) -> Manifest:
    rows = [(*astuple(one), iso(run.landed_at)) for one in counts]
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    writer = PartWriter(folder, schema, dictionary=list(COLUMNS))
    writer.begin()
    writer.add(pa.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in rows], schema=schema))
    writer.keep()
    # When it was counted makes no new batch. What was counted before does: a count that comes back is the newest again.
    content = (source, *(astuple(one) for one in counts), last.batch_id if last else None)
    return Manifest(
        dataset=DATASET,
        batch_id=bronze.identify(DATASET, window, content),
        source=source,
        window=window,
        contract_version=run.contracts[DATASET].version if DATASET in run.contracts else 1,
        landed_at=run.landed_at,
        counted_by_source=len(counts),
        records_written=writer.records,
        files=writer.finish(),
        columns=COLUMNS,
    )


def _earlier(home: Home, source: str, window: Window) -> Iterator[Manifest]:
    for ref in bronze.list_batches(home, DATASET, window.date):
        manifest = bronze.read_manifest(home, ref)
        if (manifest.source, manifest.window) == (source, window):
            yield manifest


def _read(home: Home, manifest: Manifest) -> list[Count]:
    rows = pa.concat_tables(pq.read_table(path) for path in bronze.parquet_files(home, manifest)).to_pylist()
    return [Count(**{field.name: row[field.name] for field in fields(Count)}) for row in rows]


def _count_orders(home: Home, window: Window) -> list[Count]:
    """Ask the shop: orders by their date, lines and their money by their order's date and currency."""
    values = {"start": window.start, "end": window.end}
    with snapshot(home.database_url()) as connection:
        orders = connection.execute(_ORDERS_BY_DATE, values).fetchall()
        lines = connection.execute(_LINES_BY_DATE, values).fetchall()
    counts = [Count("orders", day, None, str(records), None) for day, records in orders]
    counts += [Count("order_items", day, currency, str(records), amount) for day, currency, records, amount in lines]
    return counts + _empty_days(counts, window, ("orders", "order_items"))


def _empty_days(counts: list[Count], window: Window, datasets: tuple[str, ...]) -> list[Count]:
    """Say zero for the days that the source has nothing for, so that zero can be told from not counted."""
    counted = {(one.dataset, one.event_date) for one in counts}
    dates = [day.date.isoformat() for day in window.days()]
    return [Count(name, day, None, "0", None) for name in datasets for day in dates if (name, day) not in counted]


def _count_clickstream(home: Home, window: Window) -> list[Count]:
    """Count the lines of every readable file by the date of its folder; a day without a folder is not counted."""
    counts = []
    for day in window.days():
        folder = home.landing / day.date.isoformat()
        if folder.is_dir():
            lines = sum(_lines(path) for path in sorted(folder.glob("[0-2][0-9]/*")))
            counts.append(Count("clickstream", folder.name, None, str(lines), None))
    return counts


def _lines(path: Path) -> int:
    """Count one file's lines, the last one also without a newline; 0 for a file that cannot be read to its end."""
    lines, last = 0, b"\n"
    try:
        for piece in _pieces(path):
            lines += piece.count(b"\n")
            last = piece[-1:] or last
    except (OSError, EOFError, zlib.error, zstandard.ZstdError):
        return 0
    return lines + (last != b"\n")


def _pieces(path: Path) -> Iterator[bytes]:
    if path.name.startswith("."):
        return
    if path.name.endswith(".jsonl"):
        with path.open("rb") as plain:
            yield from iter(lambda: plain.read(_READ_BYTES), b"")
    elif path.name.endswith(".jsonl.gz"):
        with gzip.open(path) as inflated:
            yield from iter(lambda: inflated.read(_READ_BYTES), b"")
    elif path.name.endswith(".jsonl.zst"):
        with path.open("rb") as stored:
            yield from _zstd_pieces(iter(lambda: stored.read(_READ_BYTES >> 4), b""))


def _zstd_pieces(stored: Iterator[bytes]) -> Iterator[bytes]:
    """Inflate frames put end to end; one cut short is an EOFError, which zstandard's own reader does not tell."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    for data in stored:
        while data:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(data)
            data = frame.unused_data
    if not frame.eof:
        raise EOFError


_COUNTERS: dict[str, Callable[[Home, Window], list[Count]]] = {
    "orders": _count_orders,
    "clickstream": _count_clickstream,
}
