from collections.abc import Iterator

import duckdb
import pytest

from warehouse import comments
from warehouse.comments import Comment

SALES = ("gold", "sales")
WANTED = {SALES: Comment("One row per day. It's net.", {"day": "UTC date.", "net": "Dollars."})}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute('create schema gold; create table gold.sales (day date, "Net" integer)')
        yield made


def test_a_comment_is_written_once(connection: duckdb.DuckDBPyConnection) -> None:
    comments.write(connection, WANTED)
    there = comments.read(connection, "memory")
    assert there[SALES] == Comment("One row per day. It's net.", {"day": "UTC date.", "Net": "Dollars."})
    assert list(comments._statements(there, WANTED)) == []
    changed = {SALES: Comment("One row per day. It's net.", {"day": "Another."})}
    assert list(comments._statements(there, changed)) == ["comment on column gold.sales.\"day\" is 'Another.'"]


def test_a_table_or_column_that_is_not_there_is_left(connection: duckdb.DuckDBPyConnection) -> None:
    comments.write(connection, {("gold", "other"): Comment("x"), SALES: Comment("y", {"email": "Hidden."})})
    assert comments.read(connection, "memory") == {SALES: Comment("y", {"day": "", "Net": ""})}


def test_a_comment_goes_with_the_transaction(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("begin; insert into gold.sales values (date '2026-01-01', 1)")
    comments.write(connection, WANTED)
    connection.execute("rollback")
    assert comments.read(connection, "memory")[SALES].table == ""
