"""Count the rows and the money of tables a second time, by day: at the source, and in what a landing took of it.

Both counts are of one snapshot, and neither uses the landing's SQL. The day of a row is the UTC date of its `placed`, else of the
row that owns it, else of its `changed`. A table that is read whole has one count, on the date of its window. A table that
only lands with rows that do not own it has no day, and is not counted.

Money is summed by currency, exactly, if the contract's `amount` is exact over numbers that are read as they are.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import psycopg

from ingestion.contract import Contract
from ingestion.land import Run, Staging
from ingestion.sources import copied, counts
from ingestion.sources.counts import Count
from ingestion.sources.database_rows import quoted
from ingestion.sources.table_queries import OpenTable
from ingestion.sql import identifier, literal
from ingestion.window import Window

# Records and money by date and currency. All text, as in bronze.
Counted = Mapping[tuple[str, str | None], tuple[str, str | None]]

_NUMBER = "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,2})?"
_NUMERIC = re.compile(r"decimal\((\d+), ?(\d+)\)|bigint|integer")
_DIGITS = {"bigint": (19, 0), "integer": (10, 0)}
# The exact numbers of Postgres. Their texts need no pattern, which would take most of the time of a count.
_WHOLE = ("bigint", "integer", "smallint")
_EXACT = ("numeric", *_WHOLE)
# A larger amount is no money, and would make the sum of all others overflow: neither side adds it up.
_LIMIT = "1e28"
_NO_AMOUNT = "cast(null as decimal(38, 4))"
# What a Postgres says of an amount that it cannot compute.
_CANNOT = (psycopg.errors.ProgrammingError, psycopg.errors.DataError, psycopg.errors.NotSupportedError)


@dataclass(frozen=True)
class Taken:
    """The Parquet files of a table's rows in a window, and the source's columns that have another name in them."""

    files: Sequence[str]
    renamed: Mapping[str, str]


@dataclass(frozen=True)
class Counting:
    """How the rows of a table are counted.

    `chain` is the table, its owner, and so on, up to the one with the column `time`, which dates the rows; None for a table that is
    read whole. `amount` is the money of a row, None if none is summed. Its currency is a column of the table at `currency_at`
    in the chain.
    """

    chain: tuple[OpenTable, ...]
    time: str | None
    amount: str | None
    currency_at: int = 0

    @property
    def table(self) -> OpenTable:
        """The table itself."""
        return self.chain[0]

    def dates(self, window: Window) -> list[str]:
        """List the dates of a window on which its rows are counted."""
        return [day.date.isoformat() for day in window.days()] if self.time else [window.date.isoformat()]


def countings(tables: Mapping[str, OpenTable]) -> dict[str, Counting]:
    """Say how each table of a source is counted; those whose rows have no day are left out."""
    found = {}
    for dataset, table in tables.items():
        dated = _dated(tables, table)
        if dated:
            chain, time = dated
            with_currency = (place for place, one in enumerate(chain) if one.contract.money and _currency(one.contract))
            found[dataset] = Counting(chain, time, _amount(table.contract), next(with_currency, 0))
    return found


def _dated(tables: Mapping[str, OpenTable], table: OpenTable) -> tuple[tuple[OpenTable, ...], str | None] | None:
    settings = table.settings
    if settings.is_whole or settings.placed:
        return (table,), settings.placed
    if table.owner and (of_owner := _dated(tables, tables[table.owner.dataset])):
        return (table, *of_owner[0]), of_owner[1]
    return ((table,), settings.changed) if settings.changed else None


def _currency(contract: Contract) -> str | None:
    return contract.money.currency if contract.money else None


def _amount(contract: Contract) -> str | None:
    """Return the SQL of a record's money, if it can be summed exactly; DuckDB and Postgres read it alike, or Postgres refuses it."""
    if not contract.money:
        return None
    columns = [column for column in contract.columns if column.name in _named_in(contract, contract.money.amount)]
    for column in columns:
        if not column.is_plain_number or len(column.at_source) > 1:
            return None
    typed = ", ".join(f"cast(null as {_duckdb_type(column.type)}) as {identifier(column.name)}" for column in columns)
    query = f"select typeof({contract.money.amount}) from (select {typed or '1'})"
    with duckdb.connect() as connection:
        (found,) = connection.execute(query).fetchone() or ("",)
    return contract.money.amount if str(found).startswith(("DECIMAL", "BIGINT", "INTEGER", "HUGEINT")) else None


def _named_in(contract: Contract, sql: str) -> list[str]:
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    return [column.name for column in contract.columns if column.name.lower() in words]


