"""The accounts: the fate of every record, and whether the counts add up."""

import json
from collections.abc import Iterable
from datetime import datetime

import duckdb

from ingestion import bronze
from ingestion.contract import Contract, read_contracts
from ingestion.database import attached
from ingestion.errors import Permanent
from ingestion.home import Home
from warehouse import keyed_hashes, state
from warehouse.build import rebuild_aside
from warehouse.personal import hidden, left_out
from warehouse.publish import pinned

# The columns of the summary for which a narrow terminal has room.
FIRST = ("dataset", "bronze", "current", "superseded", "duplicate", "dead_letter", "withdrawn", "difference")
SUMMARY = """
    with cells as (
        select dataset, batch_id, fate, sum(records) as records from ops.ledger group by all
    ),

    fates as (
        select
            dataset,
            sum(records) filter (where fate = 'current') as current,
            sum(records) filter (where fate = 'superseded') as superseded,
            sum(records) filter (where fate = 'duplicate') as duplicate,
            sum(records) filter (where fate = 'dead_letter') as dead_letter,
            sum(records) filter (where fate = 'withdrawn') as withdrawn
        from cells
        group by dataset
    ),

    batches as (
        select
            dataset, count(*) as batches, sum(counted_by_source) as counted_by_source,
            sum(records_written) as records_written
        from ops.batches
        group by dataset
    )

    select
        dataset,
        batches,
        counted_by_source::bigint as counted_by_source,
        records_written::bigint as bronze,
        coalesce(current, 0)::bigint as current,
        coalesce(superseded, 0)::bigint as superseded,
        coalesce(duplicate, 0)::bigint as duplicate,
        coalesce(dead_letter, 0)::bigint as dead_letter,
        coalesce(withdrawn, 0)::bigint as withdrawn,
        (records_written - coalesce(current, 0) - coalesce(superseded, 0) - coalesce(duplicate, 0)
            - coalesce(dead_letter, 0) - coalesce(withdrawn, 0))::bigint as difference
    from batches
    left join fates using (dataset)
    where $1 is null or dataset = $1
    order by dataset
"""


MONEY = """
    with fates as (
        select
            dataset,
            currency,
            sum(amount) filter (where fate = 'current') as current,
            sum(amount) filter (where fate = 'superseded') as superseded,
            sum(amount) filter (where fate = 'duplicate') as duplicate,
            sum(amount) filter (where fate = 'dead_letter') as dead_letter,
            sum(amount) filter (where fate = 'withdrawn') as withdrawn,
            sum(amount) as all_fates,
            coalesce(sum(records) filter (where not is_amount_read), 0)::bigint as unread_records
        from ops.ledger
        where is_amount_read is not null
        group by dataset, currency
    ),

    parsed as (
        select dataset, currency, sum(amount) as amount from ops.batch_dates where is_amount_read is not null group by dataset, currency
    )

    select
        fates.dataset, fates.currency, parsed.amount as bronze, current, superseded, duplicate, dead_letter, withdrawn, unread_records,
        coalesce(parsed.amount, 0) - coalesce(all_fates, 0) as difference
    from fates
    left join parsed on fates.dataset = parsed.dataset and fates.currency is not distinct from parsed.currency
    where $1 is null or fates.dataset = $1
    order by fates.dataset, fates.currency
"""


def read(home: Home, dataset: str | None = None) -> tuple[list[state.Row], bool]:
    """Return the accounts by dataset, and whether each adds up to its manifests and to its source's own count."""
    rows = state.read(home.state, "ops.ledger", SUMMARY, [dataset])
    if dataset and not rows:
        raise Permanent(f"the ledger has no dataset {dataset!r}", todo="`clearwell ledger` lists the datasets")
    return rows, all(row["difference"] == 0 and row["counted_by_source"] == row["bronze"] for row in rows)


def money(home: Home, dataset: str | None = None) -> tuple[list[state.Row], bool]:
    """Return the money by dataset and currency: as parsed, by fate, the unreadable amounts, and whether it adds up."""
    rows = state.read(home.state, "ops.ledger", MONEY, [dataset])
    return rows, all(not row["difference"] for row in rows)


