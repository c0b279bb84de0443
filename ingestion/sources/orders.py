"""The shop's four tables, read in one transaction: rows placed or changed in the window, and the rows they refer to.

Besides its window a run lands what earlier windows missed (rows committed late, with old times), as far back as the
contract's lateness, and says which lines of its orders are gone. A sweep also says which orders of its days are gone,
and counts the days. Every value is kept as the database's own text. The batches of one run share a snapshot and enter a build
together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from ingestion.contract import Contract
from ingestion.errors import ClearwellError
from ingestion.home import Home
from ingestion.kinds import Problem
from ingestion.land import Landing, Run, Staging, landed, staging
from ingestion.manifest import Manifest
from ingestion.sources import table_counts
from ingestion.sources.copied import copy
from ingestion.sources.database_rows import (
    array,
    count,
    describe_rows,
    expect_rows,
    in_no_window,
    names_of,
    stage_returned,
    take,
    window_values,
    write_gone,
)
from ingestion.sources.known import Known, Of, Standing, known
from ingestion.sources.postgres import is_cut_off, snapshot
from ingestion.sources.primary import Primary
from ingestion.sources.table_counts import Counted, Counting
from ingestion.sources.table_queries import open_table
from ingestion.table_settings import LandsWith, Table
from ingestion.window import Window, joined

SOURCE = "orders"

_PLACED = "(ordered_at >= %(start)s and ordered_at < %(end)s)"
_CREATED = "(created_at >= %(start)s and created_at < %(end)s)"
_CHANGED = "(updated_at >= %(overlap)s and updated_at < %(end)s)"
_IN_NO_WINDOW = f"select from shop.orders where {in_no_window(['ordered_at', 'updated_at'])}"


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

# The tables that a sweep counts by day, as a contract of kind `table` would declare them.
_COUNTED = {
    "orders": Table("shop", ("shop", "orders"), placed="ordered_at"),
    "order_items": Table("shop", ("shop", "order_items"), lands_with=LandsWith("orders", ("order_id",))),
}


def ingest(source: str, run: Run) -> Landing:
    """Land the window's rows of the four tables, rows that earlier windows missed, and deletions, from one snapshot."""
    with staging(run.home) as staged, known(run.home) as held:
        primary = Primary(run, lambda there: table_counts.count(there, _ways(there, run), run.window)[0])
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
            contract = run.contracts[manifest.dataset]
            expect_rows(run, contract, f"shop.{manifest.dataset}", bool(manifest.records_written))
        return landed(run, SOURCE, staged.commit(as_snapshot=True), messages)


def check(source: str, contracts: Sequence[Contract], home: Home) -> list[Problem]:
    """Find what would keep the shop's tables from landing: the connection, each table, its columns, and the right to read it."""
    url, problems = home.database_url(), list[Problem]()
    with snapshot(url) as connection:
        if is_cut_off(connection):
            what, todo = "the replica receives nothing from its primary", "repair the replication, or read the primary"
            problems.append(Problem(source, "", what, connection.where, todo))
    some = window_values(Window.parse("2000-01-01", "2000-01-02"))
    for contract in contracts:
        try:
            # each in a transaction of its own: an error ends one
            with snapshot(url) as connection:
                connection.execute(f"select * from ({SELECTIONS[contract.dataset]}) as s limit 0", some)
        except ClearwellError as error:
            problems.append(Problem.of(error, source, contract.dataset))
    return problems


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
            manifest = _stage(self.connection, self.run, dataset, selection, window_values(self.run.window), folder)
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
        arrays = {name: array(ids) for name, ids in values.items()}
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
        held = self.held
        with held.open():
            of = Of(("order_id",), self._files("orders"), ("order_id",), [one.key for one in self.gone])
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
                self.staged.add(folder, write_gone(folder, self.run, contract, gone, earlier[contract.dataset]))
                self.messages.append(
                    f"{len(gone):,} rows of {contract.dataset} are gone from the shop: {names_of(gone)}"
                )
        stage_returned(self.staged, self.run, returned, "the shop")

    def stage_counts(self, primary: Sequence[Mapping[str, Counted]]) -> None:
        """Count the days in this snapshot, to compare with the staged rows, and add the primary's counts."""
        taken = {
            one.dataset: table_counts.Taken(self.staged.files(one.dataset, part=""), one.renamed)
            for one in self.staged.manifests
            if not one.part
        }
        ways = _ways(self.connection, self.run)
        self.messages += table_counts.stage(self.staged, self.run, SOURCE, self.connection, ways, taken, primary)

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
        copied = copy(self.connection, folder, selection, window_values(window), table=f"shop.{dataset}", key=key)
        return [str(folder / file.name) for file in copied.files]

    def _vanished(self) -> dict[str, str | None]:
        """Find the orders that stand on the window's days but that the shop does not have on them, each with its version."""
        standing = self.held.standing(self.run.contracts["orders"], on=self.run.window, here=self._files("orders"))
        return {one.key[0]: one.version for one in standing}

    def _there(self, orders: list[str]) -> set[str]:
        """Return those of these orders that the shop has on any date."""
        query = "select order_id::text from shop.orders where order_id = any(%s)"
        return {row[0] for row in self.connection.execute(query, [array(orders)]).fetchall()} if orders else set()

    def _files(self, dataset: str) -> list[str]:
        """List the staged Parquet files that hold rows of a dataset: of the window, and those that were missed."""
        return [path for part in ("", "missed") for path in self.staged.files(dataset, part)]


def _ways(connection: psycopg.Connection[Any], run: Run) -> dict[str, Counting]:
    """Say how the shop's days are counted: orders, and lines with their money by the currency of their order."""
    tables = {
        dataset: open_table(
            connection,
            # no more of the contract than a count needs: what else the shop's tables lack is the landing's to say
            replace(run.contracts[dataset], settings=settings, key=("order_id",), version_column=None, event_time=None),
        )
        for dataset, settings in _COUNTED.items()
    }
    ways = table_counts.countings(tables)
    # an order's total is nobody's revenue
    return ways | {"orders": replace(ways["orders"], amount=None)}


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
    taken = take(connection, selection, values, folder, table=f"shop.{dataset}", key=contract.key)
    return describe_rows(run, contract, taken, part)


def _rows_in_no_window(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    number = count(connection, _IN_NO_WINDOW, {})
    return (
        (
            f"{number:,} orders have neither ordered_at nor updated_at in the years 1 to 9999, so they are in no window and do not land",
        )
        if number
        else ()
    )
