"""Numbers are judged as plain Python judges them; incidents are told, and growth, closed Sundays and first weeks are not."""

import random
import statistics
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.contract import PROJECT
from tests.unit.macros.dbt_like import project
from tests.unit.macros.profiled import most_rows

FIRST = date(2026, 1, 5)  # a Monday
SETTINGS = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]["unusual"]
Row = tuple[str, str, str, str, str, datetime, float, int | None]


def at(day: int, hour: int = 0) -> datetime:
    return datetime.combine(FIRST + timedelta(days=day), time(hour))


def series(measure: str, kind: str, values: Iterable[float | None], bases: Iterable[int | None] = ()) -> list[Row]:
    """Return the rows of a daily measure, with none for a value that is missing."""
    found = list(values)
    of = list(bases) or [None] * len(found)
    return [
        ("shop", "t", measure, kind, "day", at(day), value, base)
        for day, (value, base) in enumerate(zip(found, of, strict=True))
        if value is not None
    ]


def unusual(
    rows: list[Row], days: int, covered: Iterable[int] | None = None, known_until: datetime | None = None, **more: Any
) -> list[dict[str, Any]]:
    """Judge the rows on all days; those of `covered` have landed, by default all, and are known until a time, by default whole."""
    with duckdb.connect() as connection:
        found = connection.sql(
            query(connection, rows, days, range(days) if covered is None else covered, known_until, **more)
        )
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def query(
    connection: duckdb.DuckDBPyConnection,
    rows: list[Row],
    days: int,
    covered: Iterable[int],
    known_until: datetime | None = None,
    **more: Any,
) -> str:
    """Fill the tables that the judgement reads, and return its query."""
    names = ["dataset", "subject", "measure", "kind", "period", "period_start", "amount", "base"]
    table = pa.table({name: [row[number] for row in rows] for number, name in enumerate(names)})
    connection.register("given_rows", table)
    connection.execute(
        "create table measures as select * replace (amount::decimal(38, 4) as amount, base::bigint as base, "
        "period_start::timestamp as period_start) from given_rows"
    )
    connection.execute(
        f"create table dates as select distinct dataset, date '{FIRST}' + day::integer as record_date from measures, range({days}) t (day)"
    )
    connection.execute("create table landed (record_date date, known_until timestamp)")
    connection.executemany(
        "insert into landed values (?, least(?, ?))",
        [[at(day).date(), at(day + 1), known_until or at(days)] for day in covered],
    )
    connection.execute(
        "create table covered as select dataset, landed.* from (select distinct dataset from measures), landed"
    )
    macros = project(connection)
    macros["var"] = lambda name: {"unusual": SETTINGS | more}[name]
    return str(macros["unusual"]("measures", "dates", "covered"))


def told(rows: list[Row], days: int, **more: Any) -> set[tuple[str, int]]:
    """Return the measure and day of each alert."""
    found = unusual(rows, days, **more)
    return {(one["measure"], (one["period_start"].date() - FIRST).days) for one in found if one["is_alert"]}


def weekly(level: Callable[[int], float] = lambda day: 1.0) -> list[float]:
    """Return 120 days of counts around 1,000 with a weekly pattern, and noise that is the same in each run."""
    pattern = [1.0, 1.02, 1.0, 1.05, 1.2, 0.8, 0.6]
    return [round(1000 * pattern[day % 7] * level(day) * (1 + ((day * 7919) % 13 - 6) / 200)) for day in range(120)]


@given(
    st.lists(st.integers(0, 400), min_size=70, max_size=100),
    st.integers(0, 30),
)
@settings(max_examples=40, deadline=None)
def test_expected_and_score_are_those_of_plain_python(values: list[int], last: int) -> None:
    every = {"records": 0, "share": 0.0, "spreads": 0, "count_changes": 0}
    found = {
        (one["period_start"].date() - FIRST).days: one
        for one in unusual(series("records", "count", values), len(values), **every)
    }
    for day in range(max(28, len(values) - 40), len(values)):

        def level(of: int) -> float:
            before = values[max(0, of - 56) : of]
            return statistics.median(before) if before else 0

        weeks = [day - 7 * number for number in range(1, 9) if day - 7 * number >= 0]
        scaled = [
            values[one] * level(day) / level(one) if level(day) > 0 and level(one) > 0 else values[one] for one in weeks
        ]
        expected = statistics.median(scaled)
        deviation = statistics.median(abs(one - expected) for one in scaled)
        spread = max(1.4826 * deviation, max(expected, 1) ** 0.5, 0.05 * expected)
        if values[day] != pytest.approx(expected, abs=1e-6):
            assert found[day]["expected"] == pytest.approx(expected, abs=1e-5)
            assert found[day]["spread"] == pytest.approx(spread, abs=1e-5)
            assert found[day]["score"] == pytest.approx((values[day] - expected) / spread, abs=0.051)


