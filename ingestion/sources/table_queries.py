"""The queries that read a contract's table or query of a database, whatever its names and types.

A contract's column is found by what the source may call it. The columns and their types come from the database, so nothing has to be
declared twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import psycopg

from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.fields import guess
from ingestion.sources.database_rows import ROWS, in_no_window, quoted
from ingestion.sources.pages import KeyColumn, Pages
from ingestion.sql import identifier
from ingestion.table_settings import LandsWith, Table

# The types that are compared with a window's times. Those without a time zone are UTC, as the session is.
_NAIVE = "timestamp without time zone"
_TIMES = ("date", _NAIVE, "timestamp with time zone")
# The types that a COPY fills with blanks, and a cast to text does not.
_PADDED = ("character", "bpchar")
_WHOLE = ("smallint", "integer", "bigint")
# The types of which a key's text in the table and in the state are the same, where the contract's is no text.
_SAME_TEXT = {"bigint": _WHOLE, "integer": _WHOLE, "date": ("date",)}
# The columns of an index that no two rows of a table share, in its order, each with the index's collation. Rows of tables that
# inherit from a table are not in its index.
_UNIQUE = """
    select a.attname, coalesce(quote_ident(n.nspname) || '.' || quote_ident(o.collname), '')
    from (
        select i.*
        from pg_index as i
        join pg_class as c on c.oid = i.indrelid
        where i.indrelid = %s::regclass and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
        and not (c.relkind = 'r' and exists (select from pg_inherits as h where h.inhparent = c.oid))
        and not exists (
            select from pg_attribute as a
            where a.attrelid = i.indrelid and a.attnum = any(i.indkey[0:i.indnkeyatts - 1])
            and not (a.attnotnull and a.attname = any(%s))
        )
        order by i.indisprimary desc, i.indnkeyatts, i.indexrelid
        limit 1
    ) as i
    cross join lateral (
        select place, i.indkey[place] as attnum, i.indcollation[place] as collation_oid
        from generate_series(0, i.indnkeyatts - 1) as place
    ) as k
    join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
    left join pg_collation as o on o.oid = k.collation_oid
    left join pg_namespace as n on n.oid = o.collnamespace
    order by k.place
