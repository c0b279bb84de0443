"""Find and blank what is left of a person in files: texts, DuckDB and Parquet files, compressed or not.

A person's traces are ids and distinctive values such as an e-mail address. A long one is looked for as a whole word in any text; a
short id only beside its column's name, as in `"customer_id": "7"`, and in columns of that name: elsewhere it may be anything.
"""

import gzip
import json
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion import atomic, faults
from ingestion.bronze import force_to_disk
from ingestion.forgotten import BLANK
from ingestion.sql import literal
from warehouse import state

# A shorter value may stand for something else in a text.
LONG = 6
# Up to this many texts, it is quicker to look for each of them first than for a regular expression.
_FEW = 12
# What may stand before a trace: an escape ends with a letter or digit that is no part of a word.
_LEFT = r"(^|[^A-Za-z0-9_.+-]|%[0-9A-Fa-f]{2}|\\[nrt]|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4})"
_RIGHT = r"([^A-Za-z0-9_-]|$)"
_DATABASE, _PARQUET = ".duckdb", ".parquet"
_SQLITE = b"SQLite format 3\0"
_TABLES = """
    select schema_name, table_name, column_name, data_type from duckdb_columns()
    where database_name = current_database() and not internal
        and (schema_name, table_name) in (
            select (schema_name, table_name) from duckdb_tables() where database_name = current_database()
        )
    order by all
"""


