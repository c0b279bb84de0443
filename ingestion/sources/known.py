"""Compare keys with a source: those that it has and Clearwell does not, and those that it no longer has.

The keys are read from the state and from the batches that wait for a build. They decide what to look at, never what is
true: a later sweep finds whatever was missed.

The queries have literals, not parameters: for its first parameter, DuckDB imports pandas, which takes longer than most landings.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any

import duckdb

from ingestion import bronze, compacted, database
from ingestion.contract import Contract
from ingestion.home import Home
from ingestion.manifest import Manifest
from ingestion.names import BRONZE_BATCH, IS_DELETED, RECORD_NO, text_in_raw
from ingestion.sources.decisions import Target
from ingestion.sql import identifier, literal
from ingestion.window import Window

Key = tuple[str, ...]
# What Parquet calls a contract's columns, where that is another name.
Names = Mapping[str, str]
_SAME: Names = MappingProxyType({})
# The source need not have records of these sources under their keys.
_NOT_OF_THE_SOURCE = ("corrections",)


@dataclass(frozen=True)
class Standing:
    """A key that Clearwell takes to be at the source, and the greatest version known of it; None if it has none."""

    key: Key
    version: str | None


@dataclass(frozen=True)
class Of:
    """The keys that have certain values in some of their columns: those in Parquet files, under the names there, and `more`."""

    columns: Key
    files: Sequence[str]
    names: Key
    more: Sequence[Key] = ()


@dataclass(frozen=True)
class Batches:
    """The batches of a dataset that are in the state (`entered`), and the manifests of those that no build has parsed."""

    is_in_state: bool
    entered: frozenset[str]
    manifests: tuple[Manifest, ...]


class Known:
    """The records that Clearwell holds, as a view of keys (text) and versions for each dataset that is asked about.

    Bronze is listed, and what waits there is read, once for each dataset.
    """

    def __init__(self, home: Home, connection: duckdb.DuckDBPyConnection) -> None:
        self._home = home
        self._connection = connection
        self._batches: dict[str, Batches] = {}
        self._viewed: set[str] = set()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Open the state for queries. No build can be applied while it is open: close it before reading a source."""
        if self._home.state.exists():
            with database.attached(self._connection, self._home.state, "state"):
                yield
        else:
            yield

    def landed(self, dataset: str, span: Window) -> list[Window]:
        """List the landed windows of a dataset that overlap a span, however early they begin."""
        batches = self._batches_of(dataset)
        found = {one.window for one in batches.manifests}
        if batches.entered:
            query = _WINDOWS.format(*map(literal, (dataset, _naive(span.start), _naive(span.end))))
            rows = self._connection.execute(query).fetchall()
            found |= {Window(*(moment.replace(tzinfo=UTC) for moment in row)) for row in rows}
        return sorted(one for one in found if one.start < span.end and one.end > span.start)

    def latest(self, dataset: str) -> Manifest | None:
        """Return the manifest of the window's own rows that landed last, among the batches that are intact."""
        batches = self._batches_of(dataset)
        found = [one for one in batches.manifests if not one.part]
        if batches.entered:
            rows = self._connection.execute(_LATEST.format(literal(dataset))).fetchall()
            refs = [bronze.BatchRef(dataset, day, batch_id) for day, batch_id in rows]
            found += bronze.readable(self._home, refs, partial(bronze.verify, self._home, anew=False))
        return max(found, key=lambda one: (one.landed_at, one.batch_id), default=None)

    def unseen(self, contract: Contract, listed: Sequence[str], here: Sequence[str], names: Names = _SAME) -> list[Key]:
        """Return the keys of a source's rows that no record of any fate has, and that are not in `here`.

        Both are Parquet files of rows: `listed` holds keys and versions under the contract's names, `here` under `names`.
        """
        if not listed:
            return []
        held, key = self._open(contract), contract.key
        there = " and ".join(f"listed.{identifier(name)} is not null" for name in key)
        found = self._connection.execute(
            f"""
            with listed as (
                select {_names(key)}, {_version(contract)} as version from {_rows_of(listed)}
            )

            select distinct {_names(key, "listed")} from listed
            where {there}
            and not exists (
                select 1 from {held} as held where {_same(key, "held", "listed")} and held.version is not distinct from listed.version
            )
            {_without("listed", key, here, names)}
            order by all
            """
        ).fetchall()
        return [tuple(row) for row in found]

    def standing(
        self,
        contract: Contract,
        *,
        on: Window | None = None,
        of: Of | None = None,
        here: Sequence[str],
        names: Names = _SAME,
    ) -> list[Standing]:
        """Return the keys that stand on the dates of a window, or `of` some values, or at all, and that are not in `here`.

        A key whose latest record says that it is gone does not stand. `names` are the columns' in `here`.
        """
        held, key = self._open(contract), contract.key
        if not self._has(held):
            return []
        if on:
            where = f"record_date >= {literal(on.start.date())} and record_date < {literal(on.end.date())}"
        elif of:
            as_ours = ", ".join(
                f"{identifier(theirs)} as {identifier(ours)}" for ours, theirs in zip(of.columns, of.names, strict=True)
            )
            parts = [f"select {as_ours} from {_rows_of(of.files)}"] if of.files else []
            parts += (
                [f"select {_names(of.columns)} from {self._registered('more', of.columns, of.more)}"] if of.more else []
            )
            if not parts:
                return []
            listed = " union all ".join(parts)
            where = f"exists (select 1 from ({listed}) as listed where {_same(of.columns, 'held', 'listed')})"
        else:
            where = "true"
        found = self._connection.execute(
            f"""
            with candidates as (
                select distinct {_names(key)} from {held} as held
                where is_of_source and is_current and not {IS_DELETED} and {where}
                {_without("held", key, here, names)}
            ),

            latest as (
                select
                    {_names(key)},
                    max(version) filter (where not {IS_DELETED}) as version,
                    max(version) filter (where {IS_DELETED}) as gone_version,
                    bool_or({IS_DELETED}) as was_deleted
                from {held}
                inner join candidates using ({_names(key)})
                where is_current and is_of_source
                group by {_names(key)}
            )

            select {_names(key)}, strftime(version, '%Y-%m-%d %H:%M:%S.%f+00') from latest
            where not was_deleted or version > gone_version
            order by all
            """
        ).fetchall()
        return [Standing(tuple(row[:-1]), row[-1]) for row in found]

    def deletions(self, contract: Contract, keys: Iterable[Key]) -> list[Target]:
        """Return every record, of any fate, that says that one of these keys is gone."""
        held, listed = self._open(contract), self._registered("listed", contract.key, keys)
        return self._targets(
            contract, f"select held.* from {held} as held semi join {listed} on {_same(contract.key, 'held', 'listed')}"
        )

    def returned(self, contract: Contract, files: Sequence[str], names: Names = _SAME) -> list[Target]:
        """Return the standing deletions of keys that these Parquet files hold in a version that would lose to the deletion."""
        held = self._open(contract)
        if not self._has(held, f"is_current and {IS_DELETED}"):
            return []  # before the source's rows, which may be many, are read again
        return self._targets(
            contract,
            f"""
            select held.* from {held} as held
            inner join (
                select {_named(contract.key, names)}, max({_version(contract, names)}) as version
                from {_rows_of(files)} group by {_read_as(contract.key, names)}
            ) as listed on {_same(contract.key, "held", "listed")}
            where held.is_current and (listed.version is null or held.version is null or listed.version <= held.version)
            """,
        )

    def _targets(self, contract: Contract, query: str) -> list[Target]:
        found = self._connection.execute(
            f"select distinct batch_id, {RECORD_NO} from ({query}) where {IS_DELETED} order by all"
        ).fetchall()
        return [Target(contract.dataset, batch_id, number) for batch_id, number in found]

    def _has(self, held: str, where: str = "true") -> bool:
        return bool(self._connection.execute(f"select 1 from {held} where {where} limit 1").fetchall())

    def _registered(self, name: str, columns: Key, keys: Iterable[Key]) -> str:
        """Make a table of keys under a name, and return the name."""
        import pyarrow as pa

        values = [pa.array(column, pa.string()) for column in zip(*keys, strict=True)]
        table = pa.table(values, names=list(columns))
        self._connection.register(name, table)
        return name

    def _open(self, contract: Contract) -> str:
        """Make the view of a dataset, and name it."""
        dataset = contract.dataset
        name = f"held_{dataset}"
        if dataset in self._viewed:
            return name
        self._viewed.add(dataset)
        columns = ", ".join(f"{identifier(column)} varchar" for column in contract.key)
        self._connection.execute(
            f"create temp table waiting_{dataset} ({columns}, version timestamp, {IS_DELETED} boolean, is_current boolean, "
            f"is_of_source boolean, record_date date, batch_id varchar, {RECORD_NO} bigint)"
        )
        batches = self._batches_of(dataset)
        of_state = _of_state(contract) + " union all " if batches.is_in_state else ""
        self._connection.execute(f"create temp view {name} as {of_state} from waiting_{dataset}")
        for alike in _alike(batches.manifests):
            self._copy(contract, alike, batches.entered)
        return name

    def _batches_of(self, dataset: str) -> Batches:
        """List the batches that no build has parsed. If a build is applied meanwhile, some keys are only known twice."""
        if dataset not in self._batches:
            tables = {f"{schema}.{name}" for schema, name in self._connection.execute(_TABLES).fetchall()}
            is_in_state = f"records.{dataset}" in tables
            entered, unparsed = (
                {row[0] for row in self._connection.execute(query.format(literal(dataset))).fetchall()}
                if is_in_state
                else set()
                for query in (_ENTERED, _UNPARSED)
            )
            refs = bronze.list_batches(self._home, dataset)
            ahead = [ref for ref in refs if ref.batch_id not in entered or ref.batch_id in unparsed]
            manifests = bronze.readable(self._home, ahead, partial(bronze.verify, self._home, anew=False))
            self._batches[dataset] = Batches(is_in_state, frozenset(entered), tuple(manifests))
        return self._batches[dataset]

    def _copy(self, contract: Contract, manifests: Sequence[Manifest], entered: Set[str]) -> None:
        """Copy keys and versions out of batches that no build has parsed, and whose columns are the same."""
        manifest = manifests[0]
        meant = contract.in_source((*contract.key, contract.version_column, contract.event_time), manifest.columns)
        physical = {name: manifest.renamed.get(column, column) for name, column in meant.items()}
        if not physical.keys() >= set(contract.key):
            return  # no row of them has a key
        key = ", ".join(identifier(physical[name]) for name in contract.key)
        version, event_time = (
            _time(physical.get(name or ""), _zone(contract, name))
            for name in (contract.version_column, contract.event_time)
        )
        deleted = IS_DELETED if manifest.part == "gone" else "false"
        is_of_source = manifest.source not in _NOT_OF_THE_SOURCE
        files = [(path, one.batch_id) for one in manifests for path in bronze.parquet_files(self._home, one)]
        for is_shared in (False, True):
            chosen = [(path, batch_id) for path, batch_id in files if compacted.is_shared(path) == is_shared]
            if not chosen:
                continue
            listed = ", ".join(
                f"({literal(path)}, {literal(batch_id)}, {batch_id not in entered})" for path, batch_id in chosen
            )
            paths = ", ".join(map(literal, sorted({path for path, _ in chosen})))
            self._connection.execute(
                f"""
                insert into waiting_{contract.dataset}
                select
                    {key}, {version}, {deleted}, listed.is_current, {is_of_source}, cast({event_time} as date), listed.batch_id,
                    {RECORD_NO}
                from read_parquet([{paths}], hive_partitioning = false, filename = 'bronze_file')
                inner join (values {listed}) as listed (path, batch_id, is_current)
                    on bronze_file = listed.path {f"and {BRONZE_BATCH} = listed.batch_id" if is_shared else ""}
                """
            )


