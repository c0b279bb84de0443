"""Apply a build to a DuckDB file: every table, the ledger and the plan in one transaction."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import MappingProxyType

import duckdb

from ingestion import lake
from ingestion.database import attached
from ingestion.errors import Permanent
from warehouse import applied, comments, complete_views, dbt, lakehouse, shape, state
from warehouse.applied import Replacement, is_on
from warehouse.dbt import Change
from warehouse.plan import Build
from warehouse.shape import KEPT

# The rows of records that stay where the build says that duplicates do.
_DUPLICATE = "fate = 'duplicate'"
_NOTHING_NEW: tuple[str, Sequence[date]] = ("", ())
# Including tables that models write, whose rows a full build must keep.
HISTORY = (*KEPT, "restatements")


def apply(build: Build) -> None:
    """Apply the build to the state, or change nothing. A state that has changed since the plan is Overtaken."""
    if is_applied(build):
        return
    is_whole, is_in_lake = build.plan().is_whole, lake.is_lake(build.home.state)
    if is_whole and not is_in_lake:
        _become_state(build)
        return
    changes = dbt.changes(build)
    with state.writing(build.home.state) as connection:
        change_tables(connection, build, [_whole(one) for one in changes] if is_whole else changes, is_state=True)


def is_applied(build: Build) -> bool:
    """Say whether the build is applied to the state. A build planned over an older state than today's is Overtaken."""
    query = "select build_id from ops.builds where build_id = $1"
    with state.kept_open(build.home.state):
        if state.read(build.home.state, "ops.builds", query, [build.build_id]):
            return True
        found = state.last_build(build.home.state)
    if found != build.plan().base:
        raise lakehouse.overtaken(build.build_id, found)
    return False


def _whole(change: Change) -> Change:
    """Return the change that replaces all rows of a table, unless it only grows."""
    return change if change.is_history else replace(change, match_schema="", match_table="")


def _become_state(build: Build) -> None:
    """Turn the file of a build that holds every table into the state, with the old rows of the tables that only grow.

    What a killed process had done is not repeated.
    """
    changes = dbt.changes(build)
    build.made.unlink(missing_ok=True)  # from now on, only `apply` can use the file
    with state.connect(build.file, read_only=False) as connection:
        if state.has_table(connection, "plan", "batches"):
            with attached(connection, build.home.state, "previous"), lakehouse.transaction(connection, build.build_id):
                _drop_all_but(
                    connection, {*((one.schema, one.table) for one in changes), *(("ops", name) for name in KEPT)}
                )
                _take_history_over(connection)
                for view in (one for one in changes if one.view_sql):
                    for statement in statements(Replacement(view), {}, {}):
                        connection.execute(statement)
                applied.check_ledger(connection)
                comments.write(connection, comments.of_changes(changes))
                complete_views.write(connection)
            connection.execute("checkpoint")
    state.durable_rename(build.file, build.home.state)


def _drop_all_but(connection: duckdb.DuckDBPyConnection, kept: Set[shape.Name]) -> None:
    """Drop all other tables and views of the connected file, and the schemas that are no layer of a state."""
    for schema, name, kind in connection.execute(_MADE).fetchall():
        if (schema, name) not in kept:
            connection.execute(f'drop {kind} {schema}."{name}"')
    for (schema,) in connection.execute(_SCHEMAS, [list(shape.LAYERS)]).fetchall():
        connection.execute(f"drop schema {schema}")


