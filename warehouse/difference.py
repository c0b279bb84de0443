"""The difference between a build's tables and the state, row by row: what the build would change."""

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from ingestion.database import attached
from warehouse import dbt, shape, state
from warehouse.applied import Replacement
from warehouse.apply import replacements
from warehouse.plan import Build

# A row's build and version are not part of its content.
_STAMPS = ("build_id", "model_version")
_ROWS = 1000


@dataclass(frozen=True)
class Difference:
    """How many rows of a table would be removed and added, and the first thousand of each, with `side`: before or after."""

    table: str
    gone: int
    new: int
    rows: tuple[state.Row, ...]


def differences(build: Build, schemas: Iterable[str]) -> list[Difference]:
    """Compare the tables of these layers with the rows of the state that the build would replace."""
    chosen = set(schemas)
    wanted = [change for change in dbt.changes(build) if change.schema in chosen and not change.view_sql]
    whole = build.plan().full
    if whole:
        wanted = [change for change in wanted if not change.is_history]
    # The state is the connection's own file: `replacements` does not find rows in an attached one.
    with state.connect(build.state) as connection, attached(connection, build.file, "build"):
        had, built = shape.read(connection), shape.read(connection, "build")
        compared = [_compare(connection, one, had, whole=whole) for one in replacements(connection, wanted, built, had)]
    return [one for one in compared if one.gone or one.new]


def _compare(
    connection: duckdb.DuckDBPyConnection, replacement: Replacement, had: shape.Shape, *, whole: bool
) -> Difference:
    change = replacement.change
    table = f"{change.schema}.{change.table}"
    columns = ", ".join(name for name in change.columns if name not in _STAMPS)
    after = f"select {columns} from {replacement.source}"
    there = had.get((change.schema, change.table))
    if there is not None:
        known = ", ".join(
            name if name in there else f"cast(null as {kind}) as {name}"
            for name, kind in zip(change.columns, change.types, strict=True)
            if name not in _STAMPS
        )
        before = f"select {known} from {table} {'' if whole else replacement.scope}"
    else:
        before = f"{after} limit 0"
    compared = f"with before as ({before}), after as ({after})"
    gone = "select 'before' as side, * from (from before except all from after)"
    new = "select 'after' as side, * from (from after except all from before)"
    counts = {
        row["side"]: row["n"]
        for row in state.rows(
            connection, f"{compared} select side, count(*)::bigint as n from ({gone} union all {new}) group by side"
        )
    }
    first = " union all ".join(f"from ({side} order by all limit {_ROWS})" for side in (gone, new))
    rows = state.rows(connection, f"{compared} {first}") if counts else []
    return Difference(table, counts.get("before", 0), counts.get("after", 0), tuple(rows))