@contextmanager
def known(home: Home) -> Iterator[Known]:
    """Give a `Known` for the time of one landing. It takes as much memory as CLEARWELL_MEMORY allows; more keys are spilled."""
    with (
        bronze.staged(home, "known") as spilled,
        duckdb.connect(config={"memory_limit": database.memory()}) as connection,
    ):
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set temp_directory = {database.literal(spilled)}")
        yield Known(home, connection)


def _alike(manifests: Iterable[Manifest]) -> list[list[Manifest]]:
    """Group the batches whose keys one statement can read. Each statement costs milliseconds, and a year may wait for its build."""
    found: dict[Any, list[Manifest]] = defaultdict(list)
    for one in manifests:
        found[one.columns, tuple(sorted(one.renamed.items())), one.part == "gone", one.source].append(one)
    return [*found.values()]


def _of_state(contract: Contract) -> str:
    """Select the keys and versions in the state: of its records, and of its refused ones."""
    dataset, version = contract.dataset, contract.version_column
    key = ", ".join(f"cast({identifier(name)} as varchar) as {identifier(name)}" for name in contract.key)
    refused = ", ".join(text_in_raw(contract.at_source(name)) for name in contract.key)
    refused_version = (
        f"try_cast({text_in_raw(contract.at_source(version))} as timestamptz) at time zone 'UTC'" if version else "null"
    )
    sources = ", ".join(f"'{name}'" for name in _NOT_OF_THE_SOURCE)
    return f"""
        with batches as (
            select batch_id, source not in ({sources}) as is_of_source from state.ops.batches where dataset = '{dataset}'
        )

        select
            {key}, {identifier(version) if version else "null::timestamp"} as version, coalesce({IS_DELETED}, false) as {IS_DELETED},
            fate = 'current' as is_current, is_of_source, record_date, batch_id, {RECORD_NO}
        from state.records.{dataset}
        inner join batches using (batch_id)
        union all
        select {refused}, {refused_version}, false, false, is_of_source, record_date, batch_id, {RECORD_NO}
        from state.records.refused
        inner join batches using (batch_id)
        where dataset = '{dataset}' and json_valid(raw)
    """