def stage(
    staged: Staging,
    run: Run,
    source: str,
    connection: psycopg.Connection[Any],
    ways: Mapping[str, Counting],
    taken: Mapping[str, Taken],
    primary: Sequence[Mapping[str, Counted]] = (),
) -> list[str]:
    """Count the window in the landing's snapshot and in its files, and stage both; return what there is to say of it.

    `primary` holds the primary's counts before and after the landing, if that is another database.
    """
    counted, refused = count(connection, ways, run.window)
    ways = {dataset: replace(way, amount=None) if dataset in refused else way for dataset, way in ways.items()}
    found = beside(ways, run.window, counted, landed(ways, run.window, taken), primary)
    folder = staged.folder(counts.DATASET)
    if found and (manifest := counts.stage(folder, run, source, found)):
        staged.add(folder, manifest)
    return [
        f"the money of {dataset} is not counted: Postgres cannot compute its `amount`: {why}"
        for dataset, why in refused.items()
    ]


# --- at the source ---


def count(
    connection: psycopg.Connection[Any], ways: Mapping[str, Counting], window: Window
) -> tuple[dict[str, Counted], dict[str, str]]:
    """Query a source for the rows of a window's days and their money. Also return why it cannot compute the money of some."""
    found, refused = dict[str, Counted](), dict[str, str]()
    for dataset, way in ways.items():
        try:
            found[dataset] = _count(connection, way, window)
        except _CANNOT as error:
            if not way.amount or isinstance(error, psycopg.errors.InsufficientPrivilege):
                raise
            refused[dataset] = str(error.diag.message_primary or error).strip()
            found[dataset] = _count(connection, replace(way, amount=None), window)
    return found, refused


def _count(connection: psycopg.Connection[Any], way: Counting, window: Window) -> Counted:
    # what is read in pages is too much for one statement
    parts = window.days() if way.time and way.table.settings.pages else [window]
    return {key: counted for part in parts for key, counted in _count_in(connection, way, part).items()}


def _count_in(connection: psycopg.Connection[Any], way: Counting, window: Window) -> Counted:
    dates = way.dates(window)
    values = {"start": window.start, "end": window.end, "first": dates[0], "last": dates[-1]}
    query = _at_source(way)
    try:
        with connection.transaction():
            rows = connection.execute(query, values).fetchall()
    except copied.NOT_TEXT:
        rows = _in_bytes(connection, query, values, copied.codec_of(connection, way.table.label))
    return {(day, currency): (str(records), amount) for day, currency, records, amount in rows}


def _in_bytes(
    connection: psycopg.Connection[Any], query: str, values: Mapping[str, Any], codec: str
) -> list[tuple[Any, ...]]:
    """Read the counts with the currency as bytes: a database may hold one that is not text."""
    query = f"select day, convert_to(currency, getdatabaseencoding()), records, amount from ({query}) as counted"
    with connection.transaction():
        rows = connection.execute(query, values).fetchall()
    return [(day, None if raw is None else copied.as_text(raw, codec), *more) for day, raw, *more in rows]


def _at_source(way: Counting) -> str:
    """Select day, currency, records and amount. A row's time is compared by its date; by itself as well, so that an index serves."""
    last = way.chain[-1]
    if way.time:
        column = f"r{len(way.chain) - 1}.{quoted(last.at(way.time))}"
        zone = last.zone(way.time)
        utc = {
            "date": f"{column}::timestamp",
            "timestamp with time zone": f"{column} at time zone 'UTC'",
        }.get(last.types[last.at(way.time)], f"{column} at time zone '{zone}' at time zone 'UTC'")
        day = f"({utc})::date"
        near = f"{column} >= %(start)s - interval '1 day' and {column} < %(end)s + interval '1 day'"
    else:
        day, near = "%(first)s::date", "true"
    amount = way.amount.replace("%", "%%") if way.amount else ""
    columns = [f"{day} as clearwell_day", f"{_currency_at_source(way)} as clearwell_currency"]
    for name in _named_in(way.table.contract, way.amount or ""):
        value = _typed_at_source(way.table, name)
        columns += [f"{value} as {quoted(one)}" for one in dict.fromkeys((name, name.lower()))]
    joins = [f"{way.table.sql} as r0"]
    for place, (table, owner) in enumerate(zip(way.chain, way.chain[1:], strict=False), 1):
        ours = table.settings.lands_with.columns if table.settings.lands_with else ()
        same = " and ".join(
            f"r{place - 1}.{quoted(table.at(one))} = r{place}.{quoted(two)}"
            for one, two in zip(ours, owner.key, strict=True)
        )
        joins.append(f"join {owner.sql} as r{place} on {same}")
    summed = (
        f"round(coalesce(sum(clearwell_amount) filter (where abs(clearwell_amount) < {_LIMIT}), 0), 4)::text"
        if amount
        else "null::text"
    )
    return f"""
        select to_char(clearwell_day, 'YYYY-MM-DD') as day, clearwell_currency as currency, count(*) as records, {summed} as amount
        from (
            select clearwell_day, clearwell_currency, {amount or "null"} as clearwell_amount
            from (select {", ".join(columns)} from {" ".join(joins)} where {near}) as typed
        ) as priced
        where clearwell_day between %(first)s::date and %(last)s::date
        group by clearwell_day, clearwell_currency
    """


