from typing import Any

import duckdb
import pytest

from warehouse import failing_rows


class Counted:
    """A connection that counts how often it is given a query, alone or in another one."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, query: str) -> None:
        self._connection, self._query, self.times = connection, query, 0

    def execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        self.times += self._query in statement
        return self._connection.execute(statement)


def kept(connection: duckdb.DuckDBPyConnection) -> list[Any] | None:
    tables = connection.execute("select table_name from duckdb_tables() where schema_name = 'failures'").fetchall()
    assert tables in ([], [("odd",)])
    return connection.execute("from failures.odd").fetchall() if tables else None


@pytest.mark.parametrize("limit", [None, 10, 1000, 1500])
@pytest.mark.parametrize("rows", [0, 1, 999, 1000, 1001, 1600])
def test_rows_are_counted_and_kept_by_one_run_of_their_query(rows: int, limit: int | None) -> None:
    query = f"select n, n::varchar as text, null as nothing from range({rows}) as numbers (n)"
    with duckdb.connect() as connection:
        counted: Any = Counted(connection, query)
        found = failing_rows.count_and_keep(counted, "odd", query, limit)
        assert found == failing_rows.count(connection, query, limit) == min(rows, limit or rows)
        assert kept(connection) == ([(n, str(n), None) for n in range(min(rows, 1000))] or None)
        # without a limit, the number of more rows than are kept is not known before they are counted
        assert counted.times == (2 if rows >= 1000 and not limit else 1)


def test_the_rows_of_an_earlier_audit_are_replaced() -> None:
    with duckdb.connect() as connection:
        for query in ("select 1 as n", "select 'two' as text, 3 as n"):
            assert failing_rows.count_and_keep(connection, "odd", query, 1000) == 1
        assert kept(connection) == [("two", 3)]


@pytest.mark.parametrize("limit", [None, 1000])
def test_all_rows_of_a_large_table_may_fail_in_little_memory(limit: int | None) -> None:
    """They would take 2 GB, and there is nowhere to spill them to."""
    query = "select n, repeat('x', 200) || n as text from range(10000000) as numbers (n)"
    with duckdb.connect(config={"memory_limit": "100MB", "temp_directory": "", "threads": 2}) as connection:
        assert failing_rows.count_and_keep(connection, "odd", query, limit) == (limit or 10_000_000)
        assert [n for n, _ in kept(connection) or []] == list(range(1000))


@pytest.mark.parametrize("keep", [failing_rows.count_and_keep, lambda *given: failing_rows.keep(*given[:3])])
def test_nothing_is_kept_of_a_query_that_fails(keep: Any) -> None:
    query = "select cast(text as integer) as n from (values ('1'), ('one')) as texts (text)"
    with duckdb.connect() as connection:
        with pytest.raises(duckdb.ConversionException):
            keep(connection, "odd", query, 1000)
        assert kept(connection) is None
