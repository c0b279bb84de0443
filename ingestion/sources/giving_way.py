"""End a long read before it blocks the database: an ALTER TABLE waits for our locks, and all queries wait behind it.

A second connection checks from time to time whether anything waits, and ends our transaction in time.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Event, Thread
from time import monotonic
from typing import Any

import psycopg

from ingestion.errors import Transient
from ingestion.sources.deadlines import Connection, variable

# Check this many times within the time that others may wait.
_PARTS = 5
# If one address leads to several servers, a process id alone may be another server's. With its start it is unique.
_OURS = "select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()"
_WAITING = """
    select waiting.pid
    from pg_locks as waiting
    join pg_stat_activity as ours on ours.pid = any(pg_blocking_pids(waiting.pid))
    where not waiting.granted and waiting.locktype = 'relation' and ours.pid = %s and ours.backend_start = %s
"""


@contextmanager
def giving_way(url: str, connection: Connection) -> Iterator[None]:
    """End the connection's transaction, as Transient, before anyone has waited for its locks longer than the limit `lock`.

    Short reads are not checked. Without a second connection nothing is checked.
    """
    backend = connection.execute(_OURS).fetchone() or (None, None)
    over, gave_way = Event(), Event()
    watcher = Thread(target=_watch, args=(url, connection, backend, over, gave_way), daemon=True)
    watcher.start()
    try:
        yield
    except psycopg.Error:
        if not gave_way.is_set():
            raise
        raise Transient(
            f"the landing was ended because a statement at {connection.name} waited for a lock that it held",
            where=connection.where,
            todo="run it again when the ALTER TABLE, or other statement that locks the table, is done; "
            f"{variable('lock')} sets how long others may wait",
        ) from None
    finally:
        over.set()
        watcher.join(connection.limits.connect)


def _watch(url: str, connection: Connection, backend: tuple[Any, ...], over: Event, gave_way: Event) -> None:
    # A check takes no time: stop waiting for one that does.
    limits = replace(connection.limits, first_row=connection.limits.connect, progress=connection.limits.connect)
    while not over.wait(limits.lock / _PARTS):
        with suppress(psycopg.Error, Transient), Connection.to(url, limits, "", autocommit=True) as second:
            _look(second, backend, over, gave_way)


def _look(second: Connection, backend: tuple[Any, ...], over: Event, gave_way: Event) -> None:
    """Check until the read is over, or until something has waited almost as long as allowed."""
    pause = second.limits.lock / _PARTS
    since: dict[int, float] = {}
    while not over.is_set():
        now = monotonic()
        waiting = {row[0] for row in second.execute(_WAITING, backend).fetchall()}
        since = {one: since.get(one, now - pause) for one in waiting}
        if any(now - start > second.limits.lock - 2 * pause for start in since.values()):
            gave_way.set()
            second.execute("select pg_terminate_backend(%s)", backend[:1])
            over.wait()
        over.wait(pause)
