"""Compare the applied tables with the build and with the ledger, before the transaction is committed."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from ingestion.errors import Permanent
from warehouse import state
from warehouse.dbt import Change

_TODO = "`clearwell ledger --recount` lists the records that differ; `clearwell build --full --reason TEXT` rebuilds all tables"
# Tables of so many rows are compared in one statement.
_SMALL = 20_000


@dataclass(frozen=True)
class Replacement:
    """A change, the build's table with its rows, and what follows `from` the changed table to select the rows that they replace.

    An empty scope means all rows. `new` is a condition for the dates on which the table had no row: all rows on them become the
    build's, and the scope leaves them out. `staying` is a condition for rows that stay although they match: the build has none of
    them, but may add others for which it is true. If it `is_idle`, there are no rows on either side.
    """

    change: Change
    source: str = ""
    scope: str = ""
    new: str = ""
    staying: str = ""
    is_idle: bool = False


def check_tables(connection: duckdb.DuckDBPyConnection, replaced: Iterable[Replacement]) -> None:
    """Compare the rows that each change replaced with the build's, attached as `build`. A difference is Permanent.

    The number of rows and the sum of their hashes are compared: in one statement for all small tables, as each costs 2 ms.
    """
    left = [*replaced]
    sizes = _sizes(connection, left)
    small = [one for one, size in zip(left, sizes, strict=True) if size <= _SMALL]
    groups = [small, *([one] for one, size in zip(left, sizes, strict=True) if size > _SMALL)]
    for group in groups:
        _check(connection, group)


def _sizes(connection: duckdb.DuckDBPyConnection, replaced: Sequence[Replacement]) -> list[int]:
    """Count the rows of the changed tables."""
    counts = [
        f"select {number} as number, count(*) as n from {one.change.schema}.{one.change.table}"
        for number, one in enumerate(replaced)
    ]
    return [n for _, n in connection.execute(" union all ".join(counts) + " order by 1").fetchall()] if counts else []


def _check(connection: duckdb.DuckDBPyConnection, replaced: Sequence[Replacement]) -> None:
    selects = []
    for number, one in enumerate(replaced):
        change = one.change
        # Cast to the build's type: a state may keep a column under an older type, and equal values of two types hash differently.
        values = ", ".join(f"cast({name} as {kind})" for name, kind in zip(change.columns, change.types, strict=True))
        table = f"{change.schema}.{change.table}"
        scopes = [f"{table} {one.scope}", *([f"{table} where {one.new}"] if one.new else [])]
        if one.staying:
            added = f"semi join (select batch_id, record_no from {one.source}) as added using (batch_id, record_no)"
            known = f" and ({one.new}) is not true" if one.new else ""
            scopes.append(f"{table} {added} where {one.staying}{known}")
        selects += [
            f"select {number} as number, {is_built} as is_built, count(*) as n, sum(hash({values})) as content from {rows}"
            for is_built, rows in (*((False, scope) for scope in scopes), (True, one.source))
        ]
    if not selects:
        return
    counted = connection.execute(
        "select number, is_built, sum(n)::bigint as n, sum(content) as content "
        f"from ({' union all '.join(selects)}) group by number, is_built order by number, is_built"
    ).fetchall()
    for number, one in enumerate(replaced):
        found, built = (row[2:] for row in counted[2 * number : 2 * number + 2])
        if found != built:
            rows = (
                f"{found[0]} rows instead of the build's {built[0]}"
                if found[0] != built[0]
                else "a row has different values"
            )
            raise Permanent(
                f"{one.change.schema}.{one.change.table} would differ from what was built: {rows}",
                where="nothing was changed",
                todo=_TODO,
            )


def check_ledger(connection: duckdb.DuckDBPyConnection, dates: str = "") -> None:
    """Count the records of a state by batch, date and fate, and compare with its ledger. A difference is Permanent.

    `dates` names a table of (dataset, record_date) to check; without it all dates are checked.
    """
    datasets = [
        name
        for (name,) in connection.execute(
            "select table_name from duckdb_tables() where database_name = current_database() "
            "and schema_name = 'records' and table_name <> 'refused' order by 1"
        ).fetchall()
    ]
    if not datasets:
        return
    cell = "dataset, batch_id, record_date, fate"
    counted = [f"select '{name}' as {cell} from records.{name} {_on(connection, dates, name)}" for name in datasets] + [
        f"select {cell} from records.refused"
    ]
    touched = f"semi join {dates} as touched on cells.dataset = touched.dataset and cells.record_date is not distinct from touched.record_date"
    query = f"""
        with cells as (
            select {cell}, count(*) as records, 0 as booked from ({" union all ".join(counted)}) group by all
            union all
            select {cell}, 0 as records, sum(records) as booked from ops.ledger group by all
        )

        select {cell}, sum(records)::bigint as records, sum(booked)::bigint as booked
        from cells
        {touched if dates else ""}
        group by all
        having sum(records) <> sum(booked)
        order by all
        limit 3
    """
    odd = state.rows(connection, query)
    if odd:
        told = "; ".join(
            f"{row['dataset']} {row['record_date']} holds {row['records']} {row['fate']} records of batch {row['batch_id']}, "
            f"but the ledger says {row['booked']}"
            for row in odd
        )
        raise Permanent(f"the tables and the ledger differ: {told}", where="nothing was changed", todo=_TODO)


def _on(connection: duckdb.DuckDBPyConnection, dates: str, dataset: str) -> str:
    """Return a condition on the dates of a dataset, as `is_on` does; empty for all dates."""
    if not dates:
        return ""
    query = f"select distinct record_date from {dates} where dataset = $1 order by 1"
    found = [row[0] for row in connection.execute(query, [dataset]).fetchall()]
    return f"where {is_on('record_date', found)}"


def is_on(expression: str, dates: Sequence[date | None]) -> str:
    """Return a condition on dates as literals: DuckDB skips row groups for literals but not for a join.

    Of the date of a time, it skips them for a range of that time.
    """
    days = sorted(one for one in dates if one is not None)
    listed = ", ".join(f"date '{one}'" for one in days)
    condition = f"{expression} in ({listed})" if listed else ""
    time = re.fullmatch(r"cast\((\w+) as date\)", expression)
    if days and time:
        within = f"{time[1]} >= date '{days[0]}' and {time[1]} < date '{days[-1]}' + interval 1 day"
        condition = f"{within} and {condition}"
    parts = ([condition] if condition else []) + ([f"{expression} is null"] if None in dates else [])
    return f"({' or '.join(parts) or 'false'})"
