"""Describe the published tables, from their comments, and from the grain, owner and dashboard query in their YAML."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ingestion.errors import Permanent
from ingestion.home import Home
from warehouse import state
from warehouse.lineage import read_gold


@dataclass(frozen=True)
class Table:
    """One published table. Only gold tables have a grain, an owner and a dashboard query."""

    name: str
    rows: int
    description: str
    grain: tuple[str, ...] = ()
    owner: str = ""
    dashboard: str = ""


@dataclass(frozen=True)
class Column:
    """One column of a published table."""

    name: str
    type: str
    description: str


def read_tables(home: Home) -> list[Table]:
    """List the published tables: gold first, then the others by schema and name."""
    meta = {f"gold.{model['name'].removeprefix('gold_')}": model["config"]["meta"] for _, model in read_gold()}
    with state.connect(_published(home)) as connection:
        found = state.rows(connection, _TABLES)
        counts = {row["name"]: connection.execute(f"select count(*) from {row['name']}").fetchall() for row in found}
    return [_table(row, counts[row["name"]][0][0], meta.get(row["name"], {})) for row in found]


def read_table(home: Home, name: str) -> tuple[Table, list[Column]]:
    """Return one published table, by its name with or without schema, and its columns. An unknown one is Permanent."""
    tables = {table.name: table for table in read_tables(home)}
    full = name if name in tables else next((known for known in tables if known.split(".")[1] == name), "")
    if not full:
        near = get_close_matches(name, [part for known in tables for part in (known, known.split(".")[1])], 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise Permanent(f"there is no published table {name!r}{meant}", todo="clearwell describe")
    with state.connect(_published(home)) as connection:
        columns = state.rows(connection, _COLUMNS, full.split("."))
    return tables[full], [Column(**row) for row in columns]


def ask_dashboard(home: Home, name: str) -> tuple[Table, list[state.Row], list[str]]:
    """Run a gold table's dashboard query; return the table, the rows, and the columns that are measures.

    A measure is a number that is not part of the grain. A table without a dashboard query is Permanent.
    """
    table, _ = read_table(home, name)
    if not table.dashboard:
        raise Permanent(f"{table.name} has no dashboard query: only gold tables have one", todo="clearwell describe")
    with state.connect(_published(home)) as connection:
        kinds = connection.sql(table.dashboard)
        measures = [
            column
            for column, kind in zip(kinds.columns, kinds.types, strict=True)
            if _is_number(kind) and column not in table.grain
        ]
        return table, state.rows(connection, table.dashboard), measures


def _table(row: state.Row, rows: int, meta: dict[str, Any]) -> Table:
    grain, owner, dashboard = meta.get("grain", []), meta.get("owner", ""), meta.get("dashboard", "")
    return Table(row["name"], rows, row["description"], tuple(grain), owner, dashboard)


def _is_number(kind: Any) -> bool:
    return kind.id in {"bigint", "decimal", "double", "float", "hugeint", "integer", "smallint", "tinyint", "ubigint"}


def _published(home: Home) -> Path:
    if not home.published.exists():
        raise Permanent(
            "nothing is published yet",
            where=str(home.published),
            todo="clearwell run --from DATE --to DATE; or clearwell build, if batches have landed",
        )
    return home.published


_TABLES = """
    select schema_name || '.' || table_name as name, coalesce(comment, '') as description
    from duckdb_tables()
    where database_name = current_database() and schema_name in ('gold', 'silver', 'ops')
    order by array_position(['gold', 'silver', 'ops'], schema_name), table_name
"""
_COLUMNS = """
    select column_name as name, lower(data_type) as type, coalesce(comment, '') as description
    from duckdb_columns()
    where database_name = current_database() and schema_name = $1 and table_name = $2
    order by column_index
"""