"""


@dataclass(frozen=True)
class OpenTable:
    """A dataset's table as the database has it: its columns with their types, and what the contract's columns are called in it.

    `sql` is the table as part of a `from`, and `label` its name in messages.
    """

    contract: Contract
    sql: str
    label: str
    types: Mapping[str, str]
    named: Mapping[str, str]
    # The columns that no two rows share, in the order of their index, each with its collation; empty if there is no such index.
    index: tuple[tuple[str, str], ...] = ()

    @property
    def dataset(self) -> str:
        return self.contract.dataset

    @property
    def settings(self) -> Table:
        settings: Table = self.contract.settings
        return settings

    @property
    def key(self) -> list[str]:
        """Return the key's columns at the source."""
        return [self.named[name] for name in self.contract.key]

    @property
    def is_unique(self) -> bool:
        """Return whether no two rows can have the same key."""
        return bool(self.index)

    def pages(self, names: Mapping[str, str] = MappingProxyType({})) -> Pages | None:
        """Return how its rows are read in pages, if they are. `names` are other names of the columns in the query."""
        if not self.settings.pages:
            return None
        by = []
        for column, collation in self.index:
            name = names.get(column, column)
            sql = f"{quoted(name)} collate {collation.replace('%', '%%')}" if collation else quoted(name)
            by.append(KeyColumn(name, sql, self.types[column].replace("%", "%%")))
        padded = [names.get(one, one) for one in self.key if self.types[one] in _PADDED]
        return Pages(self.settings.pages, by, [names.get(one, one) for one in self.key], padded)

    @property
    def filled(self) -> str | None:
        """Return the version column that a whole table does not have: its landing fills it in."""
        version = self.contract.version_column
        return self.contract.at_source(version)[0] if version and version not in self.named else None

    @property
    def owner(self) -> LandsWith | None:
        """Return the dataset whose rows own this table's: one of these that is gone from an owner was deleted."""
        with_ = self.settings.lands_with
        return with_ if with_ and not with_.matches and set(with_.columns) <= set(self.contract.key) else None

    def at(self, name: str) -> str:
        """Return what the source calls a column that a contract names, by its own name for it or by the source's."""
        return self.named.get(name) or self.contract.in_source([name], self.types).get(name, name)

    def zone(self, name: str) -> str:
        """Return the time zone of a column's times: the contract's for those that do not say theirs, else UTC."""
        if self.types[self.at(name)] != _NAIVE:
            return "UTC"
        return next((one.timezone for one in self.contract.columns if self.named.get(one.name) == self.at(name)), "UTC")

    def moment(self, name: str) -> str:
        """Return a column as a moment: a time without a zone is of the contract's."""
        column, zone = quoted(self.at(name)), self.zone(name)
        return column if zone == "UTC" else f"({column} at time zone '{zone}')"

    def in_window(self) -> str:
        """Return the condition for the rows whose own times are in a window; for all rows of a table that is read whole."""
        if self.settings.is_whole:
            return "true"
        placed, changed = self.settings.placed, self.settings.changed
        parts = [self._between(placed, "start")] if placed else []
        parts += [self._between(changed, "overlap")] if changed else []
        return f"({' or '.join(parts)})" if parts else "false"

    def _between(self, name: str, start: str) -> str:
        """Return the condition for the times of a column from `start` to the window's end. A time without a zone is of the contract's."""
        column, moment = quoted(self.at(name)), self.moment(name)
        if moment == column:
            return f"({column} >= %({start})s and {column} < %(end)s)"
        # the column by itself, so that its index serves: no zone is further than a day from UTC
        near = f"{column} >= %({start})s - interval '1 day' and {column} < %(end)s + interval '1 day'"
        return f"({moment} >= %({start})s and {moment} < %(end)s and {near})"

    def not_on(self) -> str:
        """Return the condition for the rows whose event time is not in a window; empty if the database cannot compare it."""
        name = self.contract.event_time
        if not name or self.types[self.at(name)] not in _TIMES:
            return ""
        return f"({quoted(self.at(name))} is null or not {self._between(name, 'start')})"

    def in_no_window(self) -> str:
        """Return the condition for the rows without any time that a window can hold; empty for a table without times."""
        return in_no_window([quoted(self.at(one)) for one in (self.settings.placed, self.settings.changed) if one])

    def by_key(self, columns: Sequence[str] = ()) -> str:
        """Return the condition for the rows with certain keys: one array a column, named as `key_values` names them.

        `columns` are those of another table that hold these keys.
        """
        named = ", ".join(map(quoted, columns or self.key))
        arrays = ", ".join(f"%({name})s::text[]" for name in self._arrays())
        # unnest flattens arrays of arrays, so a key that is an array is cast afterwards
        keys = ", ".join(f"key_{place}" for place in range(len(self.key)))
        cast = ", ".join(
            f"key_{place}::{self.types[column].replace('%', '%%')}" for place, column in enumerate(self.key)
        )
        return f"({named}) in (select {cast} from unnest({arrays}) as keys ({keys}))"

    def key_values(self, keys: Sequence[tuple[str, ...]]) -> dict[str, list[str]]:
        """Return the values that `by_key` asks for."""
        columns = zip(*keys, strict=True) if keys else [()] * len(self.key)
        return {name: list(column) for name, column in zip(self._arrays(), columns, strict=True)}

    def _arrays(self) -> list[str]:
        return [f"key_{self.dataset}_{place}" for place in range(len(self.key))]

    def versions(self, condition: str) -> str:
        """Select the keys and versions of some rows, under the contract's names."""
        names = [*self.contract.key, *([self.contract.version_column] if self.contract.version_column else [])]
        columns = ", ".join(f"{quoted(self.named[name])} as {quoted(name)}" for name in dict.fromkeys(names))
        return f"select {columns} from {self.sql} as {ROWS} where {condition}"


Condition = Callable[[OpenTable], str]


def by_owner(tables: Mapping[str, OpenTable], table: OpenTable) -> str:
    """Return the condition for the rows with certain keys; for a table whose rows are owned, of owners with certain keys."""
    if not table.owner:
        return table.by_key()
    return tables[table.owner.dataset].by_key([table.at(name) for name in table.owner.columns])


