"""How much work a query is, by DuckDB's own profile of it."""

import json
from collections.abc import Iterator
from typing import Any

import duckdb


def most_rows(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Run a query, and return how many rows the operator made that made most of them."""
    plan = json.loads(connection.execute(f"explain (analyze, format json) {sql}").fetchall()[0][1])
    return max(_rows(plan))


def _rows(operator: dict[str, Any]) -> Iterator[int]:
    yield operator.get("operator_cardinality", 0)
    for one in operator["children"]:
        yield from _rows(one)
