"""An enforced contract is compared with the query's columns, and dbt's own macro says what differs."""

from types import SimpleNamespace

import duckdb
import pytest

from tests.unit.macros.dbt_like import project

DECLARED = {"order_date": "date", "revenue": "decimal(18, 4)", "terms": "varchar[]"}
SAME = "select date '2026-11-01' as order_date, 1::decimal(18, 4) as revenue, ['a'] as terms"


@pytest.mark.parametrize(
    ("query", "differs"),
    [
        (SAME, False),
        ("select terms, revenue, order_date from (" + SAME + ")", False),
        ("select * exclude (terms) from (" + SAME + ")", True),
        ("select *, 1 as more from (" + SAME + ")", True),
        ("select *, terms from (" + SAME + ")", True),
        ("select * replace (revenue::decimal(18, 2) as revenue) from (" + SAME + ")", True),
        ("select * rename (terms as words) from (" + SAME + ")", True),
    ],
)
def test_only_a_query_with_other_columns_is_given_to_the_macro_of_dbt(query: str, differs: bool) -> None:
    asked: list[str] = []
    columns = {name: SimpleNamespace(name=name, data_type=kind) for name, kind in DECLARED.items()}
    with duckdb.connect() as connection:
        names = project(connection)

        def described(sql: str) -> list[SimpleNamespace]:
            rows = connection.execute(f"describe ({sql})").fetchall()
            return [SimpleNamespace(name=row[0], dtype=row[1]) for row in rows]

        names |= {"model": SimpleNamespace(columns=columns), "get_column_schema_from_query": described}
        names |= {"assert_columns_equivalent": asked.append}
        names["duckdb__get_assert_columns_equivalent"](query)
    assert asked == ([query] if differs else [])
