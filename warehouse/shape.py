"""Compare the columns and types that the models declare with the state's tables.

Models change often. A build makes the changes that it can: a new column or table is filled from that build on, and one that
no model declares any more is dropped. A change that would give old rows another meaning needs a full build.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb

from ingestion import lake
from ingestion.errors import Permanent
from warehouse import dbt, state
from warehouse.dbt import Declared
from warehouse.plan import Build

# The layers of the state. The audit writes three tables of ops, which no model makes.
LAYERS = ("records", "silver", "gold", "ops")
# In a build's file: the rows of a table that the build changes, where the table itself is a view with the state's other rows.
CHANGED = "changed"
KEPT = ("builds", "findings", "runs")

Name = tuple[str, str]
# The types of a table's columns, by (schema, name) of the table; a view has none unless they are asked for.
Shape = Mapping[Name, Mapping[str, str]]

_FULL = "`clearwell build --full --reason TEXT` rebuilds every table"


@dataclass(frozen=True)
class Reshaping:
    """The changes that a build makes to the state's columns, a sentence each; and those refused, as old rows would be wrong."""

    done: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def check_plan(build: Build) -> tuple[str, ...]:
    """Compare the models' columns with the state; return what a build changes. A change that needs a full build is Permanent."""
    declared = dbt.declared(build)
    if build.plan().full or not build.home.state.exists():
        return ()
    with state.connect(build.home.state) as connection:
        types = canonical(connection, declared)
        found = read(connection)
        reshaping = compare(declared, types, found)
        doubled = [
            f"{_said(one.name)} has rows that differ only in a column that is dropped"
            for one in declared
            if one.name in found and set(found[one.name]) - set(one.columns) and _is_doubled(connection, one, found)
        ]
    refused = [*reshaping.refused, *doubled]
    if refused:
        raise Permanent(
            f"the models no longer match the tables of the state: {'; '.join(refused)}",
            where="nothing was changed",
            todo=f"{_FULL}; or undo the change of the model",
        )
    return reshaping.done


def check_built(build: Build) -> None:
    """Compare the tables of a build with their models' declarations; a difference is Permanent."""
    with state.connect(build.file) as connection:
        declared = dbt.declared(build)
        types, found = canonical(connection, declared), read(connection, with_views=True)
    for one in declared:
        made = found.get((CHANGED, "_".join(one.name))) or found.get(one.name, {})
        wanted = types[one.name]
        if made == wanted:
            continue
        odd = [
            f"{column} is {made.get(column, 'missing')}, but the YAML says {wanted.get(column, 'nothing')}"
            for column in sorted({*made, *wanted})
            if made.get(column) != wanted.get(column)
        ]
        raise Permanent(
            f"{_said(one.name)} differs from its YAML: {'; '.join(odd)}",
            where=one.file,
            todo="correct the YAML or the SQL, and run the same build again",
        )


def read(
    connection: duckdb.DuckDBPyConnection, database: str | None = None, *, with_views: bool = False
) -> dict[Name, dict[str, str]]:
    """Read the tables and views of the layers, of the connected file or one that is attached."""
    found: dict[Name, dict[str, str]] = {}
    meant = {kept: kind for kind, kept in lake.KEPT_AS.items()}
    for row in state.rows(connection, _COLUMNS, [database, [*LAYERS, CHANGED]]):
        columns = found.setdefault((row["schema_name"], row["table_name"]), {})
        if with_views or not row["is_view"]:
            kind = str(row["data_type"])
            columns[row["column_name"]] = meant.get(kind, kind) if row["is_in_lake"] else kind
    return found


def canonical(connection: duckdb.DuckDBPyConnection, declared: Iterable[Declared]) -> dict[Name, dict[str, str]]:
    """Convert the declared types to DuckDB's spelling. An unknown type is Permanent."""
    found: dict[Name, dict[str, str]] = {}
    spelled: dict[str, str] = {}
    for one in declared:
        for column, kind in one.columns.items():
            if kind not in spelled:
                try:
                    row = connection.execute(f"select typeof(cast(null as {kind}))").fetchone()
                except duckdb.Error as error:
                    raise Permanent(
                        f"{column} of {_said(one.name)} has an unknown data_type: {kind!r}",
                        where=one.file,
                        todo="use a type such as bigint, decimal(18,4), varchar, date, timestamp or boolean",
                    ) from error
                spelled[kind] = str(row[0]) if row else ""
            found.setdefault(one.name, {})[column] = spelled[kind]
    return found


