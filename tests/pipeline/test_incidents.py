"""Incidents in landed data, each by itself: the watchdog tells the right one first, in time, with the numbers that were planted.

Three ordinary weeks are landed and built; each test goes on from there with one day, or a morning, in which one thing is wrong.
"""

import itertools
import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median

import psycopg
import pytest

from demo.postgres import make_tables
from ingestion import sources
from ingestion.home import Home
from ingestion.land import silent
from ingestion.window import Window
from operations import alerts, watch
from operations.clocks import Clock
from tests.pipeline.copies import copied, database
from tests.unit.operations.test_alerts import Inbox
from warehouse import state
from warehouse.build import Request, build

FIRST = datetime(2026, 9, 7, tzinfo=UTC)  # a Monday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DAYS = 21
FAULT = FIRST + DAYS * DAY
# The watchdog compares hours with those of the same weekday, so these landed by the hour.
MONDAYS, MORNING = (7, 14), range(7, 10)


@dataclass
class Clicks:
    """Write hours of clicks, and count what was written, by day."""

    landing: Path
    share: float = 1.0
    buys: float = 0.7
    twice: float = 0.06
    records: Counter[tuple[int, int]] = field(default_factory=Counter)
    repeated: Counter[int] = field(default_factory=Counter)
    checkouts: Counter[int] = field(default_factory=Counter)
    purchases: Counter[int] = field(default_factory=Counter)

    def write(self, day: int, hour: int) -> None:
        pick, start, lines = random.Random(day * 24 + hour), FIRST + day * DAY + hour * HOUR, []
        for visit in range(round((25 + pick.randint(-2, 2)) * self.share)):
            steps = ["page_view", "page_view"]
            if pick.random() < 0.5:
                is_bought = pick.random() < self.buys
                steps += ["add_to_cart", "checkout", *(["purchase"] if is_bought else [])]
                self.checkouts[day] += 1
                self.purchases[day] += is_bought
            for number, step in enumerate(steps):
                body = {
                    "event_id": f"{day}-{hour}-{visit}-{number}",
                    "event_type": step,
                    "event_time": (start + timedelta(minutes=visit, seconds=number)).isoformat(),
                    "visitor_id": f"v{day}-{hour}-{visit}",
                }
                times = 2 if pick.random() < self.twice else 1
                lines += [json.dumps(body | {"properties": {}})] * times
                self.repeated[day] += times - 1
        self.records[day, hour] = len(lines)
        folder = self.landing / f"{start:%Y-%m-%d}" / f"{hour:02}"
        folder.mkdir(parents=True)
        (file := folder / "part.jsonl").write_text("\n".join(lines) + "\n")
        os.utime(file, (start.timestamp(), start.timestamp()))

    def of_day(self, day: int) -> int:
        return sum(records for (of, _), records in self.records.items() if of == day)

    def repeated_share(self, day: int) -> float:
        return self.repeated[day] / self.of_day(day)

    def bought_share(self, day: int) -> float:
        return self.purchases[day] / self.checkouts[day]

    def of_morning(self, day: int) -> int:
        return sum(self.records[day, hour] for hour in MORNING)


def land(source: str, home: Home, start: datetime, end: datetime) -> None:
    sources.ingest(source, Window(start, end), home, end + timedelta(minutes=5))


def by_the_hour(day: int) -> list[tuple[datetime, datetime]]:
    """Return the windows of a day whose morning lands by the hour."""
    start = FIRST + day * DAY
    edges = [0, *MORNING, MORNING.stop, 24]
    return [(start + one * HOUR, start + other * HOUR) for one, other in itertools.pairwise(edges)]


