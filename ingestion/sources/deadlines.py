"""Limit how long we wait for a source's database, and it for us. The client keeps the deadlines: a hanging server cannot.

What takes longer raises Transient, with the name of the variable that sets the limit.
"""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields
from typing import Any, Self

import psycopg
from psycopg import errors, generators, waiting
from psycopg.abc import Buffer, PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ExecStatus

from ingestion.errors import Permanent, Transient

# A host that is gone is noticed after 30 + 3 x 10 seconds, by either side of an idle connection.
_KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}
# Not every server has all of these settings, or an operating system that supports them.
_WHERE_THE_SERVER_CAN = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60s",
    "client_connection_check_interval": "10s",
}
_CANNOT = (errors.DataError, errors.NotSupportedError, errors.ProgrammingError)
_SET = "select set_config(name, value, true) from unnest(%s::text[], %s::text[]) as asked (name, value)"


@dataclass(frozen=True)
class Limits:
    """The limits in seconds, of every database. Each can be set by a variable SHOP_…_SECONDS, such as SHOP_FIRST_ROW_SECONDS.

    `first_row` is how long a query may be silent before its answer begins; `progress` how long nothing may come of an
    answer that has begun. The server enforces the others: how long a `statement` may take in all, how long we wait for a
    `lock` and others for ours, and how long a transaction may be `idle` (a landing reads Clearwell's state meanwhile).
    """

    connect: float = 10
    first_row: float = 960
    progress: float = 120
    statement: float = 900
    lock: float = 15
    idle: float = 600

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the limits from the environment; an empty variable counts as unset."""
        given = {one.name: env.get(variable(one.name), "").strip() for one in fields(cls)}
        return cls(**{name: _seconds(variable(name), text) for name, text in given.items() if text})


def variable(limit: str) -> str:
    """Name the variable that sets a limit."""
    return f"SHOP_{limit.upper()}_SECONDS"


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise Permanent(
            f"{name} is {text!r}, which is not a number of seconds",
            where=name,
            todo="set it to a number of seconds over 0, or unset it",
        )
    return seconds


class Connection(psycopg.Connection[Any]):
    """A connection with time limits. What takes longer closes it and raises Transient."""

    limits = Limits()
    where = ""
    name = "the shop database"
    _waits_for, _limit = "progress", limits.progress

    @classmethod
    def to(cls, url: str, limits: Limits, where: str, *, autocommit: bool = False, name: str = name) -> Self:
        """Connect within the limits. Keepalive settings in the address take precedence. `name` is what messages call it."""
        given = conninfo_to_dict(url)
        kept = {name: value for name, value in _KEEPALIVE.items() if name not in given}
        address = make_conninfo(url, client_encoding="utf8", connect_timeout=math.ceil(limits.connect), **kept)
        # No prepared statements: behind a pool, another session may have the server's connection next, and the same names.
        connection = cls.connect(address, cursor_factory=_Cursor, autocommit=autocommit, prepare_threshold=None)
        connection.limits, connection.where, connection.name = limits, where, name
        connection._wait_for("progress")
        return connection

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for one answer, or one row of a COPY. Replaces psycopg's own wait: calling both for each row is too slow."""
        try:
            return waiting.wait(gen, self.pgconn.socket, interval, self._limit if timeout is None else timeout)
        except errors._WaitTimeout:
            self.pgconn.finish()  # do not wait for the rest of the transaction as well
            raise Transient(
                f"{self.name} hangs: it sent nothing for {self._limit:g} seconds",
                where=self.where,
                todo=f"check what the database is busy with, then try again; {variable(self._waits_for)} sets how long to wait",
            ) from None
        except KeyboardInterrupt:
            with suppress(psycopg.Error):
                self.cancel_safe(timeout=1)
            self.pgconn.finish()
            raise

    @contextmanager
    def waiting_for(self, limit: str) -> Iterator[None]:
        """Wait under another limit."""
        before = self._waits_for
        self._wait_for(limit)
        try:
            yield
        finally:
            self._wait_for(before)

    def _wait_for(self, limit: str) -> None:
        self._waits_for, self._limit = limit, getattr(self.limits, limit)

    def ask_for(self, settings: Mapping[str, str]) -> None:
        """Apply settings and our limits to this transaction, and let the server notice soon if we are gone."""
        limits = {
            "statement_timeout": self.limits.statement,
            "lock_timeout": self.limits.lock,
            "idle_in_transaction_session_timeout": self.limits.idle,
        }
        self._set({**settings, **{name: f"{math.ceil(seconds * 1000)}ms" for name, seconds in limits.items()}})
        there = {name for (name,) in self.execute("select name from pg_settings").fetchall()}
        wanted = {name: value for name, value in _WHERE_THE_SERVER_CAN.items() if name in there}
        try:
            with self.transaction():
                self._set(wanted)
        except _CANNOT:
            for name, value in wanted.items():
                with suppress(*_CANNOT), self.transaction():
                    self._set({name: value})

    def _set(self, settings: Mapping[str, str]) -> None:
        self.execute(_SET, [list(settings), list(settings.values())])


class Rows:
    """The rows of a COPY as psycopg yields them, in a third of the time: it is asked to wait only where no row has arrived.

    When they have ended, `sent` is how many the server says that it sent; None if it does not say.
    """

    def __init__(self, copy: psycopg.Copy) -> None:
        self.sent: int | None = None
        self._copy = copy

    def __iter__(self) -> Iterator[Buffer]:
        copy, pgconn = self._copy, self._copy.connection.pgconn
        while True:
            size, row = pgconn.get_copy_data(1)
            if size > 0:
                yield row
            elif size == 0:
                if not (awaited := copy.read()):
                    self.sent = copy.cursor.rowcount if copy.cursor.rowcount >= 0 else None
                    return
                yield awaited
            else:
                (result,) = copy.connection.wait(generators.fetch_many(pgconn))
                if result.status != ExecStatus.COMMAND_OK:
                    raise errors.error_from_result(result, encoding=copy.connection.info.encoding)
                self.sent = result.command_tuples
                return


class _Cursor(psycopg.Cursor[Any]):
    """A cursor whose query may take long before it begins to answer."""

    _conn: Connection

    def execute(self, *query: Any, **more: Any) -> Self:
        with self._conn.waiting_for("first_row"):
            return super().execute(*query, **more)

    @contextmanager
    def copy(self, *query: Any, **more: Any) -> Iterator[psycopg.Copy]:
        with ExitStack() as stack:
            with self._conn.waiting_for("first_row"):
                rows = stack.enter_context(super().copy(*query, **more))
            yield rows
