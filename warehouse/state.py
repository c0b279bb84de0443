"""The state: the one DuckDB file that builds change, and that readers ask while nobody changes it."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import duckdb

from ingestion.errors import Transient
from ingestion.home import Home

Row = dict[str, Any]
_PATIENCE_SECONDS = 120.0


@contextmanager
def connect(
    path: Path, *, read_only: bool = True, patience: float = _PATIENCE_SECONDS
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file in UTC. Wait while another process holds it, `patience` seconds at most; then Transient."""
    until = time.monotonic() + patience
    while True:
        try:
            connection = duckdb.connect(str(path), read_only=read_only)
            connection.execute("set TimeZone = 'UTC'")
            break
        except duckdb.IOException as error:
            if "lock" not in str(error).lower():
                raise
            if time.monotonic() > until:
                raise Transient(
                    "another process holds the database", where=str(path), todo="try again when it is done"
                ) from error
            time.sleep(0.1)
    try:
        yield connection
    finally:
        connection.close()


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


def rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | None = None) -> list[Row]:
    """Run a query and return its rows as dicts."""
    result = connection.execute(query, parameters or [])
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


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
