"""Run queries that people type over the state: each one SELECT over its own tables, in bounded memory and time.

All typed SQL passes through here. DuckDB parses it, and its syntax tree decides whether it is allowed. If something is
missed, the session cannot do harm: it is read-only, and has no access to other files, extensions or settings.
"""

import json
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import duckdb

from ingestion.database import MEMORY, memory
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.sql import literal
from warehouse import lakehouse, state

ALLOWED = "type one SELECT over the state's own tables: no other statement, no file, no extension, no setting"
ALLOWED_CONDITION = (
    "give one expression over the table's columns, as \"order_date = '2026-11-01'\":"
    " no subquery, no comment, no semicolon"
)
SECONDS = "CLEARWELL_QUERY_SECONDS"
# DuckDB has table functions that write logs and profiles, read memory by its address, or run text. These do none of that.
TABLE_FUNCTIONS = frozenset(
    [
        "range",
        "generate_series",
        "unnest",
        "repeat",
        "json_each",
        "json_tree",
        "histogram",
        "histogram_values",
        "summary",
        "duckdb_columns",
        "duckdb_constraints",
        "duckdb_functions",
        "duckdb_indexes",
        "duckdb_keywords",
        "duckdb_schemas",
        "duckdb_tables",
        "duckdb_types",
        "duckdb_views",
        "pragma_database_size",
        "pragma_show",
        "pragma_storage_info",
        "pragma_table_info",
        "pragma_version",
        "icu_calendar_names",
        "pg_timezone_names",
    ]
)
_LOG_FUNCTIONS = frozenset(["write_log"])
# Rows in memory at a time.
_AT_ONCE = 1000
_SAFE = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    # Python's variables are not tables.
    "python_enable_replacements": "false",
    # Nothing is spilled to disk: a query writes no file at all.
    "temp_directory": "",
}
# Reported by the session.
_PAST_A_LIMIT = (duckdb.InterruptException, duckdb.OutOfMemoryException)
Tree = dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """Limits of one query: DuckDB's memory, seconds, and rows of an answer that is shown as a table."""

    memory: str = "1GB"
    seconds: float = 300.0
    rows: int = 10_000

    @property
    def bytes(self) -> int:
        """The memory in bytes."""
        number, kind = re.fullmatch(r"([\d.]+)\s*(\w+)", self.memory).groups()  # type: ignore[union-attr]
        base = 1024 if "I" in kind.upper() else 1000
        return int(float(number) * base ** "_KMGT".index(kind[0].upper()))

    @classmethod
    def from_environment(cls) -> "Limits":
        """Read CLEARWELL_MEMORY and CLEARWELL_QUERY_SECONDS; an empty variable counts as unset."""
        text = os.environ.get(SECONDS) or f"{cls.seconds:g}"
        seconds = float(text) if re.fullmatch(r"\d{1,5}(\.\d+)?", text, re.ASCII) else 0.0
        if not 0 < seconds <= 86_400:
            raise Permanent(f"{SECONDS} is {text!r}", todo="set it to a number of seconds from 1 to 86400, or unset it")
        return cls(memory(), seconds)