def compare(declared: Iterable[Declared], types: Shape, found: Shape) -> Reshaping:
    """Compare the tables `found` in the state, empty for no state, with those that the models declare."""
    done: list[str] = []
    refused: list[str] = []
    declared = list(declared)
    come = [one for one in declared if found and one.name not in found]
    gone = left_over([one.name for one in declared], found)
    for schema in sorted({schema for schema, _ in gone} & {one.name[0] for one in come if not one.is_view}):
        names = ", ".join(_said(one.name) for one in come if one.name[0] == schema and not one.is_view)
        lost = ", ".join(_said(name) for name in gone if name[0] == schema)
        refused.append(f"{names} appeared and {lost} disappeared, which may be a renamed table")
    done += [
        f"{_said(one.name)} is new: it holds only the dates built from now on; {_FULL}, with the older dates"
        for one in come
        if not one.is_view and not one.is_made_whole
    ]
    done += [f"no model makes {_said(name)} any more: it is dropped" for name in gone]
    for one in declared:
        if one.name in found and found[one.name] and not one.is_view and not one.is_made_whole:
            told, odd = _columns(one, types[one.name], found[one.name])
            done += told
            refused += odd
    return Reshaping(tuple(done), tuple(refused))


def left_over(declared: Iterable[Name], found: Shape) -> list[Name]:
    """List the tables and views that no model makes any more."""
    known = {*declared, *(("ops", name) for name in KEPT)}
    return sorted(name for name in found if name not in known)


def _columns(one: Declared, wanted: Mapping[str, str], had: Mapping[str, str]) -> tuple[list[str], list[str]]:
    table = _said(one.name)
    come = [name for name in wanted if name not in had]
    gone = [name for name in had if name not in wanted]
    refused = [
        f"{table}.{name} was {had[name]} and is now {wanted[name]}"
        for name in wanted
        if name in had and had[name] != wanted[name]
    ]
    if come and gone:
        refused.append(f"{table} has {', '.join(come)} but no longer {', '.join(gone)}, which may be a renamed column")
        return [], refused
    for name in come:
        if name in one.identity:
            refused.append(f"{table}.{name} is new and part of the row's identity")
        elif name in one.required:
            refused.append(f"{table}.{name} is new and must not be null, but older rows have no value for it")
    if refused:
        return [], refused
    told = [
        f"{table}.{name} is new: it is filled on the dates built from now on, and null on older ones. "
        "`clearwell status` lists these as stale; building their range again, or --full, fills it"
        for name in come
    ]
    return [*told, *(f"{table}.{name} is dropped" for name in gone)], []


def _is_doubled(connection: duckdb.DuckDBPyConnection, one: Declared, found: Shape) -> bool:
    """Say whether a table that loses columns would have several rows for the same grain."""
    grain = [name for name in one.grain if name in found[one.name]]
    if not grain or one.is_made_whole:
        return False
    schema, table = one.name
    query = f"select 1 from {schema}.{table} group by {', '.join(grain)} having count(*) > 1 limit 1"
    return bool(connection.execute(query).fetchall())


def _said(name: Name) -> str:
    return ".".join(name)


_COLUMNS = """
    select
        schema_name, table_name, column_name, data_type,
        exists (
            select 1 from duckdb_views() as views
            where
                views.database_name = columns.database_name and views.schema_name = columns.schema_name
                and views.view_name = columns.table_name
        ) as is_view,
        exists (
            select 1 from duckdb_databases() as databases
            where databases.database_name = columns.database_name and databases.type = 'ducklake'
        ) as is_in_lake
    from duckdb_columns() as columns
    where database_name = coalesce($1, current_database()) and list_contains($2, schema_name)
    order by schema_name, table_name, column_index
"""
