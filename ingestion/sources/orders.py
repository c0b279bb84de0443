"""The shop's four tables, read in one transaction: what was placed or changed in the window, and what that refers to.

Every value is kept as the database's own text. The batches of one run share a snapshot and enter a build together.
"""

import hashlib
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from ingestion import bronze
from ingestion.contract import say_duration
from ingestion.errors import Permanent
from ingestion.landing import Landing, Run
from ingestion.manifest import Manifest
from ingestion.sources.copied import copy
from ingestion.sources.postgres import snapshot

SOURCE = "orders"
OVERLAP = timedelta(hours=1)

_PLACED = "(ordered_at >= %(start)s and ordered_at < %(end)s)"
_CREATED = "(created_at >= %(start)s and created_at < %(end)s)"
# Rows are committed later than their `updated_at` says: without the overlap a slow transaction would be missed.
_CHANGED = "(updated_at >= %(overlap)s and updated_at < %(end)s)"
_ORDERS = f"select * from shop.orders where {_PLACED} or {_CHANGED}"
_IN_NO_WINDOW = "select from shop.orders where ordered_at is null and updated_at is null"


def _with_referred(table: str, key: str, referred: str, changed: str) -> str:
    """Select the rows referred to, and the changed ones that are not. Two branches, so that each can find its index."""
    return (
        f"select t.* from shop.{table} as t where t.{key} in ({referred}) union all "
        f"select t.* from shop.{table} as t where {changed} "
        f"and not exists (select from ({referred}) as r where r.{key} = t.{key})"
    )


_ORDER_IDS = f"select order_id from ({_ORDERS}) as o"
_CUSTOMER_IDS = f"select customer_id from ({_ORDERS}) as o"
_PRODUCT_IDS = (
    f"select product_id from shop.order_items where order_id in ({_ORDER_IDS}) union all "
    f"select product_id from shop.order_items where {_CHANGED}"
)
SELECTIONS = {
    "orders": _ORDERS,
    "order_items": _with_referred("order_items", "order_id", _ORDER_IDS, _CHANGED),
    "customers": _with_referred("customers", "customer_id", _CUSTOMER_IDS, f"({_CREATED} or {_CHANGED})"),
    "products": _with_referred("products", "product_id", _PRODUCT_IDS, _CHANGED),
}


def ingest(run: Run) -> Landing:
    """Land what the window holds of the four tables: one batch each, from one snapshot."""
    with ExitStack() as stack:
        staged = {dataset: stack.enter_context(bronze.staged(run.home, dataset)) for dataset in SELECTIONS}
        with snapshot(run.home.database_url(), run.window.end, run.landed_at) as connection:
            manifests = [_stage(connection, run, dataset, folder) for dataset, folder in staged.items()]
            messages = _rows_in_no_window(connection)
        for manifest in manifests:
            _expect_records(run, manifest)
        landed = [bronze.commit(run.home, staged[m.dataset], m) for m in _as_snapshot(manifests)]
    for message in messages:
        run.report(message)
    return Landing(
        source=SOURCE,
        window=run.window,
        manifests=tuple(manifest for manifest, _ in landed),
        new=frozenset(manifest.batch_id for manifest, is_new in landed if is_new),
        messages=messages,
    )


def _stage(connection: psycopg.Connection[Any], run: Run, dataset: str, folder: Path) -> Manifest:
    """Write one table's rows, and compare their number with what the database counts in the same snapshot."""
    contract = run.contracts[dataset]
    values = {"start": run.window.start, "end": run.window.end, "overlap": run.window.start - OVERLAP}
    counted = _count(connection, SELECTIONS[dataset], values)
    # Sorted, so that the same rows are the same bytes, and so the same batch, whatever the plan.
    keys = ", ".join(f'{name}::text collate "C"' for name in contract.key)
    query = f"select * from ({SELECTIONS[dataset]}) as s order by {keys}"
    copied = copy(connection, folder, query, values, table=f"shop.{dataset}", key=contract.key)
    if copied.records != counted:
        raise Permanent(
            f"the database counts {counted} rows but {copied.records} arrived",
            where=f"shop.{dataset} {run.window}",
            todo="ingest the window again and report it if it stays",
        )
    for message in (f"{dataset} {run.window}: {counted:,} records", *copied.messages):
        run.report(message)
    return Manifest(
        dataset=dataset,
        batch_id=bronze.identify(dataset, run.window, (copied.sha256,)),
        source=SOURCE,
        window=run.window,
        contract_version=contract.version,
        landed_at=run.landed_at,
        counted_by_source=counted,
        records_written=copied.records,
        files=copied.files,
        columns=copied.columns,
        renamed=copied.renamed,
    )


def _count(connection: psycopg.Connection[Any], selection: str, values: dict[str, datetime]) -> int:
    row = connection.execute(f"select count(*) from ({selection}) as s", values).fetchone()
    return int(row[0]) if row else 0


def _rows_in_no_window(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    count = _count(connection, _IN_NO_WINDOW, {})
    return (f"{count:,} orders have neither ordered_at nor updated_at: no window holds them",) if count else ()


def _expect_records(run: Run, manifest: Manifest) -> None:
    """Refuse a window without a single row, now or ever, where the contract expects some."""
    expected = run.contracts[manifest.dataset].expect_records_every
    if manifest.records_written or not expected or run.window.length < expected:
        return
    for day in run.window.days():
        for ref in bronze.list_batches(run.home, manifest.dataset, day.date):
            if bronze.read_manifest(run.home, ref).records_written:
                return
    raise Permanent(
        f"no row of {manifest.dataset} at all for {run.window},"
        f" where the contract expects some every {say_duration(expected)}",
        where=f"shop.{manifest.dataset}",
        todo="look why the shop has none, then ingest the window again",
    )


def _as_snapshot(manifests: list[Manifest]) -> list[Manifest]:
    """Let each manifest name all of them."""
    batches = {manifest.dataset: manifest.batch_id for manifest in manifests}
    snapshot_id = hashlib.sha256(repr(sorted(batches.items())).encode()).hexdigest()[:20]
    return [replace(manifest, snapshot_id=snapshot_id, snapshot_batches=batches) for manifest in manifests]
