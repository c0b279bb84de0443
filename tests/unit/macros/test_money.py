"""Compare exact money arithmetic with fractions: quotients, dollars, moving means, and the tax of each line."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.pipeline.plain_orders import Line, Order, rounded, seed_rows, tax_lines
from tests.unit.macros.render import macros

MACROS = macros()
AMOUNTS = st.decimals(-(10**12), 10**12, places=4)
# Near the limits at which the arithmetic switches to another method.
NEAR_64_BITS = [sign * (10**power + off) for sign in (-1, 1) for power in (9, 13, 17) for off in (-1, 0, 1)]
NEAR_LIMIT = st.integers(4 * 10**18 - 2, 4 * 10**18 + 2)
RATES = st.decimals(Decimal("0.00000001"), Decimal(10) ** 9, places=8)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        for name in ("tax_rates", "currencies"):
            rows = seed_rows(name)
            columns = ", ".join(f"{column} {TYPES.get(column, 'text')}" for column in rows[0])
            connection.execute(f"create table {name} ({columns})")
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(
                f"insert into {name} values ({marks})", [[value or None for value in row.values()] for row in rows]
            )
        yield connection


TYPES = {"valid_from": "date", "valid_to": "date", "tax_rate": "decimal(6,4)", "minor_units": "int"}


@given(dividend=st.one_of(st.integers(-(10**30), 10**30), NEAR_LIMIT), divisor=st.integers(1, 10**12))
def test_a_half_goes_to_the_even_neighbour(connection, dividend: int, divisor: int) -> None:
    query = f"select {MACROS.divided_half_even(f'({dividend})::hugeint', f'({divisor})::hugeint')}"
    assert connection.execute(query).fetchone() == (round(Fraction(dividend, divisor)),)


@given(dividend=st.one_of(st.integers(-(10**30), 10**30), NEAR_LIMIT), divisor=st.integers(1, 10**12))
def test_a_quotient_is_rounded_down(connection, dividend: int, divisor: int) -> None:
    query = f"select {MACROS.divided_down(f'({dividend})::hugeint', f'({divisor})::hugeint')}"
    assert connection.execute(query).fetchone() == (dividend // divisor,)


@given(
    line=st.one_of(st.none(), st.decimals(-(10**14) + 1, 10**14 - 1, places=4)),
    discount=st.one_of(st.none(), st.decimals(-(10**14) + 1, 10**14 - 1, places=4)),
    quantity=st.one_of(st.integers(-20, 20), st.integers(-(2**31), 2**31)),
)
@example(line=Decimal("19.98"), discount=None, quantity=2)
@example(line=Decimal("10"), discount=Decimal("0.01"), quantity=-3)
@example(line=Decimal("10"), discount=None, quantity=3)
@example(line=Decimal("0"), discount=None, quantity=0)
@example(line=Decimal("99999999999999.9999"), discount=Decimal("0.0001"), quantity=1)
def test_a_unit_price_is_the_exact_quotient_or_none(
    connection, line: Decimal | None, discount: Decimal | None, quantity: int
) -> None:
    amount = "$1::decimal(18, 4)"
    query = f"select {MACROS.exact_unit_price(amount, '$2::decimal(18, 4)', '$3::bigint')}"
    (found,) = connection.execute(query, [line, discount, quantity]).fetchone()
    price = None if line is None or not quantity else (Fraction(line) + Fraction(discount or 0)) / quantity
    is_sayable = price is not None and (price * 10**4).denominator == 1 and abs(price) < 10**14
    assert (found is not None) == is_sayable
    if found is not None:
        assert Fraction(found) == price


@pytest.mark.parametrize("decimals", [4, 8])
@given(units=st.one_of(st.integers(-(10**17), 10**17), st.sampled_from(NEAR_64_BITS)))
def test_amounts_are_counted_in_units_whatever_their_size(connection, decimals: int, units: int) -> None:
    amount = Decimal(units).scaleb(-decimals)
    query = f"select {MACROS.in_units(f'$1::decimal(38, {decimals})', decimals)}"
    assert connection.execute(query, [amount]).fetchone() == (units,)


@pytest.mark.parametrize(("dividend", "quotient"), [(5, 2), (-5, -2), (7, 4), (-7, -4), (3, 2), (1, 0), (-1, 0)])
def test_halves(connection, dividend: int, quotient: int) -> None:
    assert connection.execute(f"select {MACROS.divided_half_even(f'({dividend})', 2)}").fetchone() == (quotient,)


@given(amount=AMOUNTS, usd=RATES, currency=RATES)
def test_dollars_are_exact_by_the_two_quotes(connection, amount: Decimal, usd: Decimal, currency: Decimal) -> None:
    exact = Fraction(amount) * Fraction(usd) / Fraction(currency)
    if abs(exact) >= 10**25:
        return
    units = (MACROS.in_units(f"{rate}::decimal(18, 8)", 8) for rate in ("$2", "$3"))
    query = f"select {MACROS.in_usd('$1::decimal(38, 4)', *units)}"
    assert connection.execute(query, [amount, usd, currency]).fetchone() == (rounded(exact),)


@given(amounts=st.dictionaries(st.integers(0, 40), AMOUNTS, min_size=1))
def test_a_moving_mean_counts_missing_dates_as_nothing(connection, amounts: dict[int, Decimal]) -> None:
    start = date(2026, 1, 1)
    connection.execute("create or replace table sold (country text, day date, amount decimal(38, 4))")
    connection.executemany(
        "insert into sold values ('DE', ?, ?)", [[start + timedelta(days=n), one] for n, one in amounts.items()]
    )
    mean = MACROS.moving_mean("amount", ["country"], "day", 7, "days")
    assert dict(connection.execute(f"select day, {mean} from sold").fetchall()) == {
        start + timedelta(days=n): rounded(sum(Fraction(amounts.get(n - back, 0)) for back in range(7)) / 7)
        for n in amounts
    }


@given(
    country=st.sampled_from(["DE", "JP", "CH", "FI", "XX", "US", "KW"]),
    currency=st.sampled_from(["EUR", "JPY", "KWD", "CHF", "???"]),
    day=st.sampled_from(
        [
            date(2020, 6, 30),
            date(2020, 7, 1),
            date(2020, 12, 31),
            date(2021, 1, 1),
            date(2019, 9, 30),
            date(2019, 10, 1),
        ]
    ),
    amounts=st.lists(st.one_of(st.decimals(-1000, 1000, places=4), AMOUNTS), min_size=1, max_size=8),
)
def test_tax_is_rounded_once_and_the_lines_add_up(
    connection, country: str, currency: str, day: date, amounts: list[Decimal]
) -> None:
    order = Order("o1", "c1", True, currency, country, datetime.combine(day, time(23, 59)), [])
    order.lines = [Line(order, number, "p1", 1, amount) for number, amount in enumerate(amounts, 1)]
    tax_lines(order)
    connection.execute("create or replace table orders (order_id text, country text, order_date date, currency text)")
    connection.execute("insert into orders values ('o1', ?, ?, ?)", [country, day, currency])
    connection.execute("create or replace table lines (order_id text, line_number int, line_amount decimal(38, 4))")
    connection.executemany(
        "insert into lines values ('o1', ?, ?)", [[line.number, line.amount] for line in order.lines]
    )
    found = connection.execute(
        f"select line_number, tax_amount from ({MACROS.taxed_lines('lines', 'orders')})"
    ).fetchall()
    assert sorted(found) == [(line.number, line.tax) for line in order.lines if line.tax is not None]
