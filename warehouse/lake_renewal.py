"""Write the tables of a lake anew, so that nothing is left of what it held before: no deleted row, older snapshot or stray file.

A snapshot that is deleted cannot be asked any more. Builds that other machines planned over one of them are out of date.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingestion import lake
from ingestion.database import attached
from ingestion.errors import Permanent, Transient
from ingestion.sources import s3
from ingestion.sql import identifier, literal
from warehouse import comments, complete_views, lakehouse, rewrite, shape, state

_TRIES = 10
_LOCK_SECONDS = 60
Change = Callable[[duckdb.DuckDBPyConnection], object]


@dataclass(frozen=True)
class Removed:
    """The snapshots and the files that are about to be removed."""

    snapshots: tuple[int, ...] = ()
    files: tuple[str, ...] = ()


def renew(path: Path, change: Change, note: Callable[[Removed], None]) -> None:
    """Change a lake, write all of its tables anew, compare them, and remove what no table needs, which `note` is told before.

    The tables are one snapshot of the last build. A build that another machine commits meanwhile comes first: then this starts
    again, some times at most, and is Transient after that. What a killed process leaves is removed by a repeated call.
    """
    with state.writing(path) as connection:
        name = state.rows(connection, "select current_database() as name")[0]["name"]
        # Written before the commit below and in no snapshot after it: no process can commit these any more.
        strays = _files(connection, _STRAYS, name)
        _repeated(lambda: _rewrite(connection, name, change))
        query = "select snapshot_id from ducklake_snapshots($1) where snapshot_id < $2 order by all"
        older = connection.execute(query, [name, lake.current_snapshot(connection, name)]).fetchall()
        if snapshots := tuple(one for (one,) in older):
            note(Removed(snapshots=snapshots))
            connection.execute(f"call ducklake_expire_snapshots({literal(name)}, versions => {[*snapshots]})")
        strays &= _files(connection, _STRAYS, name)
        note(Removed(files=tuple(sorted(strays | _files(connection, _UNUSED, name)))))
        connection.execute(f"call ducklake_cleanup_old_files({literal(name)}, cleanup_all => true)")
        _remove(strays)
    vacuum(path)


def replace_all(path: Path, source: Path, base: str) -> None:
    """Replace all of a lake by the state in a file, in one snapshot of that state's last build. The lake's own tables are not read.

    Overtaken if `base` is not the last build of the lake.
    """
    build_id = state.last_build(source)
    with (
        state.writing(path) as connection,
        attached(connection, source, "source"),
        lakehouse.transaction(connection, build_id),
    ):
        lakehouse.claim(connection, base, build_id)
        had, has = shape.read(connection), shape.read(connection, "source")
        for table, columns in had.items():
            if not columns or not has.get(table):
                connection.execute(f"drop {'table' if columns else 'view'} {_written(table)}")
        for schema in sorted({schema for schema, _ in has}):
            connection.execute(f"create schema if not exists {schema}")
        for table, columns in has.items():
            if columns:
                connection.execute(f"create or replace table {_written(table)} as {_kept(table, columns)}")
        for schema, view, said in connection.execute(_VIEWS).fetchall():
            if (schema, view) in has:
                connection.execute(said)
        comments.write(connection, comments.read(connection, "source"))
        complete_views.write(connection)


def vacuum(path: Path) -> None:
    """Let the catalog's Postgres write its tables anew: it keeps deleted rows in pages. A busy catalog is Transient."""
    import psycopg

    with closing(lake.catalog(lake.read(path))) as catalog:
        catalog.execute(f"set lock_timeout = '{_LOCK_SECONDS}s'")
        try:
            catalog.execute("vacuum full")
        except psycopg.errors.LockNotAvailable:
            raise Transient(
                "the catalog of the lake is in use, so that its deleted rows cannot be removed",
                where=lake.read(path).catalog,
                todo="run the same command again once no other machine builds",
            ) from None


def _rewrite(connection: duckdb.DuckDBPyConnection, name: str, change: Change) -> None:
    with lakehouse.transaction(connection):
        lakehouse.hold_off(connection)
        change(connection)
        said, before = comments.read(connection, name), rewrite.content(connection, name)
        for table in (_written(one) for one, columns in shape.read(connection).items() if columns):
            connection.execute(f"create or replace table {table} as from {table}")
        comments.write(connection, said)
        if odd := sorted({one for one, _ in before.items() ^ rewrite.content(connection, name).items()}):
            raise Permanent(
                f"the lake's tables differ once they are written anew: {', '.join(odd)}",
                where="nothing was changed",
                todo="clearwell repair --dry-run",
            )


def _repeated(act: Callable[[], None]) -> None:
    for tries_left in reversed(range(_TRIES)):
        try:
            act()
            return
        except lakehouse.Overtaken:
            if not tries_left:
                raise Transient(
                    "other machines kept changing the lake", todo="run the same command again once they build less"
                ) from None


# The files of no snapshot, which killed builders left, or running ones have not committed yet; and those of removed snapshots.
_STRAYS, _UNUSED = "ducklake_delete_orphaned_files", "ducklake_cleanup_old_files"


def _files(connection: duckdb.DuckDBPyConnection, function: str, name: str) -> set[str]:
    query = f"call {function}({literal(name)}, dry_run => true, cleanup_all => true)"
    return {path for (path,) in connection.execute(query).fetchall()}


def _remove(places: Iterable[str]) -> None:
    for place in places:
        if s3.is_s3(place):
            s3.delete(place)
        else:
            Path(place).unlink(missing_ok=True)


def _written(table: shape.Name) -> str:
    return ".".join(map(identifier, table))


def _kept(table: shape.Name, columns: Mapping[str, str]) -> str:
    """Return the query of a table's rows in the types that a lake keeps them in."""
    kept = ", ".join(
        f"cast({identifier(name)} as {lake.KEPT_AS[kind]}) as {identifier(name)}"
        for name, kind in columns.items()
        if kind in lake.KEPT_AS
    )
    return f"select *{f' replace ({kept})' if kept else ''} from source.{_written(table)}"


_VIEWS = """
    select schema_name, view_name, sql from duckdb_views() where database_name = 'source' and not internal order by all
"""