def selection(tables: Mapping[str, OpenTable], dataset: str, own: Condition, *, once: bool = True) -> str:
    """Select the rows of a table that meet its `own` condition, and those that land with the selected rows of another.

    Where rows that are both may be selected twice, as it is only asked whether any are there, that is less work: not `once`.
    """
    table = tables[dataset]
    rows = f"select * from {table.sql} as {ROWS}"
    chosen, with_ = f"{rows} where {own(table)}", table.settings.lands_with
    if not with_:
        return chosen
    other = tables[with_.dataset]
    theirs = [quoted(other.at(name)) for name in with_.matches or other.contract.key]
    ours = [quoted(table.at(name)) for name in with_.columns]
    others = f"select {', '.join(theirs)} from ({selection(tables, with_.dataset, own, once=False)}) as others"
    same = " and ".join(f"others.{one} = {ROWS}.{two}" for one, two in zip(theirs, ours, strict=True))
    # Two branches, so that each can use its index.
    but_no_other = f" and not exists (select from ({others}) as others where {same})" if once else ""
    return f"{rows} where ({', '.join(ours)}) in ({others}) union all {chosen}{but_no_other}"


def open_table(connection: psycopg.Connection[Any], contract: Contract) -> OpenTable:
    """Look at a table. One that is not there, may not be read, or lacks a column that its landing needs is Permanent."""
    settings: Table = contract.settings
    if settings.query:
        query = settings.query.replace("%", "%%")
        sql, label = f"({query}\n)", f"the query of {contract.dataset}"
    else:
        sql, label = ".".join(map(quoted, settings.name)), ".".join(settings.name)
    columns = connection.execute(f"select * from {sql} as {ROWS} limit 0", {}).description or []
    names = [one.name for one in columns]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _unfit(label, f"has two columns {twice}", "give one of them another name in the query, by `as`")
    types = _types(connection, {one.name: one.type_code for one in columns})
    table = OpenTable(contract, sql, label, types, contract.in_source([one.name for one in contract.columns], names))
    _check(table)
    if settings.name:
        found = connection.execute(_UNIQUE, [sql.replace("%%", "%"), table.key]).fetchall()
        table = replace(table, index=tuple((name, collation) for name, collation in found))
    if settings.pages and not table.index:
        what = f"has no unique index of {', '.join(table.key)}, without nulls, which `pages` needs"
        raise _unfit(label, what, "create one, or leave `pages` out")
    return table


def _types(connection: psycopg.Connection[Any], oids: Mapping[str, int]) -> dict[str, str]:
    """Name the type of each column as a cast does."""
    query = "select oid::bigint, format_type(oid, -1) from pg_type where oid = any(%s::oid[])"
    named = dict(connection.execute(query, [list(oids.values())]).fetchall())
    return {name: named[oid] for name, oid in oids.items()}


def _check(table: OpenTable) -> None:
    contract, settings = table.contract, table.settings
    with_ = settings.lands_with
    version = None if settings.is_whole else contract.version_column
    needed = [*contract.key, contract.event_time, version, *(with_.columns if with_ else ())]
    for name in needed:
        if name and name not in table.named:
            at_source = " or ".join(contract.at_source(name))
            what = f"has no column {at_source}, which {contract.dataset}.{name} is read from{guess(at_source, table.types)}"
            raise _unfit(table.label, what, "correct the contract: `from` says what the source calls a column")
    for name in contract.key:
        declared = next(one.type for one in contract.columns if one.name == name)
        found = table.types[table.named[name]]
        if found not in _SAME_TEXT.get(declared, (found,)):
            what = f"has {table.named[name]} as {found}, but {contract.dataset}.{name} is a key and {declared}"
            raise _unfit(table.label, what, "make it varchar in the contract: keys are compared by their text")
    for one in contract.columns:
        is_time = one.name in (contract.event_time, contract.version_column) and one.type == "timestamp"
        column = table.named.get(one.name)
        if is_time and column and table.types[column] == "date":
            what = f"has {column} as date, but {contract.dataset}.{one.name} is a timestamp"
            cast = f"{identifier(column)}::timestamp"
            raise _unfit(table.label, what, f"convert it in a `query`, by {cast}")
    for setting, name in (("placed", settings.placed), ("changed", settings.changed)):
        if not name:
            continue
        column = table.at(name)
        if column not in table.types:
            what = f"has no column {name}, which {contract.dataset} names as `{setting}`{guess(name, table.types)}"
            raise _unfit(table.label, what, "correct the contract")
        if table.types[column] not in _TIMES:
            what = f"has {column} as {table.types[column]}, but {contract.dataset} names it as `{setting}`"
            raise _unfit(table.label, what, "name a column of dates or timestamps; a `query` may convert one")


def _unfit(label: str, what: str, todo: str) -> Permanent:
    return Permanent(f"{label} {what}", where="dbt_project/models/staging", todo=todo)