@dataclass(frozen=True)
class Traces:
    """What a person is known by: ids by column, other values, and what sources call these columns."""

    ids: Mapping[str, tuple[str, ...]]
    values: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def _looks(self) -> "tuple[_Look, ...]":
        words = [one for values in self.ids.values() for one in values if len(one) >= LONG]
        others = [one for one in self.values if len(one) >= LONG]
        found = []
        if words:
            found.append(_Look(f"{_LEFT}(?:{_either(_written(words))}){_RIGHT}", _written(words)))
        if others:
            found.append(
                _Look(f"{_LEFT}(?:(?i:{_either(_written(others))})){_RIGHT}", _written(others), ignores_case=True)
            )
        mark = r"""(?:\\*["']|\\x2[27])"""
        for column, values in self.ids.items():
            names = {column, *self.names.get(column, ())}
            if short := [one for one in values if len(one) < LONG]:
                before = rf"{mark}(?:{_either(names)}){mark}\s*:\s*(?:{mark})?"
                found.append(_Look(rf"({before})(?:{_either(short)})({mark}|[\s,}}\]]|$)", names))
        return tuple(found)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Regular expressions, for Python and RE2 alike. Each has a group before the trace and one after it, which are not part of it."""
        return tuple(one.pattern for one in self._looks)

    def sql(self, text: str) -> str:
        """Return the condition that an SQL text has a trace."""
        return " or ".join(one.sql(text) for one in self._looks) or "false"

    def are_in_column(self, name: str, column: pa.Array) -> bool:
        """Say whether a column of a Parquet file has a trace."""
        if pa.types.is_dictionary(column.type):
            column = column.dictionary
        if not pa.types.is_string(column.type):
            return any(self.are_in(repr(value)) for value in column.to_pylist() if value is not None)
        ids = pa.array(self.ids.get(name.lower(), ()), pa.string())
        return bool(pc.any(pc.is_in(column, ids)).as_py()) or any(one.is_in_column(column) for one in self._looks)

    def are_in(self, content: bytes | str) -> bool:
        """Say whether a content has a trace."""
        raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        return any(one.is_in(raw) for one in self._looks)

    def blank(self, text: str) -> str:
        """Replace the traces in a text."""
        return self.blank_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def blank_bytes(self, content: bytes) -> bytes:
        """Replace the traces in a content."""
        for one in self._looks * 2:  # two traces may share the character between them
            if one.is_in(content):
                content = one.regex.sub(rb"\1" + BLANK.encode() + rb"\2", content)
        return content


@dataclass(frozen=True)
class _Look:
    """A regular expression, and texts of which a content that it matches has at least one: to look for these is far quicker."""

    pattern: str
    texts: Iterable[str]
    ignores_case: bool = False

    @cached_property
    def regex(self) -> re.Pattern[bytes]:
        return re.compile(self.pattern.encode())

    @cached_property
    def _parts(self) -> tuple[bytes, ...]:
        return tuple(sorted({one.encode().lower() if self.ignores_case else one.encode() for one in self.texts}))

    def is_in(self, content: bytes) -> bool:
        """Say whether a content matches. Case is ignored in ASCII only."""
        folded = content.lower() if self.ignores_case else content
        return any(one in folded for one in self._parts) and self.regex.search(content) is not None

    def is_in_column(self, column: pa.Array) -> bool:
        """Say whether any text of a column matches."""
        there = (pc.match_substring(column, one, ignore_case=self.ignores_case) for one in self.texts)
        has_any = any(pc.any(one).as_py() for one in there)
        return has_any and bool(pc.any(pc.match_substring_regex(column, self.pattern)).as_py())

    def sql(self, text: str) -> str:
        """Return the condition that an SQL text matches."""
        matches = f"regexp_matches({text}, {literal(self.pattern)})"
        if len(self._parts) > _FEW:
            return matches
        folded = f"lower({text})" if self.ignores_case else text
        parts = (one.decode().lower() if self.ignores_case else one.decode() for one in self._parts)
        return f"(({' or '.join(f'contains({folded}, {literal(one)})' for one in parts)}) and {matches})"


def _written(values: Iterable[str]) -> frozenset[str]:
    """Return the ways in which long values are written: as they are, in JSON, in an address, in hexadecimal digits."""
    ways: set[str] = set()
    for one in values:
        body, raw = json.dumps(one)[1:-1], one.encode()
        ways |= {
            one,
            body,
            body.replace("/", r"\/"),
            quote(one, safe=""),
            quote_plus(one),
            raw.hex(),
            raw.hex().upper(),
        }
        for encoding in ("utf-8", "latin-1"):  # as bytes that are no text are shown
            with suppress(UnicodeEncodeError):
                odd = one.encode(encoding)
                ways |= {
                    "".join(chr(byte) if byte < 128 else form % byte for byte in odd) for form in (r"\x%02X", r"\x%02x")
                }
    return frozenset(ways)


def _either(texts: Iterable[str]) -> str:
    return "|".join(re.escape(one) for one in sorted(texts, key=lambda one: (-len(one), one)))


# --- search ---


def search(paths: Iterable[Path], traces: Traces) -> Iterator[tuple[Path, str]]:
    """Yield each file with a trace in it, and where in it. Compressed files and databases are searched inside as well."""
    for path in paths:
        with suppress(FileNotFoundError):  # a process may remove its files meanwhile
            if where := find(path, traces):
                yield path, where


def find(path: Path, traces: Traces) -> str:
    """Return where in a file a trace is; empty if there is none. A file that cannot be searched says why."""
    content = path.read_bytes()
    if traces.are_in(path.name):
        return "its name"
    if path.suffix == _DATABASE:
        return _in_database(path, traces) or ("freed blocks" if traces.are_in(content) else "")
    if path.name.endswith((_PARQUET, f"{_PARQUET}.next")):
        return find_in_parquet(path, traces)
    if content.startswith(_SQLITE):
        return _in_sqlite(path, traces) or ("freed pages" if traces.are_in(content) else "")
    if content.startswith(b"\x1f\x8b"):
        with suppress(OSError, EOFError):
            content = gzip.decompress(content)
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        with suppress(OSError, pa.ArrowInvalid):
            content = pa.input_stream(pa.BufferReader(content), compression="zstd").read()
    return "its text" if traces.are_in(content) else ""


def _in_database(path: Path, traces: Traces) -> str:
    """Search every value of every table: DuckDB compresses texts, so that the bytes of a file do not show all of them."""
    try:
        with faults.named(str(path)), state.connect(path) as connection:
            for schema, table, where in conditions(connection, traces):
                if connection.execute(f'select 1 from {schema}."{table}" where {where} limit 1').fetchone():
                    return f"{schema}.{table}"
    except (duckdb.Error, faults.ClearwellError) as error:
        return f"it cannot be read ({type(error).__name__})"
    return ""


def conditions(connection: duckdb.DuckDBPyConnection, traces: Traces) -> Iterator[tuple[str, str, str]]:
    """Yield schema, table and the condition that a row has a trace, for each table of the connected file with texts."""
    columns: dict[tuple[str, str], list[str]] = {}
    for schema, table, name, kind in connection.execute(_TABLES).fetchall():
        if any(word in kind for word in ("VARCHAR", "JSON", "BLOB")):
            found = columns.setdefault((schema, table), [])
            found.append(traces.sql(f'"{name}"::varchar'))
            if kind == "VARCHAR" and (ids := traces.ids.get(name.lower())):
                found.append(f'"{name}" in ({", ".join(map(literal, ids))})')
    for (schema, table), found in columns.items():
        yield schema, table, " or ".join(f"({one})" for one in found)


def find_in_parquet(place: Path | BinaryIO, traces: Traces) -> str:
    """Return the column of a Parquet file that has a trace; empty if none has."""
    try:
        with pq.ParquetFile(place) as file:
            for batch in file.iter_batches(1 << 16):
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    if not pa.types.is_integer(column.type) and traces.are_in_column(name, column):
                        return f"column {name}"
    except (pa.ArrowException, OSError) as error:
        return f"it cannot be read ({type(error).__name__})"
    return ""


def _in_sqlite(path: Path, traces: Traces) -> str:
    """Search a SQLite database, such as Airflow's."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.text_factory = bytes
            for (name,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
                table = name.decode().replace('"', '""')
                for row in connection.execute(f'select * from "{table}"'):
                    if any(isinstance(value, bytes) and traces.are_in(value) for value in row):
                        return f"table {name.decode()}"
    except sqlite3.Error as error:
        return f"it cannot be read ({type(error).__name__})"
    return ""


# --- blank ---


def blank_file(path: Path, traces: Traces) -> bool:
    """Replace the traces in a file of text, plain or gzip; the file is replaced by a rename. Return whether it had any."""
    with suppress(FileNotFoundError):
        content = path.read_bytes()
        is_gzip = content.startswith(b"\x1f\x8b")
        if is_gzip:
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError):
                return False
        if b"\0" in content or not traces.are_in(content):
            return False  # a file with a zero byte is no text: another program's database
        content = traces.blank_bytes(content)
        with atomic.replacing(path) as aside:
            aside.write_bytes(gzip.compress(content, mtime=0) if is_gzip else content)
            shutil.copymode(path, aside)
            force_to_disk(aside)
        return True
    return False


def blank_tables(connection: duckdb.DuckDBPyConnection, schema: str, tables: Iterable[str], traces: Traces) -> int:
    """Replace the traces in the text columns of some tables of the connected file; return the number of changed rows."""
    changed = 0
    wanted = set(tables)
    texts: dict[str, list[str]] = {}
    for of, table, name, kind in connection.execute(_TABLES).fetchall():
        if of == schema and table in wanted and kind == "VARCHAR":
            texts.setdefault(table, []).append(name)
    for table, names in texts.items():
        for name in names:
            new = f'"{name}"'
            for pattern in traces.patterns * 2:
                new = f"regexp_replace({new}, {literal(pattern)}, '\\1{BLANK}\\2', 'g')"
            where = traces.sql(f'"{name}"')
            found = connection.execute(f'update {schema}."{table}" set "{name}" = {new} where {where}').fetchone()
            changed += found[0] if found else 0
    return changed
