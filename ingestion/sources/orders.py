"""The shop's four tables, read in one transaction: rows placed or changed in the window, and the rows they refer to.

Besides its window a run lands what earlier windows missed (rows committed late, with old times), as far back as the
contract's lateness, and says which lines of its orders are gone. A sweep also says which orders of its days are gone,
and counts the days. Every value is kept as the database's own text. The batches of one run share a snapshot and enter a build
together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from ingestion import bronze
from ingestion.contract import Contract
from ingestion.land import Landing, Run, Staging, Written, describe, expect_records, landed, staging, write
from ingestion.manifest import Manifest
from ingestion.names import IS_DELETED
from ingestion.sources import counts, decisions
from ingestion.sources.copied import copy
from ingestion.sources.decisions import Target
from ingestion.sources.known import Known, Standing, known
from ingestion.sources.postgres import snapshot
from ingestion.sources.primary import Primary
from ingestion.window import Window, joined

SOURCE = "orders"
OVERLAP = timedelta(hours=1)
BY = "clearwell"

_PLACED = "(ordered_at >= %(start)s and ordered_at < %(end)s)"
_CREATED = "(created_at >= %(start)s and created_at < %(end)s)"
# Rows are committed later than their `updated_at` says: without the overlap a slow transaction would be missed.
_CHANGED = "(updated_at >= %(overlap)s and updated_at < %(end)s)"
_IN_NO_WINDOW = "select from shop.orders where ordered_at is null and updated_at is null"


def _selections(orders: str, lines: str, customers: str, products: str) -> dict[str, str]:
    """Select the orders that match a condition and the rows they refer to, and the other tables' rows that match their own."""
    chosen = f"select * from shop.orders where {orders}"
    ids = f"select order_id from ({chosen}) as o"
    bought = (
        f"select product_id from shop.order_items where order_id in ({ids}) union all "
        f"select product_id from shop.order_items where {lines}"
    )
    return {
        "orders": chosen,
        "order_items": _with_referred("order_items", "order_id", ids, lines),
        "customers": _with_referred("customers", "customer_id", f"select customer_id from ({chosen}) as o", customers),
        "products": _with_referred("products", "product_id", bought, products),
    }


def _with_referred(table: str, key: str, referred: str, chosen: str) -> str:
    """Select the rows referred to, and the other chosen ones. Two branches, so that each can use its index."""
    return (
        f"select t.* from shop.{table} as t where t.{key} in ({referred}) union all "
        f"select t.* from shop.{table} as t where {chosen} "
        f"and not exists (select from ({referred}) as r where r.{key} = t.{key})"
    )


SELECTIONS = _selections(f"({_PLACED} or {_CHANGED})", _CHANGED, f"({_CREATED} or {_CHANGED})", _CHANGED)
_BY_KEY = _selections(
    "order_id = any(%(orders)s)",
    "order_id = any(%(orders)s)",
    "customer_id = any(%(customers)s)",
    "product_id = any(%(products)s)",
)
# Keys and versions only, of a window's rows: to look for rows that its landing did not see.
_VERSIONS = {
    "orders": f"select order_id, updated_at from shop.orders where {_PLACED} or {_CHANGED}",
    "order_items": f"select order_id, line_number, updated_at from shop.order_items where {_CHANGED}",
    "customers": f"select customer_id, updated_at from shop.customers where {_CREATED} or {_CHANGED}",
    "products": f"select product_id, updated_at from shop.products where {_CHANGED}",
}


def ingest(source: str, run: Run) -> Landing:
    """Land the window's rows of the four tables, rows that earlier windows missed, and deletions, from one snapshot."""
    with staging(run.home) as staged, known(run.home) as held:
        primary = Primary(run)
        primary.count()
        with snapshot(run.home.database_url(), run.window.end, run.landed_at) as connection:
            primary.count()
            shop = _Shop(run, connection, staged, held)
            shop.stage_window()
            shop.stage_missed()
            shop.stage_deletions()
            if run.is_sweep:
                shop.stage_counts(primary.counted)
            messages = (*_rows_in_no_window(connection), *shop.messages, *primary.messages)
        for manifest in staged.manifests[: len(SELECTIONS)]:
            _expect_records(run, manifest)
        return landed(run, SOURCE, staged.commit(as_snapshot=True), messages)


