"""Tables, views and queries of any Postgres, by declaration: a contract's `table` or `query`, read over its `connection`.

All datasets of a source come from one read-only snapshot, and enter a build together. A window holds the rows that were `placed`
or `changed` in it, and those that land with the rows of another dataset. It also gets the rows that earlier windows missed (rows
committed late, with old times), as far back as the contract's lateness. A table without such times is read whole, and lands when
its content differs from what landed last. Every value is kept as the database's own text.

A row that is gone becomes a record that says so: for a whole table in every landing, for an owner's rows when the owner lands, and
for the days of a window in a sweep. A sweep also counts the days a second time, in the same snapshot, and at the primary if the
database is a copy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq

from ingestion import bronze, connections
from ingestion.connections import Address
from ingestion.contract import Contract
from ingestion.errors import ClearwellError
from ingestion.home import Home
from ingestion.kinds import Problem
from ingestion.land import Landing, Run, Staging, landed, staging
from ingestion.manifest import Manifest, Whole
from ingestion.sources import table_counts
from ingestion.sources.copied import Copied, copy
from ingestion.sources.database_rows import (
    ROWS,
    Taken,
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
from ingestion.sources.decisions import Target
from ingestion.sources.known import Key, Known, Of, Standing, known
from ingestion.sources.postgres import SHOP, About, is_cut_off, snapshot
from ingestion.sources.primary import Primary
from ingestion.sources.table_queries import OpenTable, by_owner, open_table, quoted, selection
from ingestion.table_settings import Table
from ingestion.window import Window, iso, joined


def ingest(source: str, run: Run) -> Landing:
    """Land the window's rows of a source's tables, rows that earlier windows missed, and deletions, from one snapshot."""
    contracts = in_order([one for one in run.contracts.values() if one.source == source])
    settings: Table = contracts[0].settings
    address, about = database_of(settings.connection, run.home)
    with staging(run.home) as staged, known(run.home) as held:
        primary = Primary(
            run, connections.find_primary(settings.primary, run.home), partial(_count, run.window, contracts)
        )
        primary.count()
        with snapshot(address.url, run.window.end, run.landed_at, about=about) as connection:
            primary.count()
            tables = {one.dataset: open_table(connection, one) for one in contracts}
            view = _Snapshot(run, connection, staged, held, tables)
            view.stage_window()
            view.stage_missed()
            view.stage_deletions()
            if run.is_sweep:
                view.tell_rows_in_no_window()
                view.stage_counts(primary.counted)
        for dataset, table in tables.items():
            has_any = bool(view.found[dataset])
            expect_rows(run, table.contract, table.label, has_any, or_before=not table.settings.is_whole)
        return landed(run, source, staged.commit(as_snapshot=True), (*view.messages, *primary.messages))


def _count(
    window: Window, contracts: Sequence[Contract], connection: psycopg.Connection[Any]
) -> Mapping[str, table_counts.Counted]:
    """Count a window's days in another database with these tables."""
    tables = {one.dataset: open_table(connection, one) for one in contracts}
    return table_counts.count(connection, table_counts.countings(tables), window)[0]


def check(source: str, contracts: Sequence[Contract], home: Home) -> list[Problem]:
    """Find what would keep a source's tables from landing: its connection, each table, its columns, and the right to read it."""
    contracts = in_order(contracts)
    settings: Table = contracts[0].settings
    address, about = database_of(settings.connection, home)
    connections.find_primary(settings.primary, home)
    problems: list[Problem] = []
    with snapshot(address.url, about=about) as connection:  # one problem, if it fails, and not one per table
        if is_cut_off(connection):
            todo = f"repair the replication, or set {about.given_as} to the primary"
            what = "the replica receives nothing from its primary"
            problems.append(Problem(source, "", what, connection.where, todo))
    tables: dict[str, OpenTable] = {}
    for contract in contracts:
        try:
            # each in a transaction of its own: an error ends one
            with snapshot(address.url, about=about) as connection:
                tables[contract.dataset] = open_table(connection, contract)
                if _leads(tables, contract):
                    query = selection(tables, contract.dataset, OpenTable.in_window)
                    some = window_values(Window.parse("2000-01-01", "2000-01-02"))
                    connection.execute(f"select * from ({query}) as {ROWS} limit 0", some)
        except ClearwellError as error:
            problems.append(Problem.of(error, source, contract.dataset))
    return problems


def _leads(tables: Mapping[str, OpenTable], contract: Contract) -> bool:
    """Say whether all tables that a table's rows land with could be opened."""
    if contract.dataset not in tables:
        return False
    with_ = contract.settings.lands_with
    return not with_ or (with_.dataset in tables and _leads(tables, tables[with_.dataset].contract))


