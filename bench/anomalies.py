"""Plant incidents in simulated months of a shop's numbers, and count which are told as anomalies, and what is told without one.

python -m bench.anomalies --shops 10 --days 180
python -m bench.anomalies --shape weekdays     # shops of a shape that no limit was chosen by
python -m bench.anomalies --age 10             # shops that are ten days old when they have their only incident
python -m bench.anomalies --quiet              # shops without incidents

The judgement is that of the models (dbt_project/macros/unusual.sql). The numbers are drawn here: a weekly and a daily pattern,
growth, days and hours that vary more than chance, amounts with a long tail. From the ninth week on, each shop has one incident
of each kind, unless it is young: then it has one.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import yaml

from ingestion.contract import PROJECT
from tests.unit.macros.dbt_like import project

FIRST = date(2026, 1, 5)
INCIDENTS = (
    "four hours without events",
    "purchases per checkout down by 58 % for days",
    "half of the records missing",
    "a day without records",
    "twice as many missing values",
    "three times as many duplicates",
    "four times as many refunds",
    "six times as many errors",
)
# Events a day of a shop of size 1, which has 200 orders a day.
EVENTS = {"page_view": 20_000, "add_to_cart": 3_000, "checkout": 1_200, "purchase": 800, "error": 100}
WEEK = np.array([1, 1, 1.02, 1.05, 1.1, 0.8, 0.7])
DAY = np.array([2, 1, 0.7, 0.5, 0.5, 1, 2, 4, 6, 7, 8, 8, 8, 7, 7, 7, 8, 9, 10, 11, 10, 8, 6, 4])


@dataclass(frozen=True)
class Shape:
    """What the numbers of a shop are like: its weekdays, growth a week, days without people, and how much days vary."""

    week: np.ndarray = field(default_factory=lambda: WEEK)
    growth: float = 0.01
    holidays: tuple[int, ...] = ()
    noise: float = 0.08


SHAPES = {
    "usual": Shape(),
    "weekdays": Shape(np.array([1.1, 1.2, 1.2, 1.1, 0.9, 0, 0])),
    "weekend": Shape(np.array([0.4, 0.4, 0.5, 0.6, 1, 1.9, 2.1]), -0.015),
    "growing": Shape(growth=0.06),
    "holidays": Shape(holidays=(66, 67, 101, 144)),
    "restless": Shape(noise=0.3),
}
# How long a young shop is looked at from the day of its incident on.
_YOUNG_DAYS = 3
NAMES = ("dataset", "subject", "measure", "kind", "period", "period_start", "amount", "base")


@dataclass
class Shop:
    """The numbers of a shop, as rows of `ops.measures`, and the days of each of its incidents."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    incidents: dict[str, set[date]] = field(default_factory=dict)

    def add(
        self, measure: str, kind: str, start: datetime, amount: float, base: int | None = None, period: str = "day"
    ) -> None:
        """Add a number, unless nothing was counted."""
        if amount or base:
            self.rows.append(("shop", "simulated", measure, kind, period, start, float(amount), base))


def make_shop(
    seed: int,
    size: float,
    days: int,
    shape: Shape = SHAPES["usual"],
    incidents: Sequence[str] = INCIDENTS,
    eventful: range | None = None,
) -> Shop:
    """Draw a shop of a size. Its incidents begin on the days of `eventful`, by default from day 60 on, and not on one that is closed."""
    draw = np.random.default_rng(seed)
    open_days = [day for day in eventful or range(60, days - 15) if shape.week[day % 7]]
    starts = draw.choice(np.array(open_days), size=len(incidents), replace=False)
    shop = Shop()
    for name, start in zip(incidents, starts, strict=True):
        length = int(draw.integers(2, 15)) if "days" in name else 1
        shop.incidents[name] = {FIRST + timedelta(days=int(start) + more) for more in range(length)}
    for number in range(days):
        today = FIRST + timedelta(days=number)
        level = size * (1 + shape.growth) ** (number / 7) * shape.week[number % 7] * np.exp(draw.normal(0, shape.noise))
        level *= 0.25 if number in shape.holidays else 1
        _add_day(shop, draw, today, level, {name for name, when in shop.incidents.items() if today in when})
    return shop


def _add_day(shop: Shop, draw: np.random.Generator, today: date, level: float, now: set[str]) -> None:
    start = datetime.combine(today, time())
    is_empty = "a day without records" in now
    counted = {}
    for event, usual in EVENTS.items():
        expected = usual * level * DAY / DAY.sum() * np.exp(draw.normal(0, 0.05, 24))
        if "four hours without events" in now:
            expected[10:14] = 0
        if "half of the records missing" in now:
            expected *= 0.5
        if "six times as many errors" in now and event == "error":
            expected *= 6
        if "purchases per checkout down by 58 % for days" in now and event == "purchase":
            expected *= 0.42
        hours = draw.poisson(expected * (not is_empty))
        counted[event] = int(hours.sum())
        for hour, count in enumerate(hours):
            shop.add(f"{event}_events", "count", start + timedelta(hours=hour), count, period="hour")
        shop.add(f"{event}_events", "count", start, counted[event])
    records = sum(counted.values())
    missing = 0.3 * np.exp(draw.normal(0, 0.02)) * (2 if "twice as many missing values" in now else 1)
    doubled = 0.01 * np.exp(draw.normal(0, 0.1)) * (3 if "three times as many duplicates" in now else 1)
    shop.add("records", "count", start, records)
    shop.add("missing_share_of_referrer", "ratio", start, draw.binomial(records, missing), records)
    shop.add("duplicate_share", "ratio", start, draw.binomial(records, doubled), records)
    shop.add(
        "purchase_per_checkout", "ratio", start, min(counted["purchase"], counted["checkout"]), counted["checkout"]
    )
    orders = 0 if is_empty else int(draw.poisson(200 * level))
    refunded = 0.06 * (4 if "four times as many refunds" in now else 1)
    shop.add("orders", "count", start, orders)
    amounts = draw.lognormal(3.5, 1, orders)
    shop.add("gross_amount", "sum", start, round(float(amounts.sum()), 2), orders)
    if orders:
        share = float(amounts[draw.random(orders) < refunded].sum() / amounts.sum())
        shop.add("refunded_share", "ratio", start, round(share * orders, 4), orders)


