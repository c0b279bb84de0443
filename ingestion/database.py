"""Open DuckDB files in UTC and in bounded memory, and wait while another process changes them."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from ingestion import faults, lake, locks
from ingestion.errors import Permanent
from ingestion.sql import literal

Row = dict[str, Any]
Opened = TypeVar("Opened")
# How much memory DuckDB may use for data: the variable's name. What does not fit is spilled beside the file.
MEMORY = "CLEARWELL_MEMORY"
_AMOUNT = re.compile(r"[1-9]\d*(\.\d+)?\s*[KMGT]i?B", re.IGNORECASE)
_PATIENCE_SECONDS = 120.0
_SMALL_FILE = 32_000_000
# How often this process has each file open to read, and how often it keeps it open to be written.
_READING: Counter[Path] = Counter()
_WRITING: Counter[Path] = Counter()


def memory() -> str:
    """Read CLEARWELL_MEMORY, as `2GB`; `1GB` if it is empty or unset. Anything else is Permanent."""
    amount = os.environ.get(MEMORY) or "1GB"
    if not _AMOUNT.fullmatch(amount):
        raise Permanent(
            f"{MEMORY} is {amount!r}, which is not an amount of memory",
            todo="set it to an amount such as 2GB, or unset it",
        )
    return amount


def memory_bytes() -> float:
    """Return CLEARWELL_MEMORY in bytes, as DuckDB counts them: a KB has 1,000, a KiB 1,024."""
    number, prefix, binary = re.findall(r"([\d.]+)\s*(\w)(i?)", memory().lower())[0]
    return float(number) * (1024 if binary else 1000) ** (" kmgt".index(prefix))


@contextmanager
def connect(
    path: Path,
    *,
    read_only: bool = True,
    patience: float = _PATIENCE_SECONDS,
    settings: Mapping[str, str] | None = None,
    snapshot: int | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file in UTC. Wait while another process holds it, `patience` seconds at most; then Transient.

    `settings` are DuckDB's own, beside the memory it may use. The path may name a lake, and `snapshot` one of its snapshots.
    """
    read_only = read_only and not _WRITING[path]  # DuckDB shares a file only among those who open it in the same way
    if read_only:
        _let_writers_go_first(path, patience)
    config: dict[str, Any] = {"memory_limit": memory(), **(settings or {})}
    one_thread = is_small(path)  # a new file may become of any size
    if lake.is_lake(path):
        connection = lake.connected(
            path, read_only=read_only, config=config, spill=spill_folder(path), snapshot=snapshot
        )
    else:
        connection = _when_free(lambda: duckdb.connect(str(path), read_only=read_only, config=config), path, patience)
    try:
        with _reading(path, read_only):
            connection.execute("set TimeZone = 'UTC'")
            if one_thread:
                connection.execute("set threads = 1")
            yield connection
    finally:
        connection.close()


@contextmanager
def kept_open(path: Path, *, read_only: bool = True) -> Iterator[None]:
    """Keep a file, if it exists, open. What opens it meanwhile shares it: that takes no time, in place of 20 ms.

    Nothing else may write it meanwhile, and it must be opened without settings. A lake is opened each time.
    """
    if not path.exists() or lake.is_lake(path):
        yield
        return
    with connect(path, read_only=read_only):
        _WRITING[path] += not read_only
        try:
            yield
        finally:
            _WRITING[path] -= not read_only


def is_small(path: Path) -> bool:
    """Say whether hardly a table in a DuckDB file has more rows than a thread takes at once, 122,880.

    A second thread then finds nothing to do, and takes a tenth more CPU time. A lake may have tables of any size.
    """
    return path.exists() and not lake.is_lake(path) and path.stat().st_size < _SMALL_FILE


@contextmanager
def attached(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, *, patience: float = _PATIENCE_SECONDS
) -> Iterator[None]:
    """Let a connection read a DuckDB file, or a lake, under a name. Wait while another process holds it, as `connect` does."""
    _let_writers_go_first(path, patience)
    if lake.is_lake(path):
        lake.attach(connection, path, name)
    else:
        _when_free(lambda: connection.execute(f"attach {literal(path)} as {name} (read_only)"), path, patience)
    try:
        with _reading(path):
            yield
    except BaseException:
        with suppress(duckdb.Error):  # the connection may be broken by then: the first error is the one to report
            connection.execute(f"detach {name}")
        raise
    connection.execute(f"detach {name}")


@contextmanager
def writing(path: Path, patience: float = locks.PATIENCE_SECONDS) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file for writing: after its current readers, and before all later ones."""
    with locks.turn_to_write(path, patience), connect(path, read_only=False, patience=patience) as connection:
        yield connection


def _let_writers_go_first(path: Path, patience: float) -> None:
    """Wait for waiting writers, unless this process reads the file already: it would wait for itself."""
    if not _READING[path]:
        locks.turn_to_read(path, patience)


@contextmanager
def _reading(path: Path, read_only: bool = True) -> Iterator[None]:
    _READING[path] += read_only
    try:
        yield
    finally:
        _READING[path] -= read_only


def _when_free(open_it: Callable[[], Opened], path: Path, patience: float) -> Opened:
    until = time.monotonic() + patience
    while True:
        try:
            return open_it()
        except duckdb.IOException as error:
            if not faults.is_busy(error):
                raise
            if time.monotonic() > until:
                raise faults.busy(error, str(path)) from error
            time.sleep(0.1)


def write_ahead(path: Path) -> Path:
    """Return the path of a DuckDB file's write-ahead log, which a killed process leaves behind."""
    return path.with_name(path.name + ".wal")


def spill_folder(path: Path) -> Path:
    """Return the folder beside a DuckDB file to which queries spill data. A killed process leaves its data in it."""
    return path.with_name(path.name + ".tmp")


def rows(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | dict[str, Any] | None = None
) -> list[Row]:
    """Run a query and return its rows as dicts."""
    result = connection.execute(query, parameters or [])
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
