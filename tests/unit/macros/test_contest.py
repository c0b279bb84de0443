"""Which decision is told of a record that several took out: the same, whatever order they came in."""

import duckdb
import pytest

from tests.unit.macros.render import macros

RULINGS = [("b1", 1, "d1:1", "withdrawn"), ("b1", None, "d2:1", "withdrawn"), ("b1", 1, "d9:1", "superseded")]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_a_withdrawal_goes_first_and_ties_are_broken_by_name(order: list[int]) -> None:
    with duckdb.connect() as connection:
        connection.execute("create table pool as select 'b1' as batch_id, 1::bigint as record_no")
        connection.execute("create table plan_rulings (batch_id text, record_no bigint, decision text, fate text)")
        connection.executemany("insert into plan_rulings values (?, ?, ?, ?)", [RULINGS[place] for place in order])
        found = connection.execute(macros().rulings_by_record("pool")).fetchall()
    assert found == [("b1", 1, "d2:1", "withdrawn")]
