"""Which columns each column of a model comes from, read from the model's compiled SQL."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

# How a column enters another, closest first: unchanged, computed from, aggregated, or deciding which values and rows count.
IDENTITY, TRANSFORMATION, AGGREGATION, INDIRECT = "IDENTITY", "TRANSFORMATION", "AGGREGATION", "INDIRECT"
_ORDER = (IDENTITY, TRANSFORMATION, AGGREGATION, INDIRECT)
# The columns of a table of the state that its model still has, as the macro `before` selects them.
_COLUMNS = re.compile(r"columns\(lambda name: name in \(([^)]*)\)\)")

Table = tuple[str, str]
Origins = dict[tuple[str, str, str], str]


@dataclass(frozen=True, order=True)
class Origin:
    """A column that another one comes from: the schema and name of its table, its own name, and how it enters."""

    schema: str
    table: str
    column: str
    how: str


def column_lineage(sql: str, own: Table, tables: Mapping[Table, Collection[str]]) -> dict[str, list[Origin]]:
    """Return the origins of each column that a query selects for its `own` table, whose earlier rows are none.

    `tables` has the columns of every table, by schema and name. A column that counts rows has INDIRECT origins: what groups and
    selects the rows. A constant has none. A query that cannot be read gives no columns.
    """
    # Importing sqlglot takes a tenth of a second, and few commands need it.
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    schemas: dict[str, dict[str, dict[str, str]]] = {}
    for (of, name), columns in tables.items():
        schemas.setdefault(of, {})[name] = dict.fromkeys(columns, "unknown")
    known: dict[str, object] = {**schemas}
    try:
        tree = sqlglot.parse_one(_COLUMNS.sub(lambda found: found[1].replace("'", '"'), sql), dialect="duckdb")
        for table in tree.find_all(exp.Table):
            table.set("catalog", None)  # a table of the build, and the same of the state
        scope = build_scope(qualify(tree, dialect="duckdb", schema=known, validate_qualify_columns=False))
    except SqlglotError:
        return {}
    if not scope:
        return {}
    reader = _Reader(scope)
    return {
        name: sorted(Origin(*column, how) for column, how in reader.origins(scope, name).items() if column[:2] != own)
        for name in reader.names(scope)
    }


class _Reader:
    """Follow columns through the CTEs and subqueries of one query to its tables."""

    def __init__(self, root: "Scope") -> None:
        self._scopes = {id(scope.expression): scope for scope in root.traverse()}
        self._known: dict[tuple[int, str], Origins] = {}

    def names(self, scope: "Scope") -> list[str]:
        """List the columns of a query in their order."""
        from sqlglot import exp

        query = scope.expression
        if isinstance(query, exp.SetOperation):
            left, *others = (self.names(side) for side in scope.set_operation_scopes)
            return (
                list(dict.fromkeys([*left, *(name for other in others for name in other)]))
                if _is_by_name(query)
                else left
            )
        return [one.alias_or_name for one in query.selects] if isinstance(query, exp.Select) else []

    def origins(self, scope: "Scope", name: str) -> Origins:
        """Return the columns of tables behind a column of a query, and how each enters."""
        key = (id(scope), name.lower())
        if key not in self._known:
            self._known[key] = {}  # a recursive query adds nothing by itself
            self._known[key] = _closest(self._origins(scope, name))
        return self._known[key]

    def _origins(self, scope: "Scope", name: str) -> Iterator[Origins]:
        from sqlglot import exp

        query = scope.expression
        if isinstance(query, exp.SetOperation):
            place = None if _is_by_name(query) else self.names(scope).index(name)
            for side in scope.set_operation_scopes:
                yield self.origins(side, name if place is None else self.names(side)[place])
        elif isinstance(query, exp.Select):
            found = next((one for one in query.selects if one.alias_or_name.lower() == name.lower()), None)
            if found is not None:
                direct = list(self._behind(found, scope))
                yield from direct
                if not any(direct) and found.find(exp.AggFunc, exp.Window):
                    yield from self._behind_rows(scope)
        else:  # unnest and the like
            yield from self._behind(query, scope)

    def _behind(self, part: "exp.Expr", scope: "Scope", how: str = IDENTITY) -> Iterator[Origins]:
        """Yield the origins of each column that a part of a query names."""
        from sqlglot import exp

        for column in part.find_all(exp.Column):
            source = self._source(column, scope)
            enters = max(how, _how(column, part), key=_ORDER.index)
            if isinstance(source, exp.Table):
                yield {(source.db, source.name, column.name): enters}
            elif source is not None:
                behind = self.origins(source, column.name)
                yield {one: max(enters, other, key=_ORDER.index) for one, other in behind.items()}

    def _behind_rows(self, scope: "Scope") -> Iterator[Origins]:
        """Yield the origins of the rows of a query: what they are grouped by, or else what selects them."""
        from sqlglot import exp

        query = scope.expression
        group = query.args.get("group")
        if group is not None and group.args.get("all") and isinstance(query, exp.Select):
            keys = [one for one in query.selects if not one.find(exp.AggFunc)]
        else:
            keys = list(group.expressions) if group is not None else []
        for part in keys or filter(None, [query.args.get("where"), *query.args.get("joins", [])]):
            yield from self._behind(part, scope, INDIRECT)

    def _source(self, column: "exp.Column", scope: "Scope") -> "exp.Table | Scope | None":
        """Return the table or query that a column is of, in its own query or, for a correlated one, in those around it."""
        node = column.parent
        while node is not None and id(node) not in self._scopes:
            node = node.parent
        within: Scope | None = self._scopes[id(node)] if node is not None else scope
        while within is not None:
            if column.table in within.sources:
                return within.sources[column.table]
            if not column.table and len(within.sources) == 1:
                return next(iter(within.sources.values()))
            within = within.parent
        return None


def _closest(found: Iterator[Origins]) -> Origins:
    """Merge origins; a column that enters in several ways counts by the closest one."""
    merged: Origins = {}
    for origins in found:
        for column, how in origins.items():
            merged[column] = min(how, merged.get(column, INDIRECT), key=_ORDER.index)
    return merged


def _how(column: "exp.Column", part: "exp.Expr") -> str:
    """Say how a column enters the part of a query in which it stands."""
    from sqlglot import exp

    if part.unalias() is column:
        return IDENTITY
    how = TRANSFORMATION
    node: exp.Expr = column
    while node is not part and node.parent is not None:
        inner, node = node, node.parent
        decides = (
            isinstance(node, exp.Where | exp.Group | exp.Order | exp.Having | exp.Join)
            or (isinstance(node, exp.Window) and inner is not node.this)
            or (isinstance(node, exp.If) and inner is node.this)
        )
        if decides:
            return INDIRECT
        if isinstance(node, exp.AggFunc | exp.Window):
            how = AGGREGATION
    return how


def _is_by_name(query: "exp.Expr") -> bool:
    return bool(query.args.get("by_name"))