def _currency_at_source(way: Counting) -> str:
    table = way.chain[way.currency_at]
    name = _currency(table.contract) if way.amount else None
    column = table.contract.column(name)
    if column and column.constant is not None:
        return literal(column.constant).replace("%", "%%")
    if not name or name not in table.named:
        return "null::text"
    # C: another collation may take different texts for equal. A char(3) has blanks at its end.
    return f"""rtrim(r{way.currency_at}.{quoted(table.named[name])}::text, ' ') collate "C\""""


def _typed_at_source(table: OpenTable, name: str) -> str:
    """Return a column's value as the contract's type has it: a number is rounded to its decimals, and null if it does not fit."""
    column = next(one for one in table.contract.columns if one.name == name)
    if column.constant is not None:
        text = literal(column.constant).replace("%", "%%")
    elif name in table.named:
        text = f"r0.{quoted(table.named[name])}::text"
    else:
        text = "null::text"
    if not _NUMERIC.fullmatch(column.type):
        is_same = name in table.named and column.constant is None and column.type == table.types[table.named[name]]
        return f"r0.{quoted(table.named[name])}" if is_same else text
    digits, decimals = _digits(column.type)
    is_exact = _has_type(table, name, _EXACT)
    value = f"r0.{quoted(table.named[name])}" if is_exact else text
    number = f"round({value}::numeric, {decimals})"
    # NaN and Infinity are greater than any number
    fits = f"case when abs({number}) < 1e{digits - decimals} then {number} end"
    # a case inside a case: Postgres may compute both sides of an `and`
    return fits if is_exact else f"case when {text} ~ '^({_NUMBER})$' then {fits} end"


def _has_type(table: OpenTable, name: str, types: Sequence[str]) -> bool:
    """Say whether a column has one of these types at the source."""
    column = table.contract.column(name)
    return (
        column is not None
        and column.constant is None
        and name in table.named
        and table.types[table.named[name]] in types
    )


# --- in what landed ---


def landed(ways: Mapping[str, Counting], window: Window, taken: Mapping[str, Taken]) -> dict[str, Counted]:
    """Count the same in the Parquet files of a landing."""
    with duckdb.connect() as connection:
        return {dataset: _count_landed(connection, way, window, taken) for dataset, way in ways.items()}


def _count_landed(
    connection: duckdb.DuckDBPyConnection, way: Counting, window: Window, taken: Mapping[str, Taken]
) -> Counted:
    if not all(taken[table.dataset].files for table in way.chain):
        return {}
    # no parameters: for the first one DuckDB imports pandas
    rows = connection.execute(_in_files(way, way.dates(window), taken)).fetchall()
    return {(day, currency): (records, amount) for day, currency, records, amount in rows}


def _in_files(way: Counting, dates: Sequence[str], taken: Mapping[str, Taken]) -> str:
    def files(place: int) -> str:
        paths = ", ".join(map(literal, taken[way.chain[place].dataset].files))
        return f"read_parquet([{paths}], union_by_name = true) as r{place}"

    def at(place: int, column: str) -> str:
        return f"r{place}.{identifier(taken[way.chain[place].dataset].renamed.get(column, column))}"

    last = len(way.chain) - 1
    if way.time:
        text = at(last, way.chain[last].at(way.time))
        zone = way.chain[last].zone(way.time)
        day = (
            f"{text}[:10]"
            if zone == "UTC"
            else f"strftime(try_cast({text} as timestamp) at time zone '{zone}' at time zone 'UTC', '%Y-%m-%d')"
        )
        where = f"{text} not like '%BC'"
    else:
        day, where = literal(dates[0]), "true"
    table = way.chain[way.currency_at]
    name = _currency(table.contract) if way.amount else None
    column = table.contract.column(name)
    currency = "cast(null as varchar)"
    if column and column.constant is not None:
        currency = literal(column.constant)
    elif name and name in table.named:
        currency = f"rtrim({at(way.currency_at, table.named[name])}, ' ')"
    columns = [f"{day} as clearwell_day", f"{currency} as clearwell_currency"]
    columns += [
        f"{_typed(way.table, name, at)} as {identifier(name)}"
        for name in _named_in(way.table.contract, way.amount or "")
    ]
    joins = [files(0)]
    for place, (one, owner) in enumerate(zip(way.chain, way.chain[1:], strict=False), 1):
        ours = one.settings.lands_with.columns if one.settings.lands_with else ()
        same = " and ".join(
            f"{at(place - 1, one.at(mine))} = {at(place, theirs)}" for mine, theirs in zip(ours, owner.key, strict=True)
        )
        joins.append(f"join {files(place)} on {same}")
    amount = f"try({way.amount})" if way.amount else _NO_AMOUNT
    summed = (
        f"coalesce(sum(clearwell_amount) filter (where abs(clearwell_amount) < {_LIMIT}), 0)::decimal(38, 4)::varchar"
    )
    return f"""
        select clearwell_day, clearwell_currency, count(*)::varchar, {summed if way.amount else "null"}
        from (
            select clearwell_day, clearwell_currency, {amount} as clearwell_amount
            from (select {", ".join(columns)} from {" ".join(joins)} where {where})
        )
        where clearwell_day between {literal(dates[0])} and {literal(dates[-1])}
        group by clearwell_day, clearwell_currency
    """


