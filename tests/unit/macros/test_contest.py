"""If several decisions withdraw a record, the same one is shown whatever order they came in."""

import math

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


@pytest.mark.parametrize(
    ("refused", "records", "expected"),
    [
        *((0, 0, False), (0, 5, False), (1, 1, False), (3, 3, False), (5, 5, True)),
        *((1, 11, False), (4, 14, False), (62, 137, True), (8, 18, True)),
        *((99, 10_000, False), (101, 10_000, False), (200, 10_000, True), (10_000, 10_000, True)),
    ],
)
def test_a_batch_is_held_for_what_chance_does_not_explain(refused: int, records: int, expected: bool) -> None:
    with duckdb.connect() as connection:
        found = connection.execute(f"select {macros().is_beyond_chance(refused, records, 0.01)}").fetchone()
        # the bound is safe: by the exact binomial, chance reaches what is held less than once in 500 million
        chance = sum(math.exp(log_binomial(count, records)) for count in range(refused, min(records, refused + 60) + 1))
    assert found == (expected,)
    assert not expected or chance < 2e-9


def log_binomial(count: int, records: int) -> float:
    ways = math.lgamma(records + 1) - math.lgamma(count + 1) - math.lgamma(records - count + 1)
    return ways + count * math.log(0.01) + (records - count) * math.log(0.99)