@dataclass
class _Shop:
    """One snapshot of the shop, and the batches staged from it."""

    run: Run
    connection: psycopg.Connection[Any]
    staged: Staging
    held: Known
    messages: list[str] = field(default_factory=list)
    gone: list[Standing] = field(default_factory=list)

    def stage_window(self) -> None:
        """Stage the window's rows, also for a table that has none."""
        for dataset, selection in SELECTIONS.items():
            folder = self.staged.folder(dataset)
            manifest = _stage(self.connection, self.run, dataset, selection, _values(self.run.window), folder)
            self.staged.add(folder, manifest)

    def stage_missed(self) -> None:
        """Stage the rows of landed windows that Clearwell does not have, and, in a sweep, those of orders that left its days."""
        listed = self._listed()
        with self.held.open():
            late = {
                dataset: self.held.unseen(self.run.contracts[dataset], files, self._files(dataset))
                for dataset, files in listed.items()
            }
            vanished = self._vanished() if self.run.is_sweep else {}
        moved = self._there(list(vanished))
        self.gone = [Standing((order_id,), version) for order_id, version in vanished.items() if order_id not in moved]
        orders = {key[0] for dataset in ("orders", "order_items") for key in late.get(dataset, ())}
        values = {
            "orders": sorted({*orders, *vanished}),
            "customers": [key[0] for key in late.get("customers", ())],
            "products": [key[0] for key in late.get("products", ())],
        }
        if not any(values.values()):
            return
        arrays = {name: _array(ids) for name, ids in values.items()}
        for dataset, selection in _BY_KEY.items():
            folder = self.staged.folder(dataset)
            manifest = _stage(self.connection, self.run, dataset, selection, arrays, folder, part="missed")
            if manifest.records_written:
                self.staged.add(folder, manifest)
                if dataset == "orders":
                    self.messages.append(
                        f"{manifest.records_written:,} orders that earlier landings missed are landed as well"
                    )

    def stage_deletions(self) -> None:
        """Stage a record for each order and line that is gone, and withdraw such records whose key the shop has again."""
        orders, lines = self.run.contracts["orders"], self.run.contracts["order_items"]
        gone_orders = [one.key[0] for one in self.gone]
        held = self.held
        with held.open():
            of = ("order_id", self._files("orders"), gone_orders)
            gone_lines = held.standing(lines, of=of, here=self._files("order_items"))
            earlier = {
                contract.dataset: held.deletions(contract, [one.key for one in gone])
                for contract, gone in ((orders, self.gone), (lines, gone_lines))
                if gone
            }
            returned = [
                target
                for contract in (orders, lines)
                if (files := self._files(contract.dataset))
                for target in held.returned(contract, files)
            ]
        for contract, gone in ((orders, self.gone), (lines, gone_lines)):
            if gone:
                folder = self.staged.folder(contract.dataset)
                self.staged.add(folder, _stage_deletions(folder, self.run, contract, gone, earlier[contract.dataset]))
                named = ", ".join(" ".join(one.key) for one in gone[:5]) + (" …" if len(gone) > 5 else "")
                self.messages.append(f"{len(gone):,} rows of {contract.dataset} are gone from the shop: {named}")
        if returned:
            at, reason = self.run.landed_at, "the shop has the key again"
            folder = self.staged.folder(decisions.DATASET)
            withdrawn = [decisions.withdraw(one, reason, BY, at) for one in returned]
            self.staged.add(folder, decisions.stage(folder, withdrawn))

    def stage_counts(self, primary: Sequence[counts.Shop]) -> None:
        """Count the days in this snapshot, to compare with the staged rows, and add the primary's counts."""
        folder = self.staged.folder(counts.DATASET)
        held = counts.count_shop(self.connection, self.run.window)
        landed_rows = {dataset: self.staged.files(dataset, part="") for dataset in SELECTIONS}
        found = counts.beside(held, self.run.window, landed_rows, primary)
        manifest = counts.stage(folder, self.run, SOURCE, found)
        if manifest:
            self.staged.add(folder, manifest)

    def _listed(self) -> dict[str, list[str]]:
        """List the keys and versions of rows in windows that have landed before and do not land again by themselves."""
        start = self.run.window.start
        span = Window(start - self.run.contracts[SOURCE].lateness, start)
        with self.held.open():
            landed = self.held.landed(SOURCE, span)
        windows = [part for one in joined(landed) for part in one.within(span).without(self.run.swept)]
        return {
            dataset: [path for window in windows for path in self._versions(dataset, selection, window)]
            for dataset, selection in _VERSIONS.items()
        }

    def _versions(self, dataset: str, selection: str, window: Window) -> list[str]:
        folder, key = self.staged.folder(dataset), self.run.contracts[dataset].key
        copied = copy(self.connection, folder, selection, _values(window), table=f"shop.{dataset}", key=key)
        return [str(folder / file.name) for file in copied.files]

    def _vanished(self) -> dict[str, str | None]:
        """Find the orders that stand on the window's days but that the shop does not have on them, each with its version."""
        standing = self.held.standing(self.run.contracts["orders"], on=self.run.window, here=self._files("orders"))
        return {one.key[0]: one.version for one in standing}

    def _there(self, orders: list[str]) -> set[str]:
        """Return those of these orders that the shop has on any date."""
        query = "select order_id::text from shop.orders where order_id = any(%s)"
        return {row[0] for row in self.connection.execute(query, [_array(orders)]).fetchall()} if orders else set()

    def _files(self, dataset: str) -> list[str]:
        """List the staged Parquet files that hold rows of a dataset: of the window, and those that were missed."""
        return [path for part in ("", "missed") for path in self.staged.files(dataset, part)]


