"""Land a shop in pieces, and check that building it again gives the same tables. Shared by several tests."""

import os
import random
from datetime import datetime, timedelta

import pyarrow as pa

from ingestion import bronze, sources
from ingestion.home import Home
from ingestion.manifest import Manifest
from ingestion.parquet import PartWriter
from ingestion.window import Window
from operations import hashes, ledger
from warehouse.build import Request, build

Row = dict[str, str | None]
WINDOW = Window.parse("2026-11-01", "2026-11-02")
ORDER = [
    "order_id",
    "customer_id",
    "status",
    "currency",
    "payment_method",
    "shipping_country",
    "total_amount",
    "ordered_at",
    "updated_at",
]
LINE = ["order_id", "line_number", "product_id", "quantity", "unit_price", "discount_amount", "updated_at"]
RATE = ["rate_date", "currency", "rate", "updated_at"]


def pieces(pick: random.Random, things: list) -> list[list]:
    """Shuffle things and split them into one to three pieces."""
    shuffled = pick.sample(things, len(things))
    cuts = sorted(pick.sample(range(1, len(things)), pick.randint(0, 2)))
    return [shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(things)], strict=True)]


def land_rows(
    home: Home, dataset: str, columns: list[str], rows: list[Row], at: datetime, window: Window = WINDOW
) -> str:
    """Land rows of a table as a batch; return its id."""
    schema = pa.schema([(name, pa.string()) for name in columns])
    with bronze.staged(home, dataset) as folder:
        writer = PartWriter(folder, schema, dictionary=[])
        writer.begin()
        writer.add(pa.Table.from_pylist(rows, schema=schema))
        writer.keep()
        batch_id = bronze.identify(dataset, window, [tuple(row.values()) for row in rows])
        manifest = Manifest(
            dataset,
            batch_id,
            "orders",
            window,
            1,
            at,
            len(rows),
            len(rows),
            files=writer.finish(),
            columns=tuple(columns),
        )
        return bronze.commit(home, folder, manifest)[0].batch_id


def land_lines(home: Home, hour: datetime, lines: list[str], at: datetime) -> str:
    """Write a clickstream file into the landing folder of an hour, land it as its own batch, and return the batch's id."""
    folder = home.landing / f"{hour:%Y-%m-%d}" / f"{hour:%H}"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"part-{len(list(folder.iterdir()))}.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines))
    # a file that has not changed for a while is complete
    os.utime(file, (hour.timestamp(), hour.timestamp()))
    (batch_id,) = sources.ingest("clickstream", Window(hour, hour + timedelta(hours=1)), home, at).new
    return batch_id


def assert_repeats(home: Home, now: datetime) -> None:
    """Assert that the ledger balances, and that a full build from bronze ends in the same hashes."""
    assert ledger.recount(home) == ([], True)
    before = hashes.read(home)
    build(home, Request(full=True, reason="test"), now)
    assert hashes.read(home) == before
