"""Change a DuckDB file by a build: every table, the ledger and the plan in one transaction."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from ingestion.database import attached
from ingestion.errors import Permanent
from warehouse import applied, comments, dbt, shape, state
from warehouse.dbt import Change
from warehouse.plan import Build
from warehouse.shape import KEPT

# Also those that the models write, and that a build which starts over must not forget.
HISTORY = (*KEPT, "restatements")


def apply(build: Build) -> None:
    """Bring the state to what the build says, or leave it as it is. A state that has moved on is Permanent."""
    if is_applied(build):
        return
    if build.plan().full:
        _replace(build)
    else:
        with state.writing(build.home.state) as connection:
            change_tables(connection, build, dbt.changes(build), is_state=True)


def is_applied(build: Build) -> bool:
    """Say whether the state has taken a build. One that was planned over another state than today's is Permanent: it cannot."""
    query = "select build_id from ops.builds where build_id = $1"
    if state.read(build.home.state, "ops.builds", query, [build.build_id]):
        return True
    found = state.last_build(build.home.state)
    if found != build.plan().base:
        raise Permanent(
            f"build {found} has changed the state since build {build.build_id} was planned",
            todo="clearwell build builds what is left to do",
        )
    return False


def _replace(build: Build) -> None:
    """Make a whole new state aside, and take its name in one rename. What is kept for ever comes along."""
    aside = build.state
    state.drop(aside)
    with state.connect(aside, read_only=False) as connection:
        if build.home.state.exists():
            copy_tables(connection, build.home.state, [("ops", name) for name in HISTORY])
        change_tables(connection, build, dbt.changes(build), is_state=True)
        connection.execute("checkpoint")
    state.durable_rename(aside, build.home.state)


def change_tables(
    connection: duckdb.DuckDBPyConnection, build: Build, changes: Iterable[Change], *, is_state: bool = False
) -> None:
    """Apply changes to the connected file in one transaction, or none of them if it would not hold what was built.

    The state has a ledger to be held against as well; the published file has none of the records.
    """
    changes = [*changes]
    # DuckDB takes a table that was filled in this transaction for empty, and would hold all of it in memory to find its rows.
    connection.execute("set disabled_optimizers = 'build_side_probe_side'")
    with attached(connection, build.file, "build"), _transaction(connection):
        changes += [_kept(connection, name) for name in KEPT]
        had, built = shape.read(connection), shape.read(connection, "build")
        for table in left_over(changes, had):
            connection.execute(f"drop {'table' if had.pop(table) else 'view'} {'.'.join(table)}")
        for change in changes:
            for statement in statements(connection, change, had, built):
                connection.execute(statement)
        applied.check_tables(
            connection, [(change, matching(connection, change)) for change in changes if not change.view_sql]
        )
        if is_state:
            applied.check_ledger(connection, "build.plan.touched")
        kept = {key: comment for key, comment in comments.read(connection, "build").items() if key[1] in KEPT}
        comments.write(connection, comments.of_changes(changes) | kept)


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("begin")
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # the connection may be broken by then: what broke it is told
            connection.execute("rollback")
        raise
    connection.execute("commit")


def _kept(connection: duckdb.DuckDBPyConnection, name: str) -> Change:
    """Say how the rows that the audit wrote, which no model makes, change the table that keeps those of every build."""
    columns = connection.execute(f"select column_name, column_type from (describe build.ops.{name})").fetchall()
    return Change(
        model="",
        schema="ops",
        table=name,
        match_schema="ops",
        match_table="builds",
        by={"build_id": "build_id"},
        columns=tuple(column for column, _ in columns),
        types=tuple(kind for _, kind in columns),
        view_sql="",
        is_published=True,
    )


def left_over(changes: Iterable[Change], had: shape.Shape) -> list[shape.Name]:
    """List what no model makes any more; and what was a view and is a table now, or the other way round."""
    made = {(change.schema, change.table): bool(change.view_sql) for change in changes}
    return shape.left_over([name for name, is_view in made.items() if name in had and bool(had[name]) != is_view], had)


def statements(
    connection: duckdb.DuckDBPyConnection, change: Change, had: shape.Shape, built: shape.Shape
) -> list[str]:
    """Spell out what one change does to a file that had some tables, in SQL.

    Columns come and go with those of the model; a type that changes is Permanent.
    """
    table = f"{change.schema}.{change.table}"
    made = [f"create schema if not exists {change.schema}"]
    if change.view_sql:
        return [*made, f"create or replace view {table} as {change.view_sql}"]
    columns = ", ".join(change.columns)
    name = (change.schema, change.table)
    shape_now = {column: built[name][column] for column in change.columns}
    if name not in had or (not change.match_table and had[name] != shape_now):
        return [*made, f"create or replace table {table} as select {columns} from build.{table}"]
    before, after = had[name], built[name]
    for column, kind in zip(change.columns, change.types, strict=True):
        if column not in before:
            made.append(f"alter table {table} add column {column} {kind}")
        elif before[column] != after[column] and change.is_history:
            made.append(f"alter table {table} alter column {column} type {kind} using try_cast({column} as {kind})")
        elif before[column] != after[column]:
            raise Permanent(
                f"{table}.{column} is {before[column]} in the state and {after[column]} in the build",
                where="nothing was changed",
                todo="clearwell build --full --reason TEXT makes every table again",
            )
    made += [f"alter table {table} drop column {column}" for column in before if column not in change.columns]
    made.append(f"delete from {table} {matching(connection, change)}")
    made.append(f"insert into {table} by name select {columns} from build.{table}")
    return made


def matching(connection: duckdb.DuckDBPyConnection, change: Change) -> str:
    """Spell out which rows of the connected file a change replaces; the build is attached as `build`."""
    if not change.match_table:
        return ""
    match = f"build.{change.match_schema}.{change.match_table}"
    # Renamed, since a name that both sides have would mean the inner side twice, and match every row.
    renamed = ", ".join(f"{column} as touched_{column}" for column in change.by)
    same = " and ".join(
        f"touched_{column} is not distinct from {expression}" for column, expression in change.by.items()
    )
    dates = [
        _dates(connection, match, column, expression)
        for column, expression in change.by.items()
        if column.endswith("_date")
    ]
    return f"where exists (select 1 from (select {renamed} from {match}) where {same})" + "".join(dates)


def _dates(connection: duckdb.DuckDBPyConnection, match: str, column: str, expression: str) -> str:
    """Name the dates as literals as well: DuckDB skips row groups for literals, not for a join."""
    found = [row[0] for row in connection.execute(f"select distinct {column} from {match} order by 1").fetchall()]
    listed = ", ".join(f"date '{one}'" for one in found if one is not None)
    parts = ([f"{expression} in ({listed})"] if listed else []) + ([f"{expression} is null"] if None in found else [])
    return f" and ({' or '.join(parts)})" if parts else " and false"


def copy_tables(connection: duckdb.DuckDBPyConnection, source: Path, tables: Iterable[tuple[str, str]]) -> None:
    """Copy whole tables from another file, those that it has."""
    with attached(connection, source, "source"):
        for schema, name in tables:
            if state.has_table(connection, schema, name, "source"):
                connection.execute(f"create schema if not exists {schema}")
                connection.execute(f"create table {schema}.{name} as from source.{schema}.{name}")
