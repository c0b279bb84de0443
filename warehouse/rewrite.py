"""Rewrite the state's file without its free blocks.

DuckDB reuses the blocks of deleted rows, but never gives them back to the disk: a file stays as large as it once had to be.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingestion import lake
from ingestion.database import attached
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Report, silent
from ingestion.sql import literal
from warehouse import comments, state

# A state that is restated every day has a quarter of free blocks: the next build fills them.
_MOST_FREE, _LEAST_BYTES = 0.5, 64_000_000


@dataclass(frozen=True)
class Usage:
    """The bytes of a DuckDB file, and how many of them hold nothing."""

    bytes: int
    free_bytes: int

    @property
    def is_worth_rewriting(self) -> bool:
        return self.free_bytes >= max(_LEAST_BYTES, _MOST_FREE * self.bytes)


def usage(path: Path) -> Usage:
    """Measure a DuckDB file; one that does not exist, or names a lake, has no bytes."""
    if not path.exists() or lake.is_lake(path):
        return Usage(0, 0)
    with state.connect(path) as connection:
        found = state.rows(connection, "select block_size, free_blocks from pragma_database_size()")[0]
    return Usage(path.stat().st_size, found["block_size"] * found["free_blocks"])


def aside(home: Home) -> Path:
    """Return the file that a rewrite writes before it takes the state's name."""
    return home.state.with_name(f".{home.state.stem}.rewritten.duckdb")


def rewrite(home: Home, report: Report = silent) -> None:
    """Copy the state to a new file, compare all tables, and rename the new file over the old one. Waits for a running apply."""
    with state.lock(home, report):
        new = aside(home)
        state.drop(new)
        state.recover(home.state)
        with state.connect(home.state) as connection:
            version = connection.execute(_VERSION).fetchall()[0][0]
        with duckdb.connect() as made:
            # a published file may be read by any DuckDB, the state only by this one
            made.execute(f"attach {literal(new)} as made (storage_version '{version.split('+')[0]}')")
        with state.connect(new, read_only=False) as connection, attached(connection, home.state, "old"):
            connection.execute(f"copy from database old to {_current(connection)}")
            comments.write(connection, comments.read(connection, "old"))
            _compare(connection)
            connection.execute("checkpoint")
        state.durable_rename(new, home.state)


_VERSION = "select tags['storage_version'] from duckdb_databases() where database_name = current_database()"


def _current(connection: duckdb.DuckDBPyConnection) -> str:
    return str(connection.execute("select '\"' || current_database() || '\"'").fetchall()[0][0])


def _compare(connection: duckdb.DuckDBPyConnection) -> None:
    """Compare what the new file holds with the old one: names, numbers of rows, and the sums of their hashes."""
    old, new = (content(connection, name) for name in ("old", _current(connection)))
    if old != new:
        odd = sorted({name for name, _ in old.items() ^ new.items()})
        raise Permanent(
            f"the state's copy differs from the state in {', '.join(odd)}",
            where="nothing was changed",
            todo="clearwell repair --dry-run",
        )


def content(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, object]:
    """Return the number of rows of each table of a database, and the sum of their hashes; of a view, only that it is one."""
    listed = """
        select schema_name, table_name, false from duckdb_tables() where database_name = $1 and not internal
        union all
        select schema_name, view_name, true from duckdb_views() where database_name = $1 and not internal
    """
    found = connection.execute(listed, [database.strip('"')]).fetchall()
    return {
        f"{schema}.{name}": "view"
        if is_view
        else connection.execute(f'select count(*), sum(hash(one)) from {database}.{schema}."{name}" as one').fetchall()[
            0
        ]
        for schema, name, is_view in found
    }