ROWS = f"""
    insert into shop.products values ('p1', 'Pen', 'pens', 5, 'USD', 9, '{FIRST.isoformat()}');
    insert into shop.orders
    select 'o' || n, null, 'paid', 'USD', 'card', 'DE', 5 + n * 7919 % 4000 / 100.0, at, at
    from (select n, timestamptz '{FIRST.isoformat()}' + interval '1 hour' * (n / 10) + interval '10 minutes' as at from generate_series(0, {(DAYS + 1) * 240 - 1}) as n) as one;
    insert into shop.order_items select order_id, 1, 'p1', 1, total_amount, 0, updated_at from shop.orders
"""


@pytest.fixture(scope="module")
def weeks(shop: Home) -> tuple[Home, Clicks]:
    """Return a home with three ordinary weeks of clicks and ten orders an hour, and what was written of the clicks."""
    home = replace(shop, shop_url=database(shop, "copy"))
    with psycopg.connect(home.database_url(), autocommit=True) as connection:
        make_tables(connection)
        connection.execute(ROWS)
    clicks = Clicks(home.landing)
    for day in range(DAYS):
        for hour in range(24):
            clicks.write(day, hour)
        for start, end in by_the_hour(day) if day in MONDAYS else [(FIRST + day * DAY, FIRST + (day + 1) * DAY)]:
            land("clickstream", home, start, end)
    edges = [FIRST, *(start for day in MONDAYS for start, _ in by_the_hour(day)[1:]), FAULT]
    for start, end in itertools.pairwise(edges):
        land("orders", home, start, end)
    build(home, Request(), FAULT + timedelta(minutes=10))
    return home, clicks


@pytest.fixture
def home(weeks: tuple[Home, Clicks], tmp_path: Path) -> Iterator[Home]:
    """Return a copy of the home after three weeks, for one test."""
    before, _ = weeks
    (tmp_path / "landing").mkdir()
    return replace(copied(before, tmp_path / "home"), landing=tmp_path / "landing")


def passes(home: Home, start: datetime) -> tuple[list[str], Sequence[alerts.Group]]:
    """Do an hour of passes; return the titles that were sent, and what is open in the end."""
    box, groups = Inbox(), ()
    for number in range(0, 60, 5):
        at = start + timedelta(minutes=number)
        groups = watch.watch(home, Clock(at, (at - FIRST).total_seconds(), "boot"), [box], silent, lambda: "").groups
    return box.titles(), groups


def go_on(home: Home, clicks: Clicks, until: datetime) -> datetime:
    """Land what comes after the three weeks and build; return the time of the build."""
    hours = round((until - FAULT) / HOUR)
    for hour in range(hours):
        clicks.write(DAYS, hour)
    windows = by_the_hour(DAYS) if hours == 24 else by_the_hour(DAYS)[:4]
    for start, end in windows:
        for source in ("clickstream", "orders"):
            land(source, home, start, end)
    at = until + timedelta(minutes=10)
    build(home, Request(), at)
    return at


def shown(groups: Sequence[alerts.Group], name: str) -> tuple[float, float]:
    """Return the value and what is usual, as an alert says them of a number."""
    (row,) = [
        row for group in groups for row in group.entry.alert.rows if row.startswith(f"{name}:day:{FAULT:%Y-%m-%d}: ")
    ]
    found = re.search(r": ([\d.]+), usually ([\d.]+)$", row)
    assert found
    return float(found[1]), float(found[2])


def test_three_ordinary_weeks_raise_nothing(weeks: tuple[Home, Clicks]) -> None:
    home, _ = weeks
    assert passes(home, FAULT + timedelta(minutes=10)) == ([], ())
    assert state.read(home.published, "ops.anomalies", "from ops.anomalies where is_alert") == []
    # all days have numbers, and those from the second week on were judged
    judged = state.read(
        home.published,
        "ops.measures",
        "select count(distinct period_start) as n from ops.measures where period = 'day'",
    )
    assert judged[0]["n"] == DAYS


