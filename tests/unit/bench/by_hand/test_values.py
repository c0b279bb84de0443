"""Amounts are divided as Decimal divides them, in both widths of whole numbers."""

from decimal import ROUND_HALF_EVEN, Decimal

import duckdb
import pytest

from bench.by_hand.values import MACROS, is_suspicious


@pytest.mark.parametrize("kind", ["bigint", "hugeint"])
def test_quotients_are_rounded_half_even(kind: str) -> None:
    pairs = [(dividend, divisor) for dividend in range(-40, 41) for divisor in (1, 2, 3, 4, 7, 10)]
    with duckdb.connect() as db:
        db.execute(MACROS)
        for dividend, divisor in pairs:
            (found,) = db.execute(f"select half_even({dividend}::{kind}, {divisor}::{kind})").fetchone()
            assert found == (Decimal(dividend) / divisor).quantize(Decimal(1), ROUND_HALF_EVEN), (dividend, divisor)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", Decimal("1.5")),
        ("5.", Decimal(5)),
        ("+.5", Decimal("0.5")),
        ("1e3", None),
        (" 1", None),
        ("1.23456", None),
        ("NaN", None),
    ],
)
def test_amounts_are_read_strictly(text: str, value: Decimal | None) -> None:
    with duckdb.connect() as db:
        db.execute(MACROS)
        assert db.execute("select read_decimal_4(?)", [text]).fetchone() == (value,)


def test_few_refusals_are_chance() -> None:
    assert [is_suspicious(*pair) for pair in ((99, 100), (100, 10_000), (101, 10_000))] == [False, False, True]