@dataclass(frozen=True)
class Alert:
    """A number that is told, by its name."""

    measure: str
    period: str
    start: datetime


def judge(rows: Sequence[tuple[Any, ...]], first: date, days: int, settings: Mapping[str, Any]) -> list[Alert]:
    """Return every alert of rows of `ops.measures`, of which all days from the first on have landed."""
    with duckdb.connect() as connection:
        connection.register("drawn", pa.table({name: [row[at] for row in rows] for at, name in enumerate(NAMES)}))
        connection.execute(
            "create table measures as select * replace (amount::decimal(38, 4) as amount, base::bigint as base, "
            "period_start::timestamp as period_start) from drawn"
        )
        connection.execute(
            f"create table dates as select 'shop' as dataset, date '{first}' + day::integer as record_date from range({days}) t (day)"
        )
        connection.execute(
            "create table covered as select 'shop' as dataset, record_date, record_date + interval 1 day as known_until from dates"
        )
        macros = project(connection)
        macros["var"] = lambda name: {"unusual": settings}[name]
        query = macros["unusual"]("measures", "dates", "covered")
        found = connection.execute(f"select measure, period, period_start from ({query}) where is_alert order by all")
        return [Alert(*row) for row in found.fetchall()]


def days_of(alert: Alert) -> set[date]:
    """Return the days that an alert is about."""
    return {alert.start.date() + timedelta(days=more) for more in range(7 if alert.period == "week" else 1)}


def main() -> None:
    """Judge shops of several sizes, and print what is found of each kind of incident, and how often there is a false alarm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shops", type=int, default=10, help="shops of each size")
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument(
        "--shape",
        choices=SHAPES,
        default="usual",
        help="holidays are not named to the judgement: each is a false alarm",
    )
    parser.add_argument(
        "--age", type=int, help="days of history before the only incident of a shop; each kind has shops of its own"
    )
    parser.add_argument("--quiet", action="store_true", help="no incidents")
    parser.add_argument("--seed", type=int, default=0, help="of the first shop")
    parser.add_argument(
        "--sizes", type=float, nargs="+", default=[0.05, 0.3, 1, 5], help="1 has 25,000 events and 200 orders a day"
    )
    arguments = parser.parse_args()
    settings = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]["unusual"]
    for size in arguments.sizes:
        kinds, days = INCIDENTS, arguments.days
        shape, seeds = SHAPES[arguments.shape], range(arguments.seed, arguments.seed + arguments.shops)
        if arguments.age:
            days = arguments.age + _YOUNG_DAYS
            shops = [
                # other numbers for each incident: with a week of history, one draw says little
                make_shop(
                    seed * len(kinds) + place, size, days, shape, (kind,), range(arguments.age, arguments.age + 1)
                )
                for seed in seeds
                for place, kind in enumerate(kinds)
            ]
        else:
            shops = [make_shop(seed, size, days, shape, () if arguments.quiet else kinds) for seed in seeds]
        report(size, shops, days, settings)


def report(size: float, shops: Sequence[Shop], days: int, settings: Mapping[str, Any]) -> None:
    """Judge shops of one size, and print what is found, and how often there is a false alarm."""
    planted, found, alarms, false, quiet = Counter[str](), Counter[str](), 0, 0, 0
    for shop in shops:
        alerts = judge(shop.rows, FIRST, days, settings)
        told = {day for alert in alerts for day in days_of(alert)}
        planted.update(list(shop.incidents))
        found.update(name for name, when in shop.incidents.items() if when & told)
        broken = {day for when in shop.incidents.values() for day in when if day < FIRST + timedelta(days=days)}
        wrong = {alert.start.date() for alert in alerts if not days_of(alert) & broken}
        # nothing is judged in the first week
        alarms, false, quiet = alarms + len(told & broken), false + len(wrong), quiet + days - 7 - len(broken)
    total = planted.total()
    print(
        f"size {size:g}: {found.total()} of {total} incidents found (recall {found.total() / max(total, 1):.2f}), "
        f"precision {alarms / max(alarms + false, 1):.2f} by days, a false alarm on {false} of {quiet} days"
    )
    for name in planted:
        print(f"  {found[name]:>3} of {planted[name]}  {name}")


if __name__ == "__main__":
    main()
