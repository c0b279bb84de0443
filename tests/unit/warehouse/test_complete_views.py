"""Each row of a dated gold table says whether its date is complete and reconciled, and follows `ops.gold_completeness`."""

from collections.abc import Iterator
from datetime import date, timedelta

import duckdb
import pytest

from warehouse import complete_views

FIRST = date(2026, 11, 1)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("create schema ops; create schema gold")
        connection.execute(
            "create table gold.daily_revenue as select date '2026-11-01' + day::integer as order_date, day as net_amount "
            "from range(6) t (day)"
        )
        connection.execute(
            "create table gold.hourly_revenue as select order_date + interval 23 hour as order_hour from gold.daily_revenue"
        )
        connection.execute("create table gold.customers as select 'c1' as customer_id")
        connection.execute(
            "create table ops.gold_completeness as from (values "
            "('customers', null, timestamp '2026-11-02', timestamp '2026-11-05', null::timestamp), "
            "('daily_revenue', 'order_date', timestamp '2026-11-02', timestamp '2026-11-05 12:00', timestamp '2026-11-04'), "
            "('hourly_revenue', 'cast(order_hour as date)', timestamp '2026-11-02', timestamp '2026-11-05', null), "
            "('gone', 'order_date', null, null, null)"
            ") as rows (gold_table, row_date, complete_from, complete_until, reconciled_until)"
        )
        complete_views.write(connection)
        yield connection


def test_the_rows_of_a_date_that_is_not_over_or_was_before_the_first_window_say_so(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = connection.sql("from gold_complete.daily_revenue order by order_date")
    assert found.columns == ["order_date", "net_amount", "is_complete", "is_reconciled"]
    assert found.fetchall() == [(FIRST + timedelta(days=day), day, 1 <= day < 4, 1 <= day < 3) for day in range(6)]


def test_a_date_may_be_that_of_an_hour_and_a_table_that_no_source_counts_is_not_known_to_agree(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = connection.sql("select is_complete, is_reconciled from gold_complete.hourly_revenue order by order_hour")
    assert found.fetchall() == [(False, False), *[(True, None)] * 3, (False, False), (False, False)]


def test_only_dated_tables_that_are_there_have_a_view(connection: duckdb.DuckDBPyConnection) -> None:
    views = connection.sql("select view_name from duckdb_views() where schema_name = 'gold_complete' order by all")
    assert views.fetchall() == [("daily_revenue",), ("hourly_revenue",)]


def test_a_view_follows_what_becomes_complete_and_a_table_that_gets_a_column(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    connection.execute("update ops.gold_completeness set complete_until = timestamp '2026-11-07'")
    query = "select count(*) from gold_complete.daily_revenue where is_complete"
    assert connection.sql(query).fetchall() == [(5,)]
    connection.execute(
        "create or replace table gold.daily_revenue as select *, 'DE' as country from gold.daily_revenue"
    )
    complete_views.write(connection)
    assert "country" in connection.sql("from gold_complete.daily_revenue").columns


def test_a_file_of_an_earlier_version_has_none(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("alter table ops.gold_completeness drop column row_date")
    complete_views.write(connection)
    assert connection.sql("select count(*) from duckdb_views() where schema_name = 'gold_complete'").fetchall() == [
        (0,)
    ]