def recount(home: Home) -> tuple[list[state.Row], bool]:
    """Count every record again, in the tables and in bronze, and return each difference with the ledger."""
    if not home.state.exists():
        return [], True
    differences = [*_recount_tables(home), *_recount_bronze(home)]
    return differences, not differences


def recompute(home: Home, now: datetime) -> list[state.Row]:
    """Rebuild everything from bronze in another file; return each row of the state and the published file that differs."""
    if not home.state.exists():
        return []
    found = [
        {"table": one.table, "side": "in the state" if row["side"] == "before" else "from bronze", **_row(row)}
        for one in rebuild_aside(home, now)
        for row in one.rows
    ]
    return [*found, *_published(home)]


def _row(row: state.Row) -> state.Row:
    """Return the record that a row names, if any, and the rest of the row as JSON."""
    rest = {name: value for name, value in row.items() if name != "side"}
    record = f"{row['batch_id']}:{row['record_no']}" if row.get("record_no") is not None else row.get("batch_id", "")
    return {"record": record, "row": json.dumps(rest, default=str)}


def _published(home: Home) -> list[state.Row]:
    """Compare the published tables with those of the state, in every published column."""
    if not home.published.exists() or pinned(home):
        return []
    found, without, keys = [], left_out(), keyed_hashes.read()
    with state.connect(home.state) as connection, attached(connection, home.published, "published"):
        for schema, name in connection.execute(_PUBLISHED).fetchall():
            away = hidden(schema, name, without)
            ours, theirs = (_columns(connection, base, schema, name) for base in (home.state.stem, "published"))
            wanted = [column for column in ours if column.lower() not in away]
            if set(wanted) != set(theirs):
                what = f"its columns are {', '.join(theirs)} instead of {', '.join(wanted)}"
                found.append({"table": f"published {schema}.{name}", "side": "published", "record": "", "row": what})
                continue
            columns = ", ".join(f'"{column}"' for column in wanted)
            as_published = ", ".join(keyed_hashes.expression(column, keys) for column in wanted)
            query = f"""
                with ours as (select {as_published} from {schema}.{name}),
                theirs as (select {columns} from published.{schema}.{name})
                select 'in the state' as side, * from (from ours except all from theirs)
                union all
                select 'published' as side, * from (from theirs except all from ours)
                limit 1000
            """
            found += [
                {"table": f"published {schema}.{name}", "side": row["side"], **_row(row)}
                for row in state.rows(connection, query, keyed_hashes.parameters(query, keys))
            ]
    return found


def _columns(connection: duckdb.DuckDBPyConnection, database: str, schema: str, table: str) -> list[str]:
    query = """
        select column_name from information_schema.columns
        where table_catalog = $1 and table_schema = $2 and table_name = $3 order by ordinal_position
    """
    return [row["column_name"] for row in state.rows(connection, query, [database, schema, table])]


_PUBLISHED = """
    select table_schema, table_name from information_schema.tables
    where table_catalog = 'published' and table_type = 'BASE TABLE' order by all
"""


def check(home: Home) -> None:
    """Recount; raise Permanent when the accounts do not balance."""
    differences, balanced = recount(home)
    if not balanced:
        raise Permanent(
            f"the ledger is wrong in {len(differences)} places, the first: {differences[0]}",
            where=str(home.state),
            todo="`clearwell ledger --recount` lists them all",
        )


def _recount_tables(home: Home) -> list[state.Row]:
    """Compare the ledger's cells with the tables of records, in number, money and content."""
    cell = "dataset, batch_id, record_date, fate, currency, is_amount_read"
    parts = [
        f"select '{name}' as dataset, batch_id, record_date, fate, {_money(contract)}, {_content(column.name for column in contract.columns)} from records.{name}"
        for name, contract in sorted(read_contracts().items())
    ]
    parts.append(f"select {cell}, amount, {_content(['reasons', 'raw'])} from records.refused")
    query = f"""
        with counted as (
            select {cell}, count(*) as records, sum(amount) as amount, sum(content)::hugeint as content
            from ({" union all by name ".join(parts)})
            group by all
        ),

        ledger as (
            select {cell}, sum(records) as records, sum(amount) as amount, sum(content)::hugeint as content
            from ops.ledger group by all
        ),

        off as (
            select {cell} from (from ledger except from counted)
            union
            select {cell} from (from counted except from ledger)
        )

        select
            off.*,
            coalesce(ledger.records, 0)::bigint as in_ledger, coalesce(counted.records, 0)::bigint as counted,
            ledger.amount as amount_in_ledger, counted.amount as amount_counted,
            ledger.content is not distinct from counted.content as is_same_content
        from off
        left join ledger on {_same("ledger", cell)}
        left join counted on {_same("counted", cell)}
        order by all
    """
    return [
        {**row, "records": _odd_records(home, row["dataset"], row["batch_id"])}
        for row in state.read(home.state, "ops.ledger", query)
    ]