def _typed(table: OpenTable, name: str, at: Any) -> str:
    column = next(one for one in table.contract.columns if one.name == name)
    if column.constant is not None:
        text = literal(column.constant)
    elif name in table.named:
        text = at(0, table.named[name])
    else:
        text = "cast(null as varchar)"
    kind = _duckdb_type(column.type)
    if not _NUMERIC.fullmatch(column.type):
        return text if kind == "varchar" else f"try_cast({text} as {kind})"
    if _has_type(table, name, _WHOLE):
        # by way of a bigint: a text takes 70 times as long to become a decimal of more than 18 digits
        return f"try_cast(try_cast({text} as bigint) as {kind})"
    number = f"try_cast({text} as {kind})"
    return (
        number
        if _has_type(table, name, _EXACT)
        else f"case when regexp_full_match({text}, '{_NUMBER}') then {number} end"
    )


# --- both ---


def beside(
    ways: Mapping[str, Counting],
    window: Window,
    counted: Mapping[str, Counted],
    taken: Mapping[str, Counted],
    primary: Sequence[Mapping[str, Counted]] = (),
) -> list[Count]:
    """Compare what a source holds of some days with what a landing took.

    `primary` holds the primary's counts before and after the landing. On a date on which they agree they are used, with a
    note if they differ from the copy's.
    """
    found: list[Count] = []
    for dataset, way in ways.items():
        here = counted[dataset]
        best = _at_primary(here, [one[dataset] for one in primary])
        found += _noted(_beside(way, way.dates(window), best, taken[dataset]), best, here)
    return found


def _at_primary(here: Counted, primary: Sequence[Counted]) -> Counted:
    """Use the primary's counts on the dates where all of them agree."""
    if not primary:
        return here
    days = {day for counted in (here, *primary) for day, _ in counted}
    still = {day for day in days if all(_of(counted, day) == _of(primary[0], day) for counted in primary)}
    return {key: counted for key, counted in here.items() if key[0] not in still} | {
        key: counted for key, counted in primary[0].items() if key[0] in still
    }


def _of(counted: Counted, day: str) -> Counted:
    return {key: value for key, value in counted.items() if key[0] == day}


def _noted(counts: Iterable[Count], taken: Counted, here: Counted) -> Iterator[Count]:
    """Add a note to the counts that are the primary's and differ from the copy's."""
    for one in counts:
        key = (one.event_date, one.currency)
        if taken.get(key) == here.get(key):
            yield one
        else:
            records, amount = here.get(key, ("0", None))
            money = f", {amount}" if amount else ""
            yield replace(one, note=f"at the primary; the copy that is read holds {records}{money}")


def _beside(way: Counting, dates: Sequence[str], counted: Counted, taken: Counted) -> Iterator[Count]:
    """Pair what was counted with what landed. A date with nothing is counted as 0, which differs from not being counted."""
    seen = {*counted, *taken}
    empty = {(day, None) for day in dates} - {(day, None) for day, _ in seen}
    for day, currency in sorted({*seen, *empty}, key=lambda key: (key[0], key[1] or "")):
        nothing = ("0", "0.0000" if way.amount and (day, currency) in seen else None)
        records, amount = counted.get((day, currency), nothing)
        landed_records, landed_amount = taken.get((day, currency), nothing)
        yield Count(way.table.dataset, day, currency, records, amount, landed_records, landed_amount)


def _digits(data_type: str) -> tuple[int, int]:
    found = _NUMERIC.fullmatch(data_type)
    return (int(found[1]), int(found[2])) if found and found[1] else _DIGITS[data_type]


def _duckdb_type(data_type: str) -> str:
    if not _NUMERIC.fullmatch(data_type):
        return "varchar" if data_type == "json" else data_type
    digits, decimals = _digits(data_type)
    return f"decimal({digits}, {decimals})"
