"""DuckDB files: opened in UTC, and waited for while another process changes them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from ingestion import faults

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
            if not faults.is_busy(error):
                raise
            if time.monotonic() > until:
                raise faults.busy(error, str(path)) from error
            time.sleep(0.1)
    try:
        yield connection
    finally:
        connection.close()


def rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | None = None) -> list[Row]:
    """Run a query and return its rows as dicts."""
    result = connection.execute(query, parameters or [])
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
