"""The rows that fail a check: how many there are, and the first of them, kept in the build as `failures.<check>`."""

import duckdb

from ingestion.database import Row, rows

EXAMPLES = 5
_KEPT = 1000


def count(connection: duckdb.DuckDBPyConnection, sql: str, limit: int | None) -> int:
    """Count the rows that a query finds, `limit` at most. Of other rows, only the columns that tell them apart are read."""
    found = connection.execute(f"select count(*) from (from ({sql}) limit {limit or 'all'})").fetchall()
    return int(found[0][0])


def keep(connection: duckdb.DuckDBPyConnection, check: str, sql: str) -> None:
    """Keep the first 1,000 rows that a query finds."""
    connection.execute("create schema if not exists failures")
    connection.execute(f"create or replace table failures.{check} as from ({sql}) limit {_KEPT}")


def first(connection: duckdb.DuckDBPyConnection, check: str) -> list[Row]:
    """Return the first few rows that are kept of a check, with all columns."""
    return rows(connection, f"from failures.{check} limit {EXAMPLES}")


def count_and_keep(connection: duckdb.DuckDBPyConnection, check: str, sql: str, limit: int | None) -> int:
    """Count the rows that a query finds, `limit` at most, and keep the first 1,000, if there are any.

    The query runs once, unless there are more than are kept and no limit. It reads all columns that it would show, of all rows.
    """
    most = max(limit or 0, _KEPT)
    written = connection.execute(f"create or replace temp table failing_rows as from ({sql}) limit {most}")
    found = int(written.fetchall()[0][0])
    if found:
        keep(connection, check, "from failing_rows")
    if found == most and not limit:
        return count(connection, sql, limit)
    return min(found, limit or found)
