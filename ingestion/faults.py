"""Faults of the machine, each by its own name: a full disk, missing rights, a busy or damaged file.

Whatever library meets one says so in words of its own. Here they become errors that say what to do, once, for every
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
_RIGHTS = f"give the user that runs Clearwell the right to it, {_AGAIN}"
_CONNECTION = "run the same command again; if it stays, see that the other side runs"


@dataclass(frozen=True)
class _Kind:
    error: type[ClearwellError]
    what: str
    todo: str


_KINDS = {
    errno.ENOSPC: _Kind(Permanent, "the disk is full", _SPACE),
    errno.EDQUOT: _Kind(Permanent, "the disk quota is used up", _SPACE),
    errno.EFBIG: _Kind(Permanent, "a file would be larger than allowed", f"raise `ulimit -f`, {_AGAIN}"),
    errno.EROFS: _Kind(
        Permanent, "the file system is read-only", f"mount it for writing, or set CLEARWELL_HOME, {_AGAIN}"
    ),
    errno.EACCES: _Kind(Permanent, "permission denied", _RIGHTS),
    errno.EPERM: _Kind(Permanent, "operation not permitted", _RIGHTS),
    errno.EMFILE: _Kind(Permanent, "too many open files", f"raise `ulimit -n`, to 256 or more, {_AGAIN}"),
    errno.ENFILE: _Kind(Transient, "the machine has too many open files", "run the same command again"),
    errno.EIO: _Kind(
        Transient, "the disk failed to read or write", "look at the disk, then run the same command again"
    ),
    errno.ESTALE: _Kind(Transient, "a network file system lost the file", "run the same command again"),
    errno.ENOMEM: _Kind(Permanent, "there is not enough memory", f"give the machine more, {_AGAIN}"),
    errno.ECONNRESET: _Kind(Transient, "the connection was cut", _CONNECTION),
    errno.ECONNABORTED: _Kind(Transient, "the connection was cut", _CONNECTION),
    errno.ECONNREFUSED: _Kind(Transient, "the connection was refused", _CONNECTION),
    errno.EPIPE: _Kind(Transient, "the connection was cut", _CONNECTION),
    errno.ETIMEDOUT: _Kind(Transient, "the other side did not answer in time", _CONNECTION),
    errno.EHOSTUNREACH: _Kind(Transient, "the other side cannot be reached", _CONNECTION),
    errno.ENETUNREACH: _Kind(Transient, "the network cannot be reached", _CONNECTION),
}
# A line that says what kind of error it is: in a message of dbt, the line after the model's name.
_TOLD = re.compile(
    r"^\s*(?:(?:IO|Out of Memory|TransactionContext|FATAL|INTERNAL|Serialization|Invalid Input) Error: |.*\[Errno \d+\])",
    re.MULTILINE,
)
# A path may hold any words; it is no part of what went wrong.
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
# What DuckDB wants to put on a disk that has no room for it.
_SPILL = "offload data block"


@contextmanager
def named(where: str = "") -> Iterator[None]:
    """Let what fails here say what it is and what to do. Whatever is no fault of the machine passes as it is."""
    try:
        yield
    except ClearwellError:
        raise
    except Exception as error:
        if found := fault_of(error, where=where):
            raise found from error
        raise


def fault_of(error: BaseException, *, where: str = "") -> ClearwellError | None:
    """Say which fault of the machine an exception is; None if it is none."""
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
    # Importing psycopg costs a tenth of a second: only who meets its error pays.
    from psycopg import OperationalError

    return OperationalError


def fault_in(text: str, *, where: str = "") -> ClearwellError | None:
    """Say which fault of the machine a message of DuckDB or dbt tells of; None if it tells of none."""
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
        limit = os.environ.get("CLEARWELL_MEMORY") or "unset, so 1GB"
        todo = f"set CLEARWELL_MEMORY, which is {limit}, to more, such as 2GB, and run the same command again"
        return Permanent(f"there is not enough memory: {_first_line(line)}", where=where, todo=todo)
    return next((_told(kind, where) for number, kind in _KINDS.items() if os.strerror(number) in words), None)


def is_of_process(error: BaseException) -> bool:
    """Say whether a file could not be read for want of what the process lacks, whatever the file is."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def is_busy(error: duckdb.Error) -> bool:
    """Say whether another process holds the DuckDB file: told by the kind of error, as a path may hold any word."""
    return isinstance(error, duckdb.IOException) and bool(_LOCKED.search(_NAMES.sub("''", str(error))))


def busy(error: duckdb.Error, where: str) -> Transient:
    """Say who holds a DuckDB file."""
    return _busy(str(error), where)


def _busy(text: str, where: str) -> Transient:
    holder = _HOLDER.search(text)
    who = f" ({holder[1].rpartition('/')[2]}, PID {holder[2]})" if holder else ""
    return Transient(f"another process{who} holds the database", where=where, todo="try again when it is done")


def _of_system(error: OSError, where: str) -> ClearwellError:
    place = str(error.filename) if error.filename is not None else where
    kind = _KINDS.get(error.errno or 0)
    if kind:
        return _told(kind, place)
    what = error.strerror or str(error) or type(error).__name__
    return fault_in(str(error), where=place) or Transient(
        what[:1].lower() + what[1:],
        where=place,
        todo="run the same command again; after `clearwell --debug` it says where",
    )


def _told(kind: _Kind, where: str) -> ClearwellError:
    return kind.error(kind.what, where=where, todo=kind.todo)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