def _rows_of(files: Sequence[str]) -> str:
    return f"read_parquet([{', '.join(map(literal, files))}], union_by_name = true)"


def _without(table: str, key: Key, here: Sequence[str], names: Names) -> str:
    if not here:
        return ""
    rows = f"(select {_named(key, names)} from {_rows_of(here)})"
    return f"and not exists (select 1 from {rows} as here where {_same(key, table, 'here')})"


def _version(contract: Contract, names: Names = _SAME) -> str:
    name = contract.version_column
    return _time(names.get(name or "", name), _zone(contract, name))


def _zone(contract: Contract, name: str | None) -> str:
    return next((one.timezone for one in contract.columns if one.name == name), "UTC")


def _read_as(key: Key, names: Names) -> str:
    return _names(tuple(names.get(name, name) for name in key))


def _named(key: Key, names: Names) -> str:
    """Select a key's columns, by what Parquet calls them, under the contract's names."""
    return ", ".join(f"{identifier(names.get(name, name))} as {identifier(name)}" for name in key)


def _time(column: str | None, zone: str = "UTC") -> str:
    """Read a text as a UTC time; one that does not say its zone is of this one."""
    if not column:
        return "null::timestamp"
    text = identifier(column)
    moment = f"(try_cast({text} as timestamptz) at time zone 'UTC')"
    if zone == "UTC":
        return moment
    local = f"(try_cast({text} as timestamp) at time zone '{zone}' at time zone 'UTC')"
    return f"(case when regexp_matches({text}, ':.*[Z+-]') then {moment} else {local} end)"


def _naive(moment: datetime) -> datetime:
    """Return a time as the state keeps it."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _names(key: Key, table: str = "") -> str:
    return ", ".join(f"{table}.{identifier(name)}" if table else identifier(name) for name in key)


def _same(key: Key, left: str, right: str) -> str:
    return " and ".join(f"{left}.{identifier(name)} = {right}.{identifier(name)}" for name in key)


_TABLES = "select table_schema, table_name from information_schema.tables where table_catalog = 'state'"
_ENTERED = "select batch_id from state.ops.batches where dataset = {0}"
_LATEST = """
    select cast(window_start as date), batch_id from state.ops.batches
    where dataset = {0} and part = '' and landed_at = (
        select max(landed_at) from state.ops.batches where dataset = {0} and part = ''
    )
"""
_UNPARSED = "select distinct batch_id from state.records.refused where dataset = {0} and reasons = ['retracted']"
_WINDOWS = """
    select distinct window_start, window_end from state.ops.batches
    where dataset = {0} and window_end > {1} and window_start < {2}
"""
