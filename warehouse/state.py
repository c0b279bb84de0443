"""The state: the one DuckDB file that builds change, and that readers ask while nobody changes it."""

import fcntl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import duckdb

from ingestion.database import Row, connect, rows
from ingestion.home import Home

__all__ = ["Row", "connect", "drop", "has_table", "last_build", "lock", "lock_aside", "read", "rows"]


def drop(path: Path) -> None:
    """Remove a DuckDB file, if it is there, and what a killed process left to be replayed into it."""
    for left_over in (path.with_name(path.name + ".wal"), path):
        left_over.unlink(missing_ok=True)


def lock(home: Home) -> AbstractContextManager[None]:
    """Hold the right to change the state and the published file. The kernel lets go when the process dies."""
    return _lock(home, "state.lock")


def lock_aside(home: Home) -> AbstractContextManager[None]:
    """Hold the one place where everything is built again to be compared."""
    return _lock(home, "recount.lock")


@contextmanager
def _lock(home: Home, name: str) -> Iterator[None]:
    home.root.mkdir(parents=True, exist_ok=True)
    with (home.root / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def has_table(connection: duckdb.DuckDBPyConnection, schema: str, table: str, database: str | None = None) -> bool:
    """Say whether a table or view is there."""
    query = """
        select count(*) from information_schema.tables
        where table_schema = $1 and table_name = $2 and table_catalog = coalesce($3, current_database())
    """
    found = connection.execute(query, [schema, table, database]).fetchone()
    return bool(found and found[0])


def read(path: Path, table: str, query: str, parameters: list[Any] | None = None) -> list[Row]:
    """Run a query on a file; no rows when the file or the named "schema.table" is not there yet."""
    if not path.exists():
        return []
    with connect(path) as connection:
        schema, name = table.split(".")
        return rows(connection, query, parameters) if has_table(connection, schema, name) else []


def last_build(path: Path) -> str:
    """Return the id of the build a file holds; empty for none."""
    found = read(path, "ops.builds", "select max_by(build_id, build_number) as build_id from ops.builds")
    return (found[0]["build_id"] or "") if found else ""