def in_order(contracts: Sequence[Contract]) -> list[Contract]:
    """Sort a source's contracts by name, but each after the one that it lands with."""
    by_name = {one.dataset: one for one in contracts}

    def way(contract: Contract) -> tuple[str, ...]:
        with_ = contract.settings.lands_with
        return (*(way(by_name[with_.dataset]) if with_ else ()), contract.dataset)

    return sorted(contracts, key=way)


def newest(contract: Contract, home: Home) -> datetime | None:
    """Return the latest time of a table's rows; None if it has none, or no column that says one."""
    column = contract.settings.placed or contract.settings.changed
    address, about = database_of(contract.settings.connection, home)
    with snapshot(address.url, about=about) as connection:
        table = open_table(connection, contract)
        return _extreme(connection, table, column, "max") if column else None


def begins(contract: Contract, home: Home, window: Window) -> datetime | None:
    """Return the time of the first row of a table that says when its rows were `placed`, or a window's start if that is later."""
    address, about = database_of(contract.settings.connection, home)
    with snapshot(address.url, about=about) as connection:
        table = open_table(connection, contract)
        column = contract.settings.placed
        # Stops at the first row found; min() does so only with an index.
        is_there = f"{table.moment(column)} < %(end)s and not {in_no_window([quoted(table.at(column))])}"
        query = f"select 1 from {table.sql} as {ROWS} where {is_there} limit 1"
        if connection.execute(query, {"end": window.end}).fetchone():
            return window.start
        return _extreme(connection, table, column, "min")


def _extreme(connection: psycopg.Connection[Any], table: OpenTable, column: str, which: str) -> datetime | None:
    is_there = f"not {in_no_window([quoted(table.at(column))])}"
    query = f"select {which}({table.moment(column)})::timestamptz from {table.sql} as {ROWS} where {is_there}"
    row = connection.execute(query, {}).fetchone()
    return row[0].astimezone(UTC) if row and row[0] else None


def database_of(name: str, home: Home) -> tuple[Address, About]:
    """Return the address of a connection, and how messages speak of its database."""
    address = connections.find(name, home)
    if address.given_as == SHOP.given_as:
        return address, SHOP
    missing = "compare `table` or `query` in the contract with the database that {given_as} names"
    rights = "grant the user `select` on what the contract reads, and `usage` on its schema"
    return address, About(f"the database of connection {name}", address.given_as, missing, rights)


