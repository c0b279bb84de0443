"""SQL that reads values from texts, and counts amounts in whole ten-thousandths."""

# Of an hour of lines or a table of rows, more than this share and at least so many are refused only if something is wrong.
REFUSED_SHARE, REFUSED_ROWS = 0.01, 100
# How a text becomes a value of a type; null if it cannot.
READERS = {
    "varchar": "{}",
    "date": "read_date({})",
    "timestamp": "read_timestamp({})",
    "bigint": "read_bigint({})",
    "decimal(18,4)": "read_decimal_4({})",
    "decimal(18,8)": "read_decimal_8({})",
}
# Dividing BIGINT is a hundred times faster than dividing HUGEINT or DECIMAL. `half_even` has neither CASE nor AND, in which
# DuckDB computes the same quotient again.
MACROS = r"""
create temp macro read_date(text) as
    case when regexp_full_match(text, '\d{4}-\d{2}-\d{2}') then try_cast(text as date) end;
create temp macro read_timestamp(text) as case
    when not regexp_full_match(text, '\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-](0\d|1[0-5])(:?[0-5]\d)?)?') then null
    when suffix(text, 'Z') or suffix(text, '+00') then try_cast(text as timestamp)
    else try_cast(text as timestamptz) at time zone 'UTC'
end;
create temp macro read_bigint(text) as
    case when regexp_full_match(text, '[+-]?\d+') then try_cast(text as bigint) end;
create temp macro read_decimal_4(text) as
    case when regexp_full_match(text, '[+-]?(\d+(\.\d{0,4})?|\.\d{1,4})') then try_cast(text as decimal(18, 4)) end;
create temp macro read_decimal_8(text) as
    case when regexp_full_match(text, '[+-]?(\d+(\.\d{0,8})?|\.\d{1,8})') then try_cast(text as decimal(18, 8)) end;
create temp macro canonical(value) as coalesce(strlen(value::varchar) || ':' || value::varchar, '-');
create temp macro half_even(dividend, divisor) as sign(dividend) * (
    abs(dividend) // divisor
    + cast(2 * (abs(dividend) % divisor) > divisor as integer)
    + cast(2 * (abs(dividend) % divisor) = divisor as integer) * (abs(dividend) // divisor % 2)
);
create temp macro to_units(amount) as cast(cast(amount as decimal(38, 4)) * 10000 as hugeint);
create temp macro to_amount(units) as cast(cast(units as decimal(34, 0)) * 0.0001::decimal(5, 4) as decimal(38, 4));
create temp macro ratio(part, whole) as
    cast(to_amount(half_even(cast(part as hugeint) * 10000, cast(whole as hugeint))) as decimal(18, 4));
"""


def listed(names: list[str]) -> str:
    """Return names as a list of SQL texts."""
    return ", ".join(f"'{name}'" for name in names)


def is_suspicious(refused: int, rows: int) -> bool:
    """Say whether more is refused than by chance."""
    return refused >= REFUSED_ROWS and refused > REFUSED_SHARE * rows