def _take_history_over(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the rows of `previous` to the tables that only grow, in the columns and types that these have now."""
    had, has = shape.read(connection, "previous"), shape.read(connection)
    for name in HISTORY:
        # a build that was audited by an older version may lack a table
        before, now = had.get(("ops", name), {}), has.get(("ops", name), {})
        columns = [column for column in now if column in before]
        if columns:
            values = ", ".join(f"try_cast({column} as {now[column]}) as {column}" for column in columns)
            connection.execute(f"insert into ops.{name} by name select {values} from previous.ops.{name}")


_MADE = """
    select schema_name, table_name, 'table' from duckdb_tables() where database_name = current_database() and not internal
    union all
    select schema_name, view_name, 'view' from duckdb_views() where database_name = current_database() and not internal
"""
_SCHEMAS = """
    select schema_name from duckdb_schemas()
    where database_name = current_database() and not internal and not list_contains($1, schema_name)
"""


def change_tables(
    connection: duckdb.DuckDBPyConnection, build: Build, changes: Iterable[Change], *, is_state: bool = False
) -> None:
    """Apply changes to the connected file in one transaction, or none of them if the result differs from the build.

    The state is compared with its ledger as well. The published file is not: it holds no records.
    """
    changes = [*changes]
    # DuckDB takes a table filled in this transaction for empty, and would load all of it into memory to find its rows.
    connection.execute("set disabled_optimizers = 'build_side_probe_side'")
    with attached(connection, build.file, "build"), lakehouse.transaction(connection, build.build_id):
        is_in_lake = is_state and lake.is_lake(build.home.state)
        if is_in_lake:
            lakehouse.claim(connection, build.plan().base, build.build_id)
        had, built = shape.read(connection), shape.read(connection, "build")
        changes += [_kept(name, built["ops", name]) for name in KEPT if ("ops", name) in built]
        for table in left_over(changes, had):
            connection.execute(f"drop {'table' if had.pop(table) else 'view'} {'.'.join(table)}")
        replaced = replacements(connection, changes, built, had)
        for one in replaced:
            for statement in statements(one, had, built, lake.KEPT_AS if is_in_lake else {}):
                connection.execute(statement)
        # all rows of a new table are the build's
        applied.check_tables(
            connection,
            [
                one if (one.change.schema, one.change.table) in had else replace(one, scope="", new="", staying="")
                for one in replaced
                if not (one.change.view_sql or one.is_idle)
            ],
        )
        if is_state:
            applied.check_ledger(connection, "build.plan.touched")
        kept = {key: comment for key, comment in comments.read(connection, "build").items() if key[1] in KEPT}
        comments.write(connection, comments.of_changes(changes) | kept)
        complete_views.write(connection)


def _kept(name: str, columns: Mapping[str, str]) -> Change:
    """Return the change that adds the rows written by the audit, not by a model, to the table that keeps them for all builds."""
    return Change(
        model="",
        schema="ops",
        table=name,
        match_schema="ops",
        match_table="builds",
        by={"build_id": "build_id"},
        columns=tuple(columns),
        types=tuple(columns.values()),
        view_sql="",
        is_published=True,
    )


def left_over(changes: Iterable[Change], had: shape.Shape) -> list[shape.Name]:
    """List the tables and views that no model makes any more, and those that changed from view to table or back."""
    made = {(change.schema, change.table): bool(change.view_sql) for change in changes}
    return shape.left_over([name for name, is_view in made.items() if name in had and bool(had[name]) != is_view], had)


def replacements(
    connection: duckdb.DuckDBPyConnection, changes: Sequence[Change], built: shape.Shape, had: shape.Shape
) -> list[Replacement]:
    """Return which rows of the connected file each change replaces, and with which. The build is attached as `build`.

    Most builds change few tables, and a statement costs about 2 ms: so this takes five for all of them.
    """
    sources = [source(change, built) for change in changes]
    matches = [f"build.{change.match_schema}.{change.match_table}" if change.match_table else "" for change in changes]
    filled = _filled(connection, {*sources, *matches} - {""})
    dated = {
        (match, column)
        for change, match in zip(changes, matches, strict=True)
        if match in filled
        for column in change.by
        if column.endswith("_date")
    }
    dates = _dates(connection, sorted(dated))
    new = _new_dates(connection, [*zip(changes, matches, strict=True)], dates, had)
    stay = _where_duplicates_stay(connection, filled & set(matches))
    staying = [
        _DUPLICATE if match in stay and "fate" in change.columns else ""
        for change, match in zip(changes, matches, strict=True)
    ]
    return [
        Replacement(
            change,
            table,
            _scope(change, match, dates, new.get(change.model, _NOTHING_NEW), stays),
            new=is_on(*new[change.model]) if change.model in new else "",
            staying=stays,
            is_idle=bool(match) and not filled & {table, match},
        )
        for change, table, match, stays in zip(changes, sources, matches, staying, strict=True)
    ]


def source(change: Change, built: shape.Shape) -> str:
    """Return the table of the build, attached as `build`, with the rows of a change; none for a view."""
    if change.view_sql:
        return ""
    is_partly_left = (shape.CHANGED, change.model) in built
    return f"build.{shape.CHANGED}.{change.model}" if is_partly_left else f"build.{change.schema}.{change.table}"


def _filled(connection: duckdb.DuckDBPyConnection, tables: Set[str]) -> Set[str]:
    """Return those of some tables that have a row."""
    counts = " union all ".join(f"select '{name}' as name, count(*) as n from {name}" for name in sorted(tables))
    found = connection.execute(f"select name from ({counts}) where n > 0").fetchall() if tables else []
    return frozenset(name for (name,) in found)


def _dates(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], list[date | None]]:
    """Return the dates in some columns of the build's tables."""
    found: dict[tuple[str, str], list[date | None]] = {one: [] for one in columns}
    selects = [
        f"select distinct {number} as number, cast({column} as date) as day from {table}"
        for number, (table, column) in enumerate(columns)
    ]
    if selects:
        for number, day in connection.execute(" union all ".join(selects) + " order by all").fetchall():
            found[columns[number]].append(day)
    return found


def _new_dates(
    connection: duckdb.DuckDBPyConnection,
    matched: Sequence[tuple[Change, str]],
    dates: Mapping[tuple[str, str], Sequence[date | None]],
    had: shape.Shape,
) -> dict[str, tuple[str, list[date]]]:
    """Find the matched dates on which the table of a model has no row yet, and its column. Tables matched by a date alone are left out.

    The build holds all rows of such a date: its keys need not be compared, nor be all there (see `touched_keys`).
    """
    asked = [
        (change, column, [day for day in dates[match, name] if day is not None])
        for change, match in matched
        for name, column in change.by.items()
        if len(change.by) > 1
        and (match, name) in dates
        and had.get((change.schema, change.table), {}).get(column) == "DATE"
    ]
    selects = [
        f"select distinct {number} as number, {column} as day from {change.schema}.{change.table} where {is_on(column, days)}"
        for number, (change, column, days) in enumerate(asked)
    ]
    found = set(connection.execute(" union all ".join(selects)).fetchall()) if selects else set()
    new = {
        change.model: (column, [day for day in days if (number, day) not in found])
        for number, (change, column, days) in enumerate(asked)
    }
    return {model: one for model, one in new.items() if one[1]}


def _where_duplicates_stay(connection: duckdb.DuckDBPyConnection, matches: Set[str]) -> Set[str]:
    """Return the matched tables of keys whose duplicates in the state the build has left out: see the macro `duplicates_stay`."""
    query = """
        select 'build.' || schema_name || '.' || table_name from duckdb_columns()
        where database_name = 'build' and column_name = 'duplicates_stay'
    """
    selects = [
        f"select '{name}' from {name} having bool_and(duplicates_stay)"
        for (name,) in connection.execute(query).fetchall()
        if name in matches
    ]
    return {name for (name,) in connection.execute(" union all ".join(selects)).fetchall()} if selects else set()


def _scope(
    change: Change,
    match: str,
    dates: Mapping[tuple[str, str], Sequence[date | None]],
    new: tuple[str, Sequence[date]],
    staying: str,
) -> str:
    """Return what follows `from` the table, to select the rows that a change replaces; empty for all rows.

    A semi join, as DuckDB first makes all rows distinct for `where exists`.
    """
    if not match:
        return ""
    # Renamed: the expressions name columns of the table alone.
    renamed = ", ".join(f"{column} as touched_{column}" for column in change.by)
    same = " and ".join(f"touched_{column} is not distinct from {value}" for column, value in change.by.items())
    where = " and ".join(
        is_on(value, [day for day in dates.get((match, column), []) if value != new[0] or day not in new[1]])
        for column, value in change.by.items()
        if column.endswith("_date")
    )
    where = " and ".join(part for part in (where, f"({staying}) is not true" if staying else "") if part)
    return f"semi join (select {renamed} from {match}) as touched on {same}" + (f" where {where}" if where else "")


def statements(
    replacement: Replacement, had: shape.Shape, built: shape.Shape, kept_as: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return the SQL of one change, given the tables that the file has.

    Columns are added and dropped as in the model; a changed type is Permanent. `kept_as` are types that a lake keeps as others.
    """
    change, rows = replacement.change, replacement.source
    table = f"{change.schema}.{change.table}"
    is_new_schema = change.schema not in {schema for schema, _ in had}
    made = [f"create schema if not exists {change.schema}"] if is_new_schema else []
    if change.view_sql:
        return [*made, f"create or replace view {table} as {change.view_sql}"]
    columns = ", ".join(change.columns)
    before = had.get((change.schema, change.table))
    columns_built = built.get((shape.CHANGED, change.model)) or built[change.schema, change.table]
    after = {column: columns_built[column] for column in change.columns}
    if before is None or (not change.match_table and before != after):
        kept = ", ".join(
            f"cast({name} as {kept_as[kind]}) as {name}" if kind in kept_as else name for name, kind in after.items()
        )
        return [*made, f"create or replace table {table} as select {kept} from {rows}"]
    for column, kind in zip(change.columns, change.types, strict=True):
        if column not in before:
            made.append(f"alter table {table} add column {column} {kept_as.get(kind, kind)}")
        elif before[column] != after[column] and change.is_history:
            made.append(f"alter table {table} alter column {column} type {kind} using try_cast({column} as {kind})")
        elif before[column] != after[column]:
            raise Permanent(
                f"{table}.{column} is {before[column]} in the state but {after[column]} in the build",
                where="nothing was changed",
                todo="`clearwell build --full --reason TEXT` rebuilds every table; or change the type back",
            )
    made += [f"alter table {table} drop column {column}" for column in before if column not in change.columns]
    if replacement.is_idle:
        return made
    gone = f" where rowid in (select {table}.rowid from {table} {replacement.scope})" if replacement.scope else ""
    return [*made, f"delete from {table}{gone}", f"insert into {table} by name select {columns} from {rows}"]


def copy_tables(connection: duckdb.DuckDBPyConnection, source: Path, tables: Iterable[tuple[str, str]]) -> None:
    """Copy whole tables from another file; those that it does not have are left out."""
    with attached(connection, source, "source"):
        for schema, name in tables:
            if state.has_table(connection, schema, name, "source"):
                connection.execute(f"create schema if not exists {schema}")
                connection.execute(f"create table {schema}.{name} as from source.{schema}.{name}")