def test_a_year_without_incidents_is_silent() -> None:
    assert told(series("records", "count", weekly()), 120) == set()


def test_growth_and_decline_are_silent() -> None:
    for values in (weekly(lambda day: 1.02 ** (day / 3)), weekly(lambda day: 0.98 ** (day / 3))):
        assert told(series("records", "count", values), 120) == set()


def test_half_of_a_day_is_told_and_so_is_one_that_came_twice() -> None:
    values: list[float | None] = [*weekly()]
    values[80], values[101] = values[80] / 2, values[101] * 2  # type: ignore[operator]
    assert told(series("records", "count", values), 120) == {("records", 80), ("records", 101)}


def test_a_day_that_landed_without_a_record_is_told_and_one_that_did_not_land_is_not() -> None:
    values: list[float | None] = [*weekly()]
    values[80] = values[90] = None
    rows = series("records", "count", values)
    found = unusual(rows, 120, covered=(day for day in range(120) if day != 90))
    assert [(one["period_start"], one["value"]) for one in found] == [(at(80), 0)]


def test_a_shop_that_is_closed_on_sundays_is_silent_and_its_open_sunday_is_told() -> None:
    values = [0 if day % 7 == 6 else count for day, count in enumerate(weekly())]
    assert told(series("records", "count", values), 120) == set()
    values[83] = 1000
    assert told(series("records", "count", values), 120) == {("records", 83)}


def test_zero_is_told_even_where_numbers_vary_much() -> None:
    values = [20 + (day * 7919) % 4001 for day in range(120)]
    assert ("records", 100) not in told(series("records", "count", values), 120)
    values[100] = 0
    (found,) = [one for one in unusual(series("records", "count", values), 120) if one["period_start"] == at(100)]
    assert found["is_alert"] and abs(found["score"]) < 5


def test_a_holiday_is_silent_but_its_ratios_are_not() -> None:
    values: list[float | None] = [*weekly()]
    values[80] = 40
    ratios = [30.0 if day == 80 else 70.0 for day in range(120)]
    rows = series("records", "count", values) + series("rate", "ratio", ratios, [100] * 120)
    assert told(rows, 120) == {("records", 80), ("rate", 80)}
    assert told(rows, 120, holidays=[str(at(80).date())]) == {("rate", 80)}


def test_an_outage_of_one_step_is_told_for_each_of_its_days_and_the_recovery_is_not() -> None:
    bought = [round(200 * (0.29 if 70 <= day < 91 else 0.7) + day % 5) for day in range(120)]
    rows = series("purchase_per_checkout", "ratio", bought, [200] * 120)
    assert told(rows, 120) == {("purchase_per_checkout", day) for day in range(70, 91)}


def test_what_no_single_day_shows_is_told_of_the_week() -> None:
    bought = [27 if day % 2 else 29 for day in range(120)]
    for day in range(90, 100):
        bought[day] = 20
    found = unusual(series("purchase_per_checkout", "ratio", bought, [40] * 120), 120)
    assert {one["period"] for one in found} == {"week"}
    assert min(one["period_start"] for one in found) > at(84) and max(one["period_start"] for one in found) < at(100)


@pytest.mark.parametrize("size", [300, 4_000, 60_000])
def test_duplicates_that_double_are_told_and_those_of_other_days_are_not(size: int) -> None:
    """Of 300 records, 5 % are duplicates and then 10 %: 15 more, which may be chance. Of 4,000, 2 % are enough."""
    usually = 0.02
    twice = [
        round(size * usually * (2 if day == 100 else 1) * (1 + ((day * 7919) % 13 - 6) / 200)) for day in range(120)
    ]
    expected = {("duplicate_share", 100)} if size >= 4_000 else set()
    assert told(series("duplicate_share", "ratio", twice, [size] * 120), 120) == expected