def test_twice_as_many_duplicates(weeks: tuple[Home, Clicks], home: Home) -> None:
    _, usual = weeks
    clicks = Clicks(home.landing, twice=0.12)
    titles, groups = passes(home, go_on(home, clicks, FAULT + DAY))
    assert titles == ["alert: unusual: clickstream"]
    expected = median(usual.repeated_share(day) for day in range(DAYS))
    assert shown(groups, "records.clickstream:duplicate_share") == pytest.approx(
        (clicks.repeated_share(DAYS), expected), abs=2e-6
    )


def test_one_step_of_the_funnel_breaks(weeks: tuple[Home, Clicks], home: Home) -> None:
    _, usual = weeks
    clicks = Clicks(home.landing, buys=0.29)
    titles, groups = passes(home, go_on(home, clicks, FAULT + DAY))
    assert titles == ["alert: unusual: clickstream"]
    expected = median(usual.bought_share(day) for day in range(DAYS))
    found = shown(groups, "gold.daily_funnel:purchase_per_checkout_sessions")
    assert found == pytest.approx((clicks.bought_share(DAYS), expected), abs=2e-6)


@pytest.mark.long
def test_half_of_the_clicks_are_missing(weeks: tuple[Home, Clicks], home: Home) -> None:
    _, usual = weeks
    clicks = Clicks(home.landing, share=0.45)
    titles, groups = passes(home, go_on(home, clicks, FAULT + MORNING.stop * HOUR))
    assert titles == ["alert: few records: clickstream"]
    expected = median(usual.of_morning(day) for day in MONDAYS)
    assert (
        f"has {clicks.of_morning(DAYS)} records from 2026-09-28 07:00 to 2026-09-28 10:00" in groups[0].entry.alert.what
    )
    assert f"where {expected:,.0f} are usual" in groups[0].entry.alert.what


def test_landings_of_orders_succeed_with_nothing(shop: Home, home: Home) -> None:
    home = replace(home, shop_url=database(shop, "silent", "copy"))
    with psycopg.connect(home.database_url(), autocommit=True) as connection:
        connection.execute("delete from shop.order_items where updated_at >= %s", [FAULT + MORNING.start * HOUR])
        connection.execute("delete from shop.orders where updated_at >= %s", [FAULT + MORNING.start * HOUR])
    titles, groups = passes(home, go_on(home, Clicks(home.landing), FAULT + MORNING.stop * HOUR))
    assert titles == ["alert: empty: orders"]
    (group,) = groups
    # the first of the empty hours has the rows of the hour before again
    what = "orders has no records from 2026-09-28 08:00 to 2026-09-28 10:00 UTC, where 40 are usual"
    assert what in group.entry.alert.what
    assert "empty:order_items" in {one.key for one in group.implied}


@pytest.mark.long
def test_amounts_are_off_by_one_percent(shop: Home, home: Home) -> None:
    """The copy that is read has other amounts than the primary. The clicks of the day are as ever."""
    home = replace(home, shop_url=database(shop, "dear", "copy"), primary_url=home.shop_url)
    with psycopg.connect(home.database_url(), autocommit=True) as connection:
        connection.execute("update shop.order_items set unit_price = unit_price * 1.01 where updated_at >= %s", [FAULT])
    at = go_on(home, Clicks(home.landing), FAULT + DAY)
    assert passes(home, at) == ([], ()), "nothing has counted the source yet"
    sources.sweep("orders", Window(FAULT, FAULT + DAY), home, at + HOUR)
    build(home, Request(), at + HOUR)
    titles, groups = passes(home, at + HOUR)
    assert titles == ["alert: incomplete: order_items"]
    assert all(one.kind == "finding" for group in groups for one in group.implied)
    expected = sum(Decimal(5) + Decimal(n * 7919 % 4000) / 100 for n in range(DAYS * 240, (DAYS + 1) * 240))
    (found,) = state.read(home.published, "ops.differences", "from ops.differences where is_alert")
    assert (found["dataset"], found["source_amount"]) == ("order_items", expected)
    assert found["landed_amount"] == expected * Decimal("1.01")