@dataclass
class _Snapshot:
    """One snapshot of a source's tables, and the batches staged from it. A table comes after the one that it lands with."""

    run: Run
    connection: psycopg.Connection[Any]
    staged: Staging
    held: Known
    tables: Mapping[str, OpenTable]
    messages: list[str] = field(default_factory=list)
    # Per dataset: the number of the window's rows, the Parquet files of all rows read, what these call the contract's columns,
    # and the keys that are gone.
    found: dict[str, int] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, Mapping[str, str]] = field(default_factory=dict)
    gone: dict[str, list[Standing]] = field(default_factory=dict)
    # The files of the window's own rows, which may be those of an earlier batch with the same content.
    taken: dict[str, table_counts.Taken] = field(default_factory=dict)

    def stage_window(self) -> None:
        """Stage the window's rows, also for a table that has none."""
        for dataset, table in self.tables.items():
            folder = self.staged.folder(dataset)
            query = selection(self.tables, dataset, OpenTable.in_window)
            taken = self._take(table, query, window_values(self.run.window), folder)
            self.found[dataset] = taken.counted
            self.taken[dataset] = table_counts.Taken(_paths(folder, taken.copied), taken.copied.renamed)
            if table.settings.is_whole:
                self._stage_whole(table, taken, folder)
            else:
                self.staged.add(folder, describe_rows(self.run, table.contract, taken))

    def stage_missed(self) -> None:
        """Stage the rows of landed windows that Clearwell does not have, and, in a sweep, those that left the window's days."""
        timed = {name: table for name, table in self.tables.items() if not table.settings.is_whole}
        listed = {name: self._listed(table) for name, table in timed.items()}
        with self.held.open():
            keys = {name: self._unseen(table, listed[name]) for name, table in timed.items()}
            vanished = {name: self._vanished(table) for name, table in timed.items()} if self.run.is_sweep else {}
        there = {name: self._there(timed[name], found) for name, found in vanished.items() if found}
        for name in there:
            keys[name] += self._moved(timed[name], vanished[name])
        with self.held.open():
            for name, files in there.items():
                keys[name] += self._unseen(timed[name], files)
        for name, files in there.items():
            still = _keys_in(files, timed[name].contract.key)
            self.gone[name] = [one for one in vanished[name] if one.key not in still]
        self._stage_keys(timed, keys)

    def stage_deletions(self) -> None:
        """Stage a record for each row that is gone, and withdraw such records whose key the source has again."""
        earlier: dict[str, list[Target]] = {}
        returned: list[Target] = []
        for name, table in self.tables.items():
            with self.held.open():
                gone = self._gone(table)
            if gone and table.owner:
                # a row that is still there, while the row that it belonged to is not, was not deleted
                still = _keys_in(self._there(table, gone), table.contract.key)
                gone = [one for one in gone if one.key not in still]
            if gone:
                self.gone[name] = gone
        with self.held.open():
            for name, table in self.tables.items():
                if gone := self.gone.get(name, []):
                    earlier[name] = self.held.deletions(table.contract, [one.key for one in gone])
                if self.files.get(name):
                    returned += self.held.returned(table.contract, self.files[name], self.names[name])
        for name, targets in earlier.items():
            table, gone = self.tables[name], self.gone[name]
            folder = self.staged.folder(name)
            self.staged.add(folder, write_gone(folder, self.run, table.contract, gone, targets))
            self.messages.append(f"{len(gone):,} rows of {name} are gone from {table.label}: {names_of(gone)}")
        stage_returned(self.staged, self.run, returned, "the source")

    def stage_counts(self, primary: Sequence[Mapping[str, table_counts.Counted]]) -> None:
        """Count the window's days, or a whole table, in this snapshot, to compare with what landed; add the primary's counts."""
        ways = table_counts.countings(self.tables)
        source = next(iter(self.tables.values())).contract.source
        self.messages += table_counts.stage(self.staged, self.run, source, self.connection, ways, self.taken, primary)

    def tell_rows_in_no_window(self) -> None:
        """Report rows without any time: they are in no window. It may read a whole table, so none that is read in pages."""
        for table in self.tables.values():
            if table.in_no_window() and not table.settings.lands_with and not table.settings.pages:
                query = f"select from {table.sql} as {ROWS} where {table.in_no_window()}"
                if number := count(self.connection, query, {}):
                    what = " and ".join(filter(None, (table.settings.placed, table.settings.changed)))
                    self.messages.append(
                        f"{number:,} rows of {table.label} have no {what} in the years 1 to 9999, so they are in no window and do not land"
                    )

    def _take(self, table: OpenTable, query: str, values: Mapping[str, Any], folder: Path) -> Taken:
        filled = {table.filled: iso(self.run.landed_at)} if table.filled else {}
        taken = take(
            self.connection,
            query,
            values,
            folder,
            table=table.label,
            key=table.key,
            is_unique=table.is_unique,
            more=filled,
            pages=table.pages(),
        )
        copied = taken.copied
        meant = table.contract.in_source([one.name for one in table.contract.columns], copied.columns)
        self.names[table.dataset] = {name: copied.renamed.get(column, column) for name, column in meant.items()}
        self.files.setdefault(table.dataset, []).extend(_paths(folder, copied))
        return taken

    # --- whole tables ---

    def _stage_whole(self, table: OpenTable, taken: Taken, folder: Path) -> None:
        """Stage a whole table if its content differs from what landed last; else a batch without records that says who holds it."""
        dataset = table.dataset
        seen = " ".join([taken.copied.sha256, *([table.filled] if table.filled else [])])
        with self.held.open():
            last = self.held.latest(dataset)
        holder = self._holder(last, seen) if last else None
        if not holder:
            whole = Whole(seen, taken.counted)
            content = (last.batch_id if last else None,)
            self.staged.add(folder, describe_rows(self.run, table.contract, taken, content=content, whole=whole))
            return
        self.run.report(f"{dataset} {self.run.window}: {taken.counted:,} records, as in batch {holder.batch_id}")
        self.taken[dataset] = table_counts.Taken(bronze.parquet_files(self.run.home, holder), holder.renamed)
        refs = bronze.list_batches(self.run.home, dataset, self.run.window.date)
        for one in bronze.readable(self.run.home, refs):
            of_holder = one.batch_id == holder.batch_id or (one.whole and one.whole.held_by == holder.batch_id)
            if one.window == self.run.window and of_holder:
                self.staged.add(self.staged.folder(dataset), one)
                return
        nothing = Taken(_without_rows(taken.copied), 0)
        held_by = Whole(seen, taken.counted, holder.batch_id)
        manifest = describe_rows(self.run, table.contract, nothing, content=("unchanged", held_by), whole=held_by)
        self.staged.add(self.staged.folder(dataset), manifest)

    def _holder(self, last: Manifest, seen: str) -> Manifest | None:
        """Return the intact batch that holds this content, if it is what landed last."""
        if not last.whole or last.whole.sha256 != seen:
            return None
        batch_id = last.whole.held_by or last.batch_id
        refs = [one for one in bronze.list_batches(self.run.home, last.dataset) if one.batch_id == batch_id]
        check_files = partial(bronze.verify, self.run.home, anew=False)
        return next(iter(bronze.readable(self.run.home, refs, check_files)), None)

    # --- what earlier landings missed ---

    def _listed(self, table: OpenTable) -> list[str]:
        """List the keys and versions of rows in windows that have landed before and do not land again by themselves."""
        if table.in_window() == "false":
            return []
        start = self.run.window.start
        span = Window(start - table.contract.lateness, start)
        with self.held.open():
            before = self.held.landed(table.dataset, span)
        windows = [part for one in joined(before) for part in one.within(span).without(self.run.swept)]
        query = table.versions(table.in_window())
        return [path for window in windows for path in self._versions(table, query, window_values(window))]

    def _versions(self, table: OpenTable, query: str, values: Mapping[str, Any]) -> list[str]:
        folder = self.staged.folder(table.dataset)
        pages = table.pages({column: name for name, column in table.named.items() if name in table.contract.key})
        key = table.contract.key
        copied = copy(self.connection, folder, query, values, table=table.label, key=key, pages=pages)
        return _paths(folder, copied)

    def _unseen(self, table: OpenTable, listed: Sequence[str]) -> list[Key]:
        name = table.dataset
        return self.held.unseen(table.contract, listed, self.files.get(name, []), self.names.get(name, {}))

    def _vanished(self, table: OpenTable) -> list[Standing]:
        """Find the keys that stand on the window's days, but not in this landing."""
        if table.owner or not table.contract.event_time:
            return []
        files, names = self.files.get(table.dataset, []), self.names[table.dataset]
        return self.held.standing(table.contract, on=self.run.window, here=files, names=names)

    def _there(self, table: OpenTable, vanished: Sequence[Standing]) -> list[str]:
        """List the keys and versions of those of these rows that the table has, whatever their times."""
        values = {name: array(ids) for name, ids in table.key_values([one.key for one in vanished]).items()}
        return self._versions(table, table.versions(table.by_key()), values)

    def _moved(self, table: OpenTable, vanished: Sequence[Standing]) -> list[Key]:
        """Return the keys of those of these rows that are on other days now. They land even with a version that is known."""
        if not (condition := table.not_on()):
            return []
        values = {name: array(ids) for name, ids in table.key_values([one.key for one in vanished]).items()}
        query = table.versions(f"{table.by_key()} and {condition}")
        files = self._versions(table, query, values | window_values(self.run.window))
        return sorted(_keys_in(files, table.contract.key))

    def _stage_keys(self, timed: Mapping[str, OpenTable], keys: Mapping[str, Sequence[Key]]) -> None:
        """Stage the rows with these keys, their owners, and all that lands with them; also what gone rows still own."""
        wanted = {name: {*found, *(one.key for one in self.gone.get(name, []))} for name, found in keys.items()}
        for name, table in reversed(list(timed.items())):
            if table.owner:
                places = [table.contract.key.index(column) for column in table.owner.columns]
                wanted[table.owner.dataset] |= {tuple(key[place] for place in places) for key in wanted[name]}
        if not any(wanted.values()):
            return
        values = {
            array_name: array(ids)
            for name, table in timed.items()
            for array_name, ids in table.key_values(sorted(wanted[name])).items()
        }
        for name, table in timed.items():
            folder = self.staged.folder(name)
            taken = self._take(table, selection(timed, name, partial(by_owner, timed)), values, folder)
            if taken.counted:
                self.staged.add(folder, describe_rows(self.run, table.contract, taken, part="missed"))
                self.messages.append(
                    f"{taken.counted:,} rows of {name} that earlier landings missed are landed as well"
                )

    # --- deletions ---

    def _gone(self, table: OpenTable) -> list[Standing]:
        """Find the rows that are gone: from a whole table, from the owners that land, or else from the days of a sweep."""
        here, names = self.files.get(table.dataset, []), self.names[table.dataset]
        if table.settings.is_whole:
            return self.held.standing(table.contract, here=here, names=names)
        if not table.owner:
            return self.gone.get(table.dataset, [])
        owner = self.tables[table.owner.dataset]
        of = Of(
            table.owner.columns,
            self.files.get(owner.dataset, []),
            tuple(self.names[owner.dataset][name] for name in owner.contract.key),
            [one.key for one in self.gone.get(owner.dataset, [])],
        )
        return self.held.standing(table.contract, of=of, here=here, names=names) if of.files or of.more else []


def _paths(folder: Path, copied: Copied) -> list[str]:
    return [str(folder / file.name) for file in copied.files]


def _without_rows(copied: Copied) -> Copied:
    return Copied(copied.columns, copied.renamed, (), 0, copied.sha256)


def _keys_in(files: Sequence[str], key: Key) -> set[Key]:
    """Read the keys in Parquet files of keys and versions."""
    return {tuple(row.values()) for path in files for row in pq.read_table(path, columns=list(key)).to_pylist()}
