"""The content hash of each table: the same rows give the same hash, in any order and from any batch."""

import duckdb

from ingestion.errors import Permanent
from ingestion.home import Home
from warehouse import state

# A row's batch, place and time of landing are not part of its content.
LINEAGE = ("batch_id", "record_no", "source_file", "source_line")
LAYERS = ("silver", "gold")
# A view of records, which have no hash of their own. Other views are made of tables that have one.
_OF_RECORDS = [{"schema": "silver", "name": "clickstream"}]
# A record that lands twice is refused twice, and its date may be its window's: only distinct contents count.
_DISTINCT = {("silver", "dead_letters"): ("dataset", "reasons", "raw")}


def read(home: Home, layer: str | None = None) -> list[state.Row]:
    """Return one row per table of silver and gold, or of one layer: schema, table, rows and hash."""
    if layer and layer not in LAYERS:
        raise Permanent(f"there is no layer {layer!r}", todo="name silver or gold")
    state.need(home)
    with state.connect(home.state) as connection:
        found = state.rows(connection, _TABLES, [[layer] if layer else list(LAYERS), _OF_RECORDS])
        return [hash_table(connection, row["table_schema"], row["table_name"]) for row in found]


def hash_table(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> state.Row:
    """Hash a table: the count, and the sum and the exclusive-or of an md5 of each row's text."""
    names = _DISTINCT.get((schema, table)) or tuple(
        row["column_name"]
        for row in state.rows(connection, _COLUMNS, [schema, table])
        if row["column_name"] not in LINEAGE
    )
    rows = f"select {'distinct' if (schema, table) in _DISTINCT else ''} {', '.join(names)} from {schema}.{table}"
    # Each value is preceded by its length, so that no two different rows give the same text.
    text = ", ".join(f"coalesce(strlen({name}::varchar) || ':' || {name}::varchar, '-')" for name in names)
    query = f"""
        with hashed as (select md5_number(concat({text})) as number from ({rows}))
        select
            count(*) as rows,
            md5(concat_ws(
                ' ', count(*), bit_xor(number), sum((number >> 64)::hugeint), sum((number & {2**64 - 1})::hugeint)
            )) as hash
        from hashed
    """
    return {"schema": schema, "table": table, **state.rows(connection, query)[0]}


_TABLES = """
    select table_schema, table_name from information_schema.tables
    where
        table_catalog = current_database() and table_schema in (select unnest($1))
        and (table_type = 'BASE TABLE' or list_contains($2, {'schema': table_schema, 'name': table_name}))
    order by all
"""
_COLUMNS = """
    select column_name from information_schema.columns
    where table_catalog = current_database() and table_schema = $1 and table_name = $2
    order by column_name
"""
