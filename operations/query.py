"""Questions to the state, read-only."""

from typing import Any

import duckdb

from ingestion.errors import Permanent
from ingestion.home import Home
from warehouse import state


def run(home: Home, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run one query over the state; return column names and rows. What DuckDB refuses is Permanent."""
    if not home.state.exists():
        raise Permanent("there is no state yet", where=str(home.state), todo="type `clearwell build`")
    with state.connect(home.state) as connection:
        try:
            result = connection.execute(query)
            return [column[0] for column in result.description or []], result.fetchall()
        except duckdb.Error as error:
            raise Permanent(
                f"the query failed: {error}", todo="`clearwell sql 'show all tables'` lists what is there"
            ) from error
