"""A contract's values are quoted in SQL, so that any text stays as it is."""

import duckdb
import jinja2
import pytest

from ingestion.contract import PROJECT


@pytest.fixture
def listed():
    """Return the macro, with a stand-in for dbt's `return`."""
    text = (PROJECT / "macros" / "parse.sql").read_text()
    macro = text[text.index("{% macro listed") : text.index("{% endmacro %}", text.index("{% macro listed"))]
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    template = environment.from_string(macro + "{% endmacro %}", {"return": lambda text: text})
    return lambda values: str(template.module.listed(values)).strip()


def test_a_quote_in_a_value_is_part_of_it(listed):
    values = ["it's", "a, b", 7, "NO"]
    assert duckdb.sql(f"select [{listed(values)}]").fetchone() == (["it's", "a, b", "7", "NO"],)


def test_numbers_are_compared_as_the_column_is(listed):
    assert duckdb.sql(
        f"select 0::bigint in ({listed([0])}), 1.50::decimal(18, 4) in ({listed(['1.5'])})"
    ).fetchone() == (
        True,
        True,
    )
