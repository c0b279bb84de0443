"""A model that is made in parts has the rows that it would have in one."""

from collections.abc import Iterator

import duckdb
import pytest

from tests.unit.macros.dbt_like import project

KEYS = 5000
ROWS = f"select 'v' || n % {KEYS} as visitor_id, n from range(20000) as t (n)"


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


@pytest.mark.parametrize(("memory", "parts"), [("1GB", 1), ("10MB", 1), ("1MB", 5), ("500KB", 10)])
def test_more_keys_or_less_memory_make_more_parts(
    connection: duckdb.DuckDBPyConnection, memory: str, parts: int
) -> None:
    names = project(connection)
    ask = names["run_query"]
    # DuckDB itself would not run in so little
    names["run_query"] = lambda query: ask(query.replace("current_setting('memory_limit')", f"'{memory}'"))
    found = names["duckdb__number_of_parts"](ROWS, "visitor_id")
    # the count is an estimate
    assert parts * 0.8 <= found <= parts * 1.2


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_the_parts_together_are_the_whole(connection: duckdb.DuckDBPyConnection, parts: int) -> None:
    names = project(connection)
    query = "select visitor_id, sum(n) as total from (select * from (%s) where %s) group by visitor_id"
    written = names["queries_of_parts"](query % (ROWS, names["in_part"]("visitor_id", parts)))
    assert len(written) == parts
    found = [connection.execute(one).fetchall() for one in written]
    assert all(found), "a part has no rows"
    assert (
        sorted(row for rows in found for row in rows)
        == connection.execute(f"{query % (ROWS, 'true')} order by all").fetchall()
    )


def test_a_query_that_names_no_parts_is_one(connection: duckdb.DuckDBPyConnection) -> None:
    assert project(connection)["queries_of_parts"]("select 1") == ["select 1"]
