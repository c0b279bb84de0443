"""Recognize faults of the machine: a full disk, missing rights, a busy or damaged file.

Each library reports them in its own words. Here they become errors that say what to do, in one place for every
command and every task.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from ingestion.errors import Broken, ClearwellError, Permanent, Transient

_AGAIN = "then run the same command again"
_SPACE = f"free space, {_AGAIN}"
_RIGHTS = f"give the user that runs Clearwell access to it, {_AGAIN}"
_CONNECTION = "run the same command again; if it fails again, check that the server runs"


@dataclass(frozen=True)
class _Kind:
    error: type[ClearwellError]
    what: str
    todo: str


_KINDS = {
    errno.ENOSPC: _Kind(Permanent, "the disk is full", _SPACE),
    errno.EDQUOT: _Kind(Permanent, "the disk quota is used up", _SPACE),
    errno.EFBIG: _Kind(Permanent, "a file would exceed the size limit", f"raise `ulimit -f`, {_AGAIN}"),
    errno.EROFS: _Kind(
        Permanent, "the file system is read-only", f"mount it for writing, or set CLEARWELL_HOME, {_AGAIN}"
    ),
    errno.EACCES: _Kind(Permanent, "permission denied", _RIGHTS),
    errno.EPERM: _Kind(Permanent, "operation not permitted", _RIGHTS),
    errno.EMFILE: _Kind(Permanent, "too many open files", f"raise `ulimit -n`, to 256 or more, {_AGAIN}"),
    errno.ENFILE: _Kind(Transient, "the machine has too many open files", "run the same command again"),
    errno.EIO: _Kind(Transient, "the disk failed to read or write", "check the disk, then run the same command again"),
    errno.ESTALE: _Kind(Transient, "a network file system lost the file", "run the same command again"),
    errno.ENOMEM: _Kind(Permanent, "there is not enough memory", f"give the machine more memory, {_AGAIN}"),
    errno.ECONNRESET: _Kind(Transient, "the connection was cut", _CONNECTION),
    errno.ECONNABORTED: _Kind(Transient, "the connection was cut", _CONNECTION),
    errno.ECONNREFUSED: _Kind(Transient, "the connection was refused", _CONNECTION),
    errno.EPIPE: _Kind(Transient, "the connection was cut", _CONNECTION),
    errno.ETIMEDOUT: _Kind(Transient, "the server did not answer in time", _CONNECTION),
    errno.EHOSTUNREACH: _Kind(Transient, "the server cannot be reached", _CONNECTION),
    errno.ENETUNREACH: _Kind(Transient, "the network cannot be reached", _CONNECTION),
}
# The line that names the kind of error: in a message of dbt, the line after the model's name.
_TOLD = re.compile(
    r"^\s*(?:(?:IO|Out of Memory|TransactionContext|FATAL|INTERNAL|Serialization|Invalid Input) Error: |.*\[Errno \d+\])",
    re.MULTILINE,
)
# A path may hold any words: it is ignored when the error is recognized.
_NAMES = re.compile(r"""(["'])(?:(?!\1)[^\n])*\1""")
_FIRST_NAME = re.compile(r"""["']([^"'\n]*[/\\.][^"'\n]*)["']""")
_LOCKED = re.compile(r"IO Error: Could not set lock on file")
_HOLDER = re.compile(r"Conflicting lock is held in (\S+) \(PID (\d+)\)")
_DAMAGED = re.compile(
    r"not a valid DuckDB database file|Corrupt database file|Could not read enough bytes|Failure while replaying WAL"
    r"|Serialization Error|No magic bytes|[Dd]ecompression failure|TProtocolException|Failed to read Parquet"
    r"|too small to be a Parquet file|Failed to read file"
)
# DuckDB refuses everything after a fatal error, and quotes that one.
_CAUSE = re.compile(r'Original error: "(.*)"', re.DOTALL)
# DuckDB's words when the disk has no room for what it spills.
_SPILL = "offload data block"


@contextmanager
def named(where: str = "") -> Iterator[None]:
    """Turn faults of the machine into errors that say what to do. Any other exception passes unchanged."""
    try:
        yield
    except ClearwellError:
        raise
    except Exception as error:
        if found := fault_of(error, where=where):
            raise found from error
        raise


def fault_of(error: BaseException, *, where: str = "") -> ClearwellError | None:
    """Return the error for an exception that is a fault of the machine; None for any other."""
    if isinstance(error, ClearwellError):
        return error
    if isinstance(error, OSError):
        return _of_system(error, where)
    if isinstance(error, MemoryError):
        return _told(_KINDS[errno.ENOMEM], where)
    if isinstance(error, duckdb.Error):
        return fault_in(str(error), where=where)
    if type(error).__module__.startswith("psycopg") and isinstance(error, _lost_connection()):
        return Transient(f"the database did not answer: {_first_line(str(error))}", where=where, todo=_CONNECTION)
    if isinstance(error, ImportError) and os.strerror(errno.EMFILE) in str(error):
        return _told(_KINDS[errno.EMFILE], where)
    return None


def _lost_connection() -> type[Exception]:
    # Importing psycopg costs a tenth of a second: import it only where it may have raised the error.
    from psycopg import OperationalError

    return OperationalError


def fault_in(text: str, *, where: str = "") -> ClearwellError | None:
    """Return the error for a message of DuckDB or dbt that reports a fault of the machine; None for any other."""
    if cause := _CAUSE.search(text):
        return fault_in(cause[1], where=where)
    line = next((text[match.start() :] for match in [_TOLD.search(text)] if match), "")
    words = _NAMES.sub("''", line)
    name = _FIRST_NAME.search(line)
    where = where or (name[1] if name else "")
    if _LOCKED.search(words):
        return _busy(line, where)
    if _DAMAGED.search(words):
        return Broken(f"a file is damaged: {_first_line(line)}", where=where)
    if _SPILL in words:
        return _told(_KINDS[errno.ENOSPC], where)
    if "Out of Memory Error" in words:
        limit = os.environ.get("CLEARWELL_MEMORY") or "1GB by default"
        todo = f"set CLEARWELL_MEMORY (now {limit}) to more, such as 2GB, and run the same command again"
        return Permanent(f"there is not enough memory: {_first_line(line)}", where=where, todo=todo)
    return next((_told(kind, where) for number, kind in _KINDS.items() if os.strerror(number) in words), None)


def is_of_process(error: BaseException) -> bool:
    """Say whether reading failed because the process ran out of memory or of open files: the file may be sound."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def is_busy(error: duckdb.Error) -> bool:
    """Say whether another process holds the DuckDB file. The path is ignored, as it may hold any word."""
    return isinstance(error, duckdb.IOException) and bool(_LOCKED.search(_NAMES.sub("''", str(error))))


def busy(error: duckdb.Error, where: str) -> Transient:
    """Return an error that names the process that holds a DuckDB file."""
    return _busy(str(error), where)


def _busy(text: str, where: str) -> Transient:
    holder = _HOLDER.search(text)
    who = f" ({holder[1].rpartition('/')[2]}, PID {holder[2]})" if holder else ""
    return Transient(
        f"another process{who} holds the database", where=where, todo="run the same command again when it is done"
    )


def _of_system(error: OSError, where: str) -> ClearwellError:
    place = str(error.filename) if error.filename is not None else where
    kind = _KINDS.get(error.errno or 0)
    if kind:
        return _told(kind, place)
    what = error.strerror or str(error) or type(error).__name__
    return fault_in(str(error), where=place) or Transient(
        what[:1].lower() + what[1:],
        where=place,
        todo="run the same command again; if it fails again, with `clearwell --debug` for the traceback",
    )


def _told(kind: _Kind, where: str) -> ClearwellError:
    return kind.error(kind.what, where=where, todo=kind.todo)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
