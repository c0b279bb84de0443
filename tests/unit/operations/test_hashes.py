"""The content hash ignores row order and lineage, and nothing else."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.hashes import hash_table

ROWS = st.lists(
    st.tuples(st.one_of(st.none(), st.text(max_size=5)), st.one_of(st.none(), st.integers(-9, 9))), max_size=6
)


def hash_of(rows: list[tuple[str | None, int | None]], batch: str = "x") -> str:
    with duckdb.connect() as connection:
        connection.execute("create schema gold; create table gold.t (name varchar, units bigint, batch_id varchar)")
        if rows:
            connection.executemany("insert into gold.t values (?, ?, ?)", [[*row, batch] for row in rows])
        return str(hash_table(connection, "gold", "t")["hash"])


@given(ROWS)
def test_order_and_lineage_do_not_matter(rows: list[tuple[str | None, int | None]]) -> None:
    assert hash_of(rows) == hash_of(rows[::-1], batch="y")


@given(ROWS, ROWS)
def test_other_rows_have_another_hash(
    one: list[tuple[str | None, int | None]], other: list[tuple[str | None, int | None]]
) -> None:
    if sorted(one, key=str) != sorted(other, key=str):
        assert hash_of(one) != hash_of(other)


@pytest.mark.parametrize("rows", [[("a", None)], [(None, 1)], [("", 1)], [("a", 1), ("a", 1)]])
def test_nulls_empty_text_and_copies_count(rows: list[tuple[str | None, int | None]]) -> None:
    assert len({hash_of(rows), hash_of([("a", 1)]), hash_of([])}) == 3
