"""Views of the gold tables, in the schema `gold_complete` of the state and of the published file, whose rows say whether their date is complete.

A gold table has no such column: it would change with the time that has passed, and not with its records. The views have no rows
of their own, so that they are true whenever `ops.gold_completeness` is.
"""

import duckdb

from ingestion import lake
from ingestion.sql import literal
from warehouse import state

SCHEMA = "gold_complete"


def write(connection: duckdb.DuckDBPyConnection) -> None:
    """Make a view of each gold table of the connected file whose rows have a date. A file of an earlier version gets none."""
    connection.execute(f"drop schema if exists {SCHEMA} cascade")
    if not state.has_table(connection, "ops", "gold_completeness"):
        return
    columns = {row["column_name"] for row in state.rows(connection, "describe ops.gold_completeness")}
    if "row_date" not in columns:
        return
    connection.execute(f"create schema {SCHEMA}")
    has_comments = not lake.is_connected(connection)  # a lake has none on columns of views
    for row in state.rows(connection, _DATED):
        connection.execute(
            _VIEW.format(schema=SCHEMA, table=row["gold_table"], name=literal(row["gold_table"]), date=row["row_date"])
        )
        connection.execute(_COMMENT.format(schema=SCHEMA, table=row["gold_table"]))
        if has_comments:
            connection.execute(_COMMENTS.format(schema=SCHEMA, table=row["gold_table"]))


_DATED = """
    select gold_table, row_date from ops.gold_completeness
    where row_date is not null and ('gold', gold_table) in (select (schema_name, table_name) from duckdb_tables() where database_name = current_database())
    order by gold_table
"""
# The completeness has one row per gold table, and there is a view only if it has this one.
_VIEW = """
    create view {schema}.{table} as
    select
        gold_rows.*,
        coalesce({date} >= of_table.starts_at and {date} + interval 1 day <= of_table.ends_at, false) as is_complete,
        {date} + interval 1 day <= of_table.agrees_until and is_complete as is_reconciled
    from gold.{table} as gold_rows
    cross join (
        select complete_from as starts_at, complete_until as ends_at, reconciled_until as agrees_until
        from ops.gold_completeness
        where gold_table = {name}
    ) as of_table
"""
# All other columns are those of the gold table, whose comments are beside them.
_COMMENT = """
    comment on view {schema}.{table} is 'The rows of gold.{table}, and whether their dates are complete.';
"""
_COMMENTS = """
    comment on column {schema}.{table}.is_complete is 'Whether all records of the row''s date have landed.';
    comment on column {schema}.{table}.is_reconciled is 'Whether the date is complete and agrees with the count of the source.';
"""