@contextmanager
def session(home: Home, limits: Limits | None = None, *, build_id: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the state for typed queries, or what it was after a build. A query over a limit is Permanent, and says how to raise it."""
    state.need(home)
    snapshot = lakehouse.find(home.state, build_id) if build_id else None
    limits = limits or Limits.from_environment()
    settings = {**_SAFE, "memory_limit": limits.memory}
    with (
        _bounded(limits.bytes),
        state.connect(home.state, settings=settings, snapshot=snapshot) as connection,
        _clock(connection, limits.seconds),
    ):
        connection.execute("set lock_configuration = true")
        try:
            yield connection
        except duckdb.InterruptException:
            raise Permanent(
                f"the query took longer than {limits.seconds:g} seconds and was stopped",
                todo=f"narrow the query, or set {SECONDS} to more",
            ) from None
        except (duckdb.OutOfMemoryException, MemoryError):
            raise Permanent(
                f"the query needs more than {limits.memory} of memory and was stopped",
                todo=f"narrow the query, or set {MEMORY} to more, such as 4GB",
            ) from None


@contextmanager
def ask(
    home: Home, query: str, limits: Limits | None = None, *, build_id: str = ""
) -> Iterator[tuple[list[str], Iterator[tuple[Any, ...]]]]:
    """Run one query over the state; give its column names and an iterator of rows. A refused or failed query is Permanent.

    No build can be applied while this is open: read the rows at once, and close it.
    """
    with session(home, limits, build_id=build_id) as connection:
        statement = _checked(connection, query)
        with _failures():
            result = connection.execute(statement)
            names = _distinct([column[0] for column in result.description or []])
        yield names, _rows(result)


def _rows(result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while True:
        with _failures():
            rows = result.fetchmany(_AT_ONCE)
        if not rows:
            return
        yield from rows


@contextmanager
def _failures() -> Iterator[None]:
    """Turn the errors of a failed query into Permanent ones. The session reports those about limits."""
    try:
        yield
    except _PAST_A_LIMIT:
        raise
    except (duckdb.Error, ValueError, OverflowError) as error:  # not every SQL value has a Python equivalent
        raise Permanent(f"the query failed: {_said(error)}", todo=_way_out(error)) from error


def _said(error: Exception) -> str:
    """Return DuckDB's message without its copy of the query's line and the mark under it."""
    return re.split(r"\n+LINE \d+:", str(error))[0]


def _way_out(error: Exception) -> str:
    """Return what to do about a failed query: where to look up names if one is wrong, else to correct the query."""
    if isinstance(error, duckdb.CatalogException):
        return "correct the name: `clearwell sql 'show all tables'` lists the tables"
    if isinstance(error, duckdb.BinderException):
        return "correct the query; clearwell sql 'describe SCHEMA.TABLE' lists the columns of a table"
    return "correct the query"


def run(
    home: Home, query: str, limits: Limits | None = None, *, build_id: str = ""
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run one query over the state; return column names and rows. More rows than the limit are Permanent."""
    limits = limits or Limits.from_environment()
    names, rows = first(home, query, limits.rows + 1, limits, build_id=build_id)
    if len(rows) > limits.rows:
        raise Permanent(
            f"the result has more than {limits.rows:,} rows",
            todo="add --csv or --json, which print any number of rows, or --limit N",
        )
    return names, rows


def first(
    home: Home, query: str, count: int, limits: Limits | None = None, *, build_id: str = ""
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run one query over the state; return column names and at most the first so many rows."""
    with ask(home, query, limits, build_id=build_id) as (names, rows):
        return names, list(islice(rows, count))


def parse_condition(connection: duckdb.DuckDBPyConnection, table: str, text: str) -> str:
    """Parse a condition over a table; return it in DuckDB's spelling, in parentheses: exactly one expression."""
    if _has_comment(text):
        raise Permanent("the condition holds a comment", todo=ALLOWED_CONDITION)
    # Parsed bare, it cannot close a parenthesis that it did not open; parsed in parentheses, no clause can follow it.
    for query in (f"select {text}", f"select ({text})"):
        tree = _tree(connection, query, ALLOWED_CONDITION)
        _hold_one_expression(tree, "select_list", {"type": "EMPTY"})
    written = _text(connection, tree).removeprefix("SELECT ")
    # DuckDB's spelling is checked as well, in the place where it will be used.
    query = f"select * from {table} where ({written})"
    schema, _, name = table.rpartition(".")
    again = _tree(connection, query, ALLOWED_CONDITION)
    _hold_one_expression(again, "where_clause", {"type": "BASE_TABLE", "schema_name": schema, "table_name": name})
    return f"({written})"


def _checked(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.Statement:
    """Return the one statement of a text. Anything but a SELECT that only reads is Permanent."""
    try:
        statements = connection.extract_statements(query)
    except _PAST_A_LIMIT:
        raise
    except (duckdb.Error, UnicodeEncodeError) as error:
        raise Permanent(
            f"the query cannot be read: {_said(error)}", todo="correct the query: it must be one SELECT"
        ) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(one.type.name for one in statements) or "nothing"
        hint = "; a pivot must list its values: pivot … on … in (…)" if kinds.startswith("CREATE, SELECT") else ""
        raise Permanent(f"the query is not one SELECT, but {kinds}{hint}", todo=ALLOWED)
    for node in _nodes(_tree(connection, query, ALLOWED)):
        called = str(node.get("function_name", "")).lower()
        if node.get("type") == "TABLE_FUNCTION":
            called = str(node["function"].get("function_name", "")).lower()
            if called not in TABLE_FUNCTIONS:
                raise Permanent(f"the query reads from the function {called}", todo=ALLOWED)
        if called in _LOG_FUNCTIONS:
            raise Permanent(f"the query calls the function {called}", todo=ALLOWED)
    return statements[0]


def _hold_one_expression(tree: Tree, place: str, source: Tree) -> None:
    """Refuse a SELECT unless it is exactly one expression over one source."""
    node = tree["node"]
    found = node.get(place)
    one = found[0] if place == "select_list" and isinstance(found, list) and len(found) == 1 else found
    rest = ("where_clause", "having", "qualify", "sample", "group_expressions", "group_sets", "modifiers")
    is_plain = (
        node["type"] == "SELECT_NODE"
        and isinstance(one, dict)
        and source.items() <= (node.get("from_table") or {}).items()
        and not any(node.get(name) for name in rest if name != place)
        and not node["cte_map"]["map"]
    )
    refused = {"SUBQUERY", "PARAMETER", "STAR", "WINDOW"}
    if not is_plain or any(
        inner.get("class") in refused or str(inner.get("function_name", "")).lower() in _LOG_FUNCTIONS
        for inner in _nodes(one)
    ):
        raise Permanent("the condition is not a single plain expression", todo=ALLOWED_CONDITION)


def _tree(connection: duckdb.DuckDBPyConnection, query: str, todo: str) -> Tree:
    """Return DuckDB's syntax tree of one SELECT."""
    try:
        # no parameters, for which DuckDB would import pandas
        row = connection.execute(f"select json_serialize_sql({literal(query)}::varchar)").fetchone()
    except _PAST_A_LIMIT:
        raise
    except (duckdb.Error, UnicodeEncodeError) as error:
        raise Permanent(f"this cannot be read: {error}", todo=todo) from None
    body = json.loads(row[0]) if row else {}
    if body.get("error", True) or len(body["statements"]) != 1:
        raise Permanent(f"this cannot be read: {body.get('error_message', 'it is not one SELECT')}", todo=todo)
    return dict(body["statements"][0])


def _text(connection: duckdb.DuckDBPyConnection, tree: Tree) -> str:
    body = json.dumps({"error": False, "statements": [tree]})
    row = connection.execute(f"select json_deserialize_sql({literal(body)}::json)").fetchone()
    return str(row[0]) if row else ""


def _nodes(tree: Any) -> Iterator[Tree]:
    """Walk every object of a syntax tree."""
    ahead = [tree]
    while ahead:
        one = ahead.pop()
        if isinstance(one, dict):
            yield one
            ahead += one.values()
        elif isinstance(one, list):
            ahead += one


def _has_comment(text: str) -> bool:
    """Say whether a text holds a comment: dashes or a slash and star that no token of DuckDB's lexer holds."""
    try:
        starts = [start for start, _ in duckdb.tokenize(text)]
        return any(
            # Cut within a token, a text has one token less.
            len(duckdb.tokenize(text[: match.start()])) == sum(start < _bytes(text, match.start()) for start in starts)
            for match in re.finditer(r"--|/\*", text)
        )
    except (duckdb.Error, UnicodeEncodeError):
        return False  # not SQL at all: the parser reports it


def _bytes(text: str, length: int) -> int:
    return len(text[:length].encode())


def _distinct(names: list[str]) -> list[str]:
    """Number repeated column names, so that a row shows every column."""
    found: list[str] = []
    for name in names:
        number, other = 1, name
        while other in found:
            other, number = f"{name}_{number}", number + 1
        found.append(other)
    return found


@contextmanager
def _bounded(more: int) -> Iterator[None]:
    """Limit the process to so many bytes more than it has now, plus what threads reserve without using.

    DuckDB's own limit counts tables and buffers, but not the text that one function makes. The limit applies to the whole
    process, and is lifted with the last of the simultaneous queries.
    """
    if not _STATM.exists():  # this system does not report a process's memory
        yield
        return
    with _ASKED.lock:
        _ASKED.count += 1
        if _ASKED.count == 1:
            _ASKED.before = resource.getrlimit(resource.RLIMIT_AS)
        now = int(_STATM.read_text().split()[0]) * resource.getpagesize()
        soft, hard = _ASKED.before
        wanted = now + more + _RESERVED + (os.cpu_count() or 1) * _RESERVED_PER_THREAD
        bounds = [one for one in (wanted, soft, hard) if one != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        with _ASKED.lock:
            _ASKED.count -= 1
            if not _ASKED.count:
                resource.setrlimit(resource.RLIMIT_AS, _ASKED.before)


@dataclass
class _Asked:
    """The number of queries that this process runs at the same time, and the memory limit from before."""

    lock: Lock = field(default_factory=Lock)
    count: int = 0
    before: tuple[int, int] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


_ASKED = _Asked()
_STATM = Path("/proc/self/statm")
# Address space: libraries that are loaded late; a thread's stack, and what malloc reserves for it.
_RESERVED = 500_000_000
_RESERVED_PER_THREAD = 100_000_000


@contextmanager
def _clock(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt the query that runs on a connection after some seconds, and any that starts later."""
    done = Event()

    def watch() -> None:
        if not done.wait(seconds):
            while not done.wait(0.1):
                connection.interrupt()

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
