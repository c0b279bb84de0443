"""A state that is in a lake: each build is one snapshot of it, and only a build that was planned over the last one is committed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from ingestion import lake
from ingestion.addresses import is_address
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.lake import Lake
from ingestion.s3_store import SCHEME, is_s3
from warehouse import state

# Each build changes this one row, so that of two that commit at once the lake refuses one: it would merge changes of other rows.
_SCHEMA, _TABLE = "lake", "last_build"
_AUTHOR = "clearwell"


class Overtaken(Permanent):
    """The state has changed since a build was planned, so the build is out of date."""

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        super().__init__(what, where=where, todo=todo or "`clearwell build` plans again and builds what is left to do")


@dataclass(frozen=True)
class Snapshot:
    """The snapshot of a lake that a build committed, and when."""

    build_id: str
    snapshot: int
    committed_at: datetime


def use(home: Home, catalog: str, files: str) -> Lake:
    """Put the state into a lake, which is created if the database of its catalog has none. A state in another lake is Permanent.

    `catalog` names a connection; `files` is a folder or an address of S3.
    """
    if is_address(files) and not is_s3(files):
        raise Permanent("the files of a lake are in a folder or in S3", todo=f"name a folder, or {SCHEME}bucket/prefix")
    # DuckDB knows the scheme in lower case only
    place = f"{SCHEME}{files[len(SCHEME) :]}" if is_s3(files) else str(Path(files).expanduser().absolute())
    wanted = Lake(catalog, place)
    with state.lock(home):
        if home.lake.exists() and (there := lake.read(home.lake)) != wanted:
            raise Permanent(
                f"the state is in another lake already: {there.catalog}, {there.files}",
                where=str(home.lake),
                todo="delete this file first; the lake itself stays as it is",
            )
        lake.create(wanted)
        lake.write(home.lake, wanted)
    return wanted


def builds(path: Path) -> list[Snapshot]:
    """List the builds whose snapshots the lake still has, from the first to the last. A state in a file is Permanent."""
    if not lake.is_lake(path):
        raise Permanent(
            "only a state that is in a lake has earlier builds",
            where=str(path),
            todo="`clearwell builds restore ID --reason TEXT` shows readers one of the last published states; "
            "docs/lakehouse.md says how to use a lake",
        )
    with state.connect(path) as connection:
        return _builds(connection)


def find(path: Path, build_id: str) -> int:
    """Return the snapshot that a build committed. A build that has none is Permanent."""
    found = {one.build_id: one.snapshot for one in builds(path)}
    if build_id not in found:
        raise Permanent(
            f"the lake has no snapshot of the build {build_id}",
            where=str(path),
            todo="`clearwell lake builds` lists them",
        )
    return found[build_id]


def pin(path: Path, base: str, build_id: str, pinned: Path) -> None:
    """Write the file that names the lake of the state as it is after the build `base`. Overtaken if that is not the last any more."""
    with state.connect(path) as connection:
        if (now := _last(connection)) != base:
            raise overtaken(build_id, now)
        snapshot = lake.current_snapshot(connection, _name(connection))
    lake.write(pinned, replace(lake.read(path), snapshot=snapshot))


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection, build_id: str = "") -> Iterator[None]:
    """Change a state, in a file or a lake, in one transaction. Overtaken if a lake refuses it because of another build."""
    connection.execute("begin")
    try:
        yield
        connection.execute("commit")
    except BaseException as error:
        with suppress(duckdb.Error):  # the connection may be broken by then: the first error is the one to report
            connection.execute("rollback")
        if isinstance(error, duckdb.Error) and is_conflict(error):
            raise overtaken(build_id) from error
        raise


def claim(connection: duckdb.DuckDBPyConnection, base: str, build_id: str) -> None:
    """In the transaction of an apply: name its build in the snapshot, and let it fail if another build is committed first."""
    if (last := _last(connection)) != base:
        raise overtaken(build_id, last)
    if not last:
        connection.execute(f"create schema {_SCHEMA}")
        connection.execute(f"create table {_SCHEMA}.{_TABLE} (build_id varchar)")
        connection.execute(f"insert into {_SCHEMA}.{_TABLE} values ('')")
    connection.execute(f"update {_SCHEMA}.{_TABLE} set build_id = $1", [build_id])
    connection.execute(f"call {_name(connection)}.set_commit_message('{_AUTHOR}', '{build_id}')")


def hold_off(connection: duckdb.DuckDBPyConnection) -> None:
    """In a transaction that is no build: name the last build in the snapshot, and let one of two fail, this or another machine's build."""
    if last := _last(connection):
        connection.execute(f"update {_SCHEMA}.{_TABLE} set build_id = $1", [last])
        connection.execute(f"call {_name(connection)}.set_commit_message('{_AUTHOR}', '{last}')")


def last(path: Path) -> str:
    """Return the build that was committed last to a lake; empty if none was. No table of the state is read."""
    with state.connect(path) as connection:
        return _last(connection)


def check_pinned(path: Path, build_id: str, base: str, pinned: Path) -> None:
    """Raise Overtaken if a lake has changed since a build was planned over `base`, or no longer has the snapshot that was pinned."""
    with state.connect(path) as connection:
        if (now := _last(connection)) != base:
            raise overtaken(build_id, now)
        query = "select 1 from ducklake_snapshots($1) where snapshot_id = $2"
        if not connection.execute(query, [_name(connection), lake.read(pinned).snapshot]).fetchall():
            raise Overtaken(f"the snapshot of the lake that build {build_id} was planned over has been removed")


def overtaken(build_id: str, by: str = "") -> Overtaken:
    """Return the error for a build whose state has changed since it was planned."""
    return Overtaken(
        f"build {by} has changed the state since build {build_id} was planned, so the latter is out of date"
        if by
        else f"another build was committed at the same moment as {build_id}"
    )


def is_conflict(error: duckdb.Error) -> bool:
    """Say whether a lake refused a transaction because of one that was committed since it began."""
    return isinstance(error, duckdb.TransactionException) and "conflict" in str(error).lower()


def _last(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the build that was committed last; empty if none was."""
    if not state.has_table(connection, _SCHEMA, _TABLE):
        return ""
    return str(connection.execute(f"select build_id from {_SCHEMA}.{_TABLE}").fetchall()[0][0])


def _builds(connection: duckdb.DuckDBPyConnection) -> list[Snapshot]:
    query = """
        select commit_message as build_id, snapshot_id as snapshot, snapshot_time as committed_at
        from ducklake_snapshots($1)
        where author = $2
        order by snapshot_id
    """
    return [Snapshot(**row) for row in state.rows(connection, query, [_name(connection), _AUTHOR])]


def _name(connection: duckdb.DuckDBPyConnection) -> str:
    return str(connection.execute("select current_database()").fetchall()[0][0])
