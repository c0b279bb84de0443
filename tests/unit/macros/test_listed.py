"""A contract's values are quoted in SQL, so that any text stays as it is."""

import duckdb

from tests.unit.macros.render import macros


def listed(values):
    return str(macros().listed(values)).strip()


def test_a_quote_in_a_value_is_part_of_it():
    values = ["it's", "a, b", 7, "NO"]
    assert duckdb.sql(f"select [{listed(values)}]").fetchone() == (["it's", "a, b", "7", "NO"],)


def test_numbers_are_compared_as_the_column_is():
    assert duckdb.sql(
        f"select 0::bigint in ({listed([0])}), 1.50::decimal(18, 4) in ({listed(['1.5'])})"
    ).fetchone() == (
        True,
        True,
    )
