"""Translate the SQL of a build's models, and ask other warehouses whether they run it on empty tables."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlglot
from sqlglot import exp

from warehouse import dbt, state
from warehouse.plan import Build

RUNNER = Path(__file__).with_name("runner.py")


@dataclass(frozen=True)
class Script:
    """Statements in one dialect: those that make every table, and the query of each model."""

    setup: list[str]
    queries: dict[str, str]


def tables_of(build: Build) -> dict[str, dict[str, str]]:
    """Return the tables of a build, `schema.name`, with their columns and DuckDB's types."""
    found: dict[str, dict[str, str]] = {}
    query = "select schema_name || '.' || table_name, column_name, data_type from duckdb_columns() where not internal order by column_index"
    for file in (build.file, build.scratch):
        with state.connect(file) as connection:
            for table, column, kind in connection.execute(query).fetchall():
                found.setdefault(table, {})[column] = kind
    return found


def models_of(build: Build) -> dict[str, str]:
    """Return the SQL of each model as dbt compiled it for a build."""
    nodes = [one for one in dbt.nodes_of(build).values() if one["resource_type"] == "model"]
    return {one["name"]: dbt.compiled_sql(build, one) for one in nodes}


def translated(sql: str, dialect: str) -> str:
    """Translate a query from DuckDB's dialect. The tables of all engines are in schemas of one database."""
    tree = sqlglot.parse_one(sql, read="duckdb")
    for table in tree.find_all(exp.Table):
        table.set("catalog", None)
    return str(tree.sql(dialect=dialect, unsupported_level=sqlglot.ErrorLevel.IGNORE))


def script(build: Build, dialect: str) -> tuple[Script, dict[str, str]]:
    """Return the statements for an engine, and why some models have none."""
    setup, refused = [], {}
    tables = tables_of(build)
    for schema in sorted({name.split(".")[0] for name in tables}):
        setup.append(f"create {'database' if dialect == 'clickhouse' else 'schema'} if not exists {schema}")
    for name, columns in tables.items():
        declared = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
        try:
            statement = sqlglot.transpile(f"create table {name} ({declared})", read="duckdb", write=dialect)[0]
        except sqlglot.errors.SqlglotError as error:
            statement = str(error)
        setup.append(statement + (" engine = Memory" if dialect == "clickhouse" else ""))
    queries = {}
    for name, sql in models_of(build).items():
        try:
            queries[name] = translated(sql, dialect)
        except (sqlglot.errors.SqlglotError, AttributeError) as error:  # the latter is a fault of sqlglot
            refused[name] = str(error).splitlines()[0]
    return Script(setup, queries), refused


def run(python: Path, engine: str, told: Script) -> dict[str, str]:
    """Run the statements in the environment of an engine; return what each model's query failed with, empty if it ran."""
    done = subprocess.run(
        [python, RUNNER, engine],
        input=json.dumps({"setup": told.setup, "queries": told.queries}),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def parsed(dialect: str, told: Script) -> dict[str, str]:
    """Parse each query in the dialect that it was translated to; nothing runs it."""
    found = {}
    for name, query in told.queries.items():
        try:
            sqlglot.parse_one(query, read=dialect)
            found[name] = ""
        except sqlglot.errors.SqlglotError as error:
            found[name] = str(error).splitlines()[0]
    return found


def first_words(failed: Mapping[str, str]) -> dict[str, str]:
    return {name: why.splitlines()[0][:120] for name, why in failed.items() if why}
