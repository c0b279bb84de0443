"""The state: the one DuckDB file that builds change.

A DuckDB database is two files: its own, and a write-ahead log beside it, in which a killed process leaves the last commits.
So a file is recovered before anything depends on it, and no file is renamed to a name that has another one's log beside it.
"""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import duckdb

from ingestion.bronze import force_to_disk
from ingestion.database import Row, connect, kept_open, rows, spill_folder, write_ahead, writing
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Report, silent
from ingestion.locks import PATIENCE_SECONDS, hold

__all__ = [
    "Row",
    "connect",
    "drop",
    "durable_rename",
    "has_table",
    "kept_open",
    "last_build",
    "lock",
    "lock_aside",
    "lock_build",
    "need",
    "read",
    "recover",
    "rows",
    "writing",
]


def drop(path: Path) -> None:
    """Remove a DuckDB file, if it exists, with its write-ahead log and the files that it spilled."""
    for left_over in (write_ahead(path), path):
        left_over.unlink(missing_ok=True)
    shutil.rmtree(spill_folder(path), ignore_errors=True)


def recover(path: Path) -> None:
    """Replay a DuckDB file's write-ahead log, which a killed process left, into the file. Afterwards there is no log."""
    if not write_ahead(path).exists():
        return
    if path.exists():
        with writing(path) as connection:
            connection.execute("checkpoint")
    write_ahead(path).unlink(missing_ok=True)


def durable_rename(aside: Path, name: Path) -> None:
    """Rename a finished file; once this returns, a power cut does not undo it.

    The write-ahead log of the file that had the name is replayed into that file first: else it would be replayed into the
    new one.
    """
    name.parent.mkdir(parents=True, exist_ok=True)
    for database in (aside, name):
        recover(database)
    force_to_disk(aside)
    aside.replace(name)
    force_to_disk(name.parent)


def need(home: Home) -> None:
    """Raise Permanent if there is no state yet, with the command that makes one: a build, or first an ingest."""
    if not home.state.exists():
        todo = "clearwell build" if home.bronze.is_dir() else "clearwell run --from DATE --to DATE"
        raise Permanent("there is no state yet", where=str(home.state), todo=todo)


def lock(home: Home, report: Report = silent) -> AbstractContextManager[None]:
    """Hold the lock on the state and the published file. The kernel releases it when the process dies."""
    return hold(home.root / "state.lock", "changes the state", report)


def lock_build(home: Home, report: Report = silent) -> AbstractContextManager[None]:
    """Hold the lock for building, so that no build does minutes of work that another one makes worthless."""
    return hold(home.root / "build.lock", "builds", report)


def lock_aside(home: Home, report: Report = silent, patience: float = PATIENCE_SECONDS) -> AbstractContextManager[None]:
    """Hold the lock on the folder in which everything is built again to be compared."""
    return hold(home.root / "recount.lock", "builds aside", report, patience)


def has_table(connection: duckdb.DuckDBPyConnection, schema: str, table: str, database: str | None = None) -> bool:
    """Say whether a table or view exists."""
    # Compared here: DuckDB imports pandas to pass a parameter, which takes half a second of a command that does little else.
    query = "select table_catalog, table_schema, table_name, current_database() from information_schema.tables"
    found = connection.execute(query).fetchall()
    return any((there, *name) == (database or here, schema, table) for there, *name, here in found)


def read(path: Path, table: str, query: str, parameters: list[Any] | None = None) -> list[Row]:
    """Run a query on a file; no rows if the file or the named "schema.table" does not exist yet."""
    if not path.exists():
        return []
    with connect(path) as connection:
        schema, name = table.split(".")
        return rows(connection, query, parameters) if has_table(connection, schema, name) else []


def last_build(path: Path) -> str:
    """Return the id of the last build in a file; empty if there is none."""
    found = read(path, "ops.builds", "select max_by(build_id, build_number) as build_id from ops.builds")
    return (found[0]["build_id"] or "") if found else ""
