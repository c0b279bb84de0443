"""An enforced contract is compared with the query's columns, and dbt's own macro says what differs."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from dbt.adapters.base.impl import BaseAdapter

from ingestion.sql import identifier
from tests.unit.macros.dbt_like import project

DECLARED = {"order_date": "date", "revenue": "decimal(18, 4)", "terms": "varchar[]"}
SAME = "select date '2026-11-01' as order_date, 1::decimal(18, 4) as revenue, ['a'] as terms"
# Numbers that fill few of their 128 bits.
NUMBERS = "select n as id, (n * 7919 % 100003)::decimal(38, 4) as packed, packed as plain from range(5000) as t (n)"


def described(connection: duckdb.DuckDBPyConnection, sql: str) -> list[SimpleNamespace]:
    rows = connection.execute(f"describe ({sql})").fetchall()
    return [SimpleNamespace(name=row[0], dtype=row[1]) for row in rows]


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
        names |= {"model": SimpleNamespace(columns=columns)}
        names |= {"get_column_schema_from_query": partial(described, connection)}
        names |= {"assert_columns_equivalent": asked.append}
        names["duckdb__get_assert_columns_equivalent"](query)
    assert asked == ([query] if differs else [])


@pytest.mark.parametrize("is_enforced", [False, True])
def test_a_column_is_stored_as_its_yaml_says(tmp_path: Path, is_enforced: bool) -> None:
    """The adapter writes the statement where a contract is enforced, and asks for the columns only."""
    kinds = {"id": "bigint", "packed": "decimal(38,4)", "plain": "decimal(38,4)"}
    columns = {
        name: {
            "name": name,
            "data_type": kind,
            "constraints": [],
            "config": {"meta": {"storage": "uncompressed"} if name == "plain" else {}},
        }
        for name, kind in kinds.items()
    }
    with duckdb.connect(tmp_path / "a.duckdb") as connection:
        names = project(connection)
        names["model"] = {"columns": columns, "constraints": [], "config": {"contract": {"enforced": is_enforced}}}
        names["get_column_schema_from_query"] = partial(described, connection)
        names["adapter"].quote = identifier
        names["adapter"].render_raw_columns_constraints = BaseAdapter.render_raw_columns_constraints
        names["adapter"].render_raw_model_constraints = BaseAdapter.render_raw_model_constraints
        names["create_table_as"] = lambda _temporary, table, sql: (
            f"create table {table} {names['duckdb__get_table_columns_and_constraints']()}; insert into {table} {sql}"
        )
        connection.execute(names["create_table_from"]("made", NUMBERS))
        connection.execute("checkpoint")
        assert connection.execute("from made").fetchall() == connection.execute(NUMBERS).fetchall()
        stored = connection.execute(
            "select distinct column_name, compression from pragma_storage_info('made') where segment_type <> 'VALIDITY'"
        ).fetchall()
    assert dict(stored) == {"id": "BitPacking", "packed": "BitPacking", "plain": "Uncompressed"}