def _money(contract: Contract) -> str:
    money = contract.money
    if not money:
        return "null::varchar as currency, null::decimal(38, 4) as amount, null::boolean as is_amount_read"
    return (
        f"{money.currency or 'null::varchar'} as currency, ({money.amount})::decimal(38, 4) as amount, "
        f"case when {money.column} is not null then ({money.amount}) is not null end as is_amount_read"
    )


def _content(names: Iterable[str]) -> str:
    """Return the SQL of macros/content.sql: one number for the values of a record."""
    sql = "0::ubigint"
    for name in names:
        sql = f"xor({sql}, case when {name} is null then 0::ubigint else hash('{name}', {name}) end)"
    return f"{sql} as content"


def _same(table: str, columns: str) -> str:
    return " and ".join(f"off.{name} is not distinct from {table}.{name}" for name in columns.split(", "))


def _odd_records(home: Home, dataset: str, batch_id: str) -> str:
    """List the records of a batch that no row holds, or more than one."""
    query = f"""
        with held as (
            select record_no from records.{dataset} where batch_id = $1
            union all
            select record_no from records.refused where batch_id = $1
        )

        select record_no, count(held.record_no) as copies
        from range(1, (select max(records_written) from ops.batches where batch_id = $1) + 1) as numbers (record_no)
        full join held using (record_no)
        group by record_no
        having copies <> 1
        order by record_no
        limit 10
    """
    rows = state.read(home.state, "ops.batches", query, [batch_id])
    return ", ".join(f"{batch_id}:{row['record_no']} ({row['copies']} times)" for row in rows)


def _recount_bronze(home: Home) -> list[state.Row]:
    """Compare the ledger with the manifests, and the files with both."""
    cells = """
        select dataset, window_date, batch_id, coalesce(sum(records), 0)::bigint as in_ledger
        from ops.batches
        left join ops.ledger using (dataset, batch_id)
        group by all
    """
    known = state.read(home.state, "ops.batches", cells)
    differences = _strangers(home, {row["batch_id"] for row in known})
    for row in known:
        try:
            manifest = bronze.read_manifest(home, bronze.BatchRef(row["dataset"], row["window_date"], row["batch_id"]))
            bronze.verify(home, manifest)
        except Permanent as error:
            differences.append(_difference(row, str(error), None))
            continue
        if manifest.records_written != row["in_ledger"]:
            differences.append(_difference(row, "records_written of its manifest", manifest.records_written))
    return differences


def _strangers(home: Home, known: set[str]) -> list[state.Row]:
    """Find folders of bronze whose name and manifest do not match."""
    found = []
    for ref in bronze.list_batches(home):
        if ref.batch_id not in known:
            try:
                bronze.read_manifest(home, ref)
            except Permanent as error:
                found.append(
                    _difference({"dataset": ref.dataset, "batch_id": ref.batch_id, "in_ledger": 0}, str(error), None)
                )
    return found


def _difference(batch: state.Row, what: str, counted: int | None) -> state.Row:
    """Return a difference of a whole batch in the form of one of a cell."""
    return {
        "dataset": batch["dataset"],
        "batch_id": batch["batch_id"],
        "record_date": None,
        "fate": what,
        "currency": None,
        "is_amount_read": None,
        "in_ledger": batch["in_ledger"],
        "counted": counted,
        "amount_in_ledger": None,
        "amount_counted": None,
        "is_same_content": None,
        "records": "",
    }