def test_an_hour_without_records_is_told_of_the_hour() -> None:
    rows: list[Row] = []
    for day in range(60):
        for hour in range(24):
            count = 0 if (day, hour) == (50, 14) else 60 + (day * 31 + hour * 17) % 9
            if count:
                rows.append(("shop", "t", "events", "count", "hour", at(day, hour), count, None))
        rows.append(("shop", "t", "events", "count", "day", at(day), 24 * 60, None))
    assert [(one["period"], one["period_start"], one["value"]) for one in unusual(rows, 60)] == [
        ("hour", at(50, 14), 0)
    ]


def test_a_number_that_is_restless_on_every_day_is_silent_though_one_weekday_was_calm() -> None:
    """Eight Wednesdays that happen to be alike say little of what the ninth may be: the other days of the week say it."""
    pick = random.Random(1)
    shares = [round(10_000 * (0.01 if day % 7 == 2 else pick.uniform(0.007, 0.013))) for day in range(120)]
    shares[100] = 135  # a Wednesday
    assert told(series("duplicate_share", "ratio", shares, [10_000] * 120), 120) == set()
    shares[100] = 300
    assert told(series("duplicate_share", "ratio", shares, [10_000] * 120), 120) == {("duplicate_share", 100)}


def test_half_of_a_day_is_told_before_its_weekday_is_known_but_not_of_restless_numbers_nor_of_a_first_sunday() -> None:
    counts = weekly()[:12]
    assert told(series("records", "count", counts), 12) == set()
    half = [count / 2 if day == 10 else count for day, count in enumerate(counts)]
    assert told(series("records", "count", half), 12) == {("records", 10)}
    restless = [count * (0.5, 1.1, 0.8, 1.6)[day % 4] for day, count in enumerate(half)]
    assert told(series("records", "count", restless), 12) == set()
    closed = [0 if day % 7 == 6 else count for day, count in enumerate(half)]
    assert told(series("records", "count", closed), 12) == set(), "zero has been seen, so half is no lower"


def test_a_quiet_hour_is_listed_and_two_are_an_alert() -> None:
    """There are so many hours that chance empties one of a dozen records now and then, and hardly ever two in a row."""
    rows = hourly(lambda day, hour: 0 if (day, hour) in {(60, 12), (70, 12), (70, 13)} else 12 + (day * 7 + hour) % 5)
    assert hours_told(rows) == {(70, 12), (70, 13)}
    assert {one["period_start"] for one in unusual(rows, 80)} == {at(60, 12), at(70, 12), at(70, 13)}


def test_the_first_week_is_not_judged() -> None:
    values = [1000, 5, 1000, 1000, 0, 1000, 1000]
    assert unusual(series("records", "count", values), 7) == []


def test_a_column_that_loses_its_few_values_is_told() -> None:
    missing = [9700 if day != 80 else 10_000 for day in range(120)]
    assert told(series("missing_share", "ratio", missing, [10_000] * 120), 120) == {("missing_share", 80)}


def test_a_ratio_of_negative_sales_is_not_judged_and_one_above_one_is() -> None:
    """More may be refunded than sold on a day, and corrections may make sales negative."""
    refunded = [120 + day % 3 for day in range(120)]
    sold = [100] * 120
    refunded[80], sold[90] = 900, -50
    found = unusual(series("refunded_share", "ratio", refunded, sold), 120)
    assert [one["period_start"] for one in found if one["period"] == "day"] == [at(80)]


def test_amounts_of_a_few_orders_are_anything_and_of_many_they_are_told() -> None:
    """A shop with an order or two a day has days without one, and an order may be ten times as dear as another."""
    few = [[0, 20, 35, 0, 400, 60, 25][day % 7] * (1 + day % 3) for day in range(120)]
    orders = [[0, 1, 2, 0, 1, 2, 1][day % 7] for day in range(120)]
    few[80], few[94], orders[94] = 9_000, 0, 0
    assert told(series("gross_amount", "sum", few, orders), 120) == set()
    many = [3000 + 40 * (day % 9) for day in range(120)]
    many[80] = 900
    assert told(series("gross_amount", "sum", many, [400] * 120), 120) == {("gross_amount", 80)}


def test_a_holiday_without_a_record_is_told() -> None:
    values: list[float | None] = [*weekly()]
    values[80] = None
    assert told(series("records", "count", values), 120, holidays=[str(at(80).date())]) == {("records", 80)}