def _array(ids: Sequence[str]) -> str:
    """Write ids as a literal that Postgres accepts as an array of the ids' type, whatever it is."""
    quoted = (one.replace("\\", "\\\\").replace('"', '\\"') for one in ids)
    return "{" + ",".join(f'"{one}"' for one in quoted) + "}"


def _values(window: Window) -> dict[str, Any]:
    return {"start": window.start, "end": window.end, "overlap": window.start - OVERLAP}


def _stage(
    connection: psycopg.Connection[Any],
    run: Run,
    dataset: str,
    selection: str,
    values: dict[str, Any],
    folder: Path,
    part: str = "",
) -> Manifest:
    """Write one table's rows, and compare their number with the database's own count in the same snapshot."""
    contract = run.contracts[dataset]
    counted = _count(connection, selection, values)
    # Sorted, so that the same rows give the same bytes, and so the same batch, under any query plan.
    keys = ", ".join(f'{name}::text collate "C"' for name in contract.key)
    query = f"select * from ({selection}) as s order by {keys}"
    copied = copy(connection, folder, query, values, table=f"shop.{dataset}", key=contract.key)
    if counted or not part:
        run.report(f"{dataset} {run.window}: {counted:,} records{f' ({part})' if part else ''}")
    for message in copied.messages:
        run.report(message)
    return describe(
        Written(copied.files, copied.records),
        dataset=dataset,
        source=SOURCE,
        window=run.window,
        contract_version=contract.version,
        landed_at=run.landed_at,
        counted=counted,
        content=(part, copied.sha256) if part else (copied.sha256,),
        columns=copied.columns,
        part=part,
        renamed=copied.renamed,
    )


def _stage_deletions(
    folder: Path, run: Run, contract: Contract, gone: Sequence[Standing], earlier: Sequence[Target]
) -> Manifest:
    """Write a record for each key that is gone, with the key and the last version before."""
    columns = (*contract.key, *((contract.version_column,) if contract.version_column else ()))
    rows = [(*one.key, *((one.version,) if contract.version_column else ())) for one in gone]
    schema = pa.schema([*((name, pa.string()) for name in columns), (IS_DELETED, pa.bool_())])
    values = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return describe(
        write(folder, pa.Table.from_arrays([*values, pa.array([True] * len(rows))], schema=schema)),
        dataset=contract.dataset,
        source=SOURCE,
        window=run.window,
        contract_version=contract.version,
        landed_at=run.landed_at,
        counted=len(rows),
        # earlier deletions of the same keys: a key that goes, comes back and goes again must be another batch
        content=("gone", *rows, *map(str, earlier)),
        columns=columns,
        part="gone",
    )


def _count(connection: psycopg.Connection[Any], selection: str, values: dict[str, Any]) -> int:
    row = connection.execute(f"select count(*) from ({selection}) as s", values).fetchone()
    return int(row[0]) if row else 0


def _rows_in_no_window(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    count = _count(connection, _IN_NO_WINDOW, {})
    return (
        (f"{count:,} orders have neither ordered_at nor updated_at, so they are in no window and do not land",)
        if count
        else ()
    )


def _expect_records(run: Run, manifest: Manifest) -> None:
    """Refuse a window that has no row, now or in bronze, where the contract expects some."""
    dataset = manifest.dataset

    def has_any() -> bool:
        return bool(manifest.records_written) or any(
            earlier.records_written
            for day in run.window.days()
            for earlier in bronze.readable(run.home, bronze.list_batches(run.home, dataset, day.date))
        )

    expect_records(run, run.contracts[dataset], f"shop.{dataset}", has_any)