def test_an_outage_of_counts_of_three_weeks_is_told_for_each_of_its_days_and_the_weeks_after_it_are_silent() -> None:
    values = [value * (0.3 if 75 <= day < 96 else 1) for day, value in enumerate(weekly())]
    assert told(series("orders", "count", values), 120) == {("orders", day) for day in range(75, 96)}


def hourly(counts: Callable[[int, int], float], days: int = 80) -> list[Row]:
    """Return the rows of an hourly measure and of its days."""
    by_day = [[counts(day, hour) for hour in range(24)] for day in range(days)]
    rows: list[Row] = [
        ("shop", "t", "events", "count", "hour", at(day, hour), count, None)
        for day, found in enumerate(by_day)
        for hour, count in enumerate(found)
        if count
    ]
    return rows + series("events", "count", map(sum, by_day))


def busy(day: int, hour: int) -> float:
    """Return a count that rises steeply in the morning and falls in the evening."""
    return [20, 8, 5, 5, 8, 40, 150, 300, 420, 450, 440, 430][min(hour, 23 - hour)] + (day * 31 + hour * 17) % 9


def hours_told(rows: list[Row], days: int = 80, **more: Any) -> set[tuple[int, int]]:
    """Return the day and hour of each hour that is an alert."""
    found = [one["period_start"] for one in unusual(rows, days, **more) if one["is_alert"] and one["period"] == "hour"]
    return {((start.date() - FIRST).days, start.hour) for start in found}


def test_clocks_that_are_put_forward_are_silent() -> None:
    """The hours that people keep move by one in UTC, and a morning hour has several times what it had."""
    moved = hourly(lambda day, hour: busy(day, (hour + (day >= 60)) % 24))
    assert hours_told(moved) == set()
    late = hourly(lambda day, hour: busy(day, (hour + 3 * (day >= 60)) % 24))
    assert {day for day, _ in hours_told(late)} == set(range(60, 80))


def test_one_hour_with_few_records_is_listed_and_two_are_an_alert_and_so_is_one_with_hardly_any() -> None:
    def counts(day: int, hour: int) -> float:
        few = {(60, 12): 0.4, (64, 12): 0.4, (64, 13): 0.4, (68, 12): 0.1}
        return round(busy(day, hour) * few.get((day, hour), 1))

    rows = hourly(counts)
    assert hours_told(rows) == {(64, 12), (64, 13), (68, 12)}
    listed = {one["period_start"] for one in unusual(rows, 80)}
    assert listed == {at(60, 12), at(64, 12), at(64, 13), at(68, 12)}


def test_a_day_that_is_an_alert_is_told_once_and_its_hours_are_listed() -> None:
    rows = hourly(lambda day, hour: round(busy(day, hour) * (0.3 if day == 70 else 1)))
    found = unusual(rows, 80)
    assert [(one["period"], one["period_start"]) for one in found if one["is_alert"]] == [("day", at(70))]
    assert {one["period_start"].date() for one in found} == {at(70).date()} and len(found) > 6


def test_the_hours_of_a_day_are_judged_before_it_is_over_and_those_to_come_are_not_zero() -> None:
    rows = hourly(lambda day, hour: 0 if day == 79 and hour >= 10 else busy(day, hour))
    assert unusual(rows, 80, known_until=at(79, 10)) == []
    assert hours_told(rows, known_until=at(79, 12)) == {(79, 10), (79, 11)}
    assert {one["period"] for one in unusual(rows, 80, known_until=at(79, 12))} == {"hour"}


def test_very_small_counts_are_silent() -> None:
    """A shop with an order every few hours has hours and days without one, and days with three times as many."""
    rows = hourly(lambda day, hour: 1 if (day * 7919 + hour * 104_729) % 11 == 0 else 0)
    assert unusual(rows, 80) == []


def test_a_number_meets_those_that_it_is_compared_with_and_not_all_of_its_history() -> None:
    """DuckDB joined all hours of a dataset with each other, and only then looked at the days between them."""
    days = 60
    rows: list[Row] = [
        (f"shop {number}", "t", "records", "count", period, at(day, hour), 100 + (day * 24 + hour) * 7919 % 97, None)
        for number in range(6)
        for day in range(days)
        for period, hours in (("hour", 24), ("day", 1))
        for hour in range(hours)
    ]
    with duckdb.connect() as connection:
        sql = query(connection, rows, days, range(days))
        most = most_rows(connection, sql)
    # it is compared with 28 days and four more weeks; the weeks are judged as well
    assert most <= 40 * len(rows)
