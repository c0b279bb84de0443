"""The watchdog over a simulated pipeline: each fault raises its own alert first and in time, and a month without faults none."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import duckdb
import pytest

from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from operations import alerts, notify, runs, watch
from operations.clocks import Clock, Seen, remember
from operations.clocks import read as read_seen
from operations.watch import Disk, Facts, Landed, Published
from tests.unit.operations.receivers import web
from tests.unit.operations.test_alerts import Inbox
from warehouse.service_levels import Counted, Measures, Progress, Refusals

CONTRACTS = read_contracts()
SOURCES = ("orders", "clickstream", "exchange_rates")
ENDS: Mapping[str, datetime | None] = dict.fromkeys(SOURCES)
DATASETS = {name: one for name, one in CONTRACTS.items() if one.source in SOURCES}
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# a Friday in the middle of an ordinary month
START = datetime(2026, 9, 1, tzinfo=UTC)
FAULT = datetime(2026, 10, 16, 9, 40, tzinfo=UTC)
PASS = 5 * MINUTE
SIZES = {"orders": 90, "order_items": 240, "customers": 30, "products": 5, "clickstream": 4000, "exchange_rates": 30}


@dataclass(frozen=True)
class Shop:
    """How many records a shop has: its size, the share of each weekday from Monday on, its growth a day, and its noise."""

    size: float = 1.0
    weekdays: tuple[float, ...] = (1, 1, 1, 1, 1, 1, 0.6)
    growth: float = 0.003
    seed: str = ""


# The demo's rhythm; one for businesses, with hardly anybody at the weekend; and a small one that sells at the weekend and shrinks.
SHOPS = {
    "demo": Shop(),
    "for businesses": Shop(6, (1.1, 1.2, 1.2, 1.1, 0.9, 0.05, 0.05), 0.006, "b"),
    "of the weekend": Shop(0.3, (0.5, 0.4, 0.4, 0.5, 1.0, 1.6, 1.8), -0.002, "w"),
}


@cache
def usual(shop: Shop, dataset: str, start: datetime) -> int:
    """Records of a window: busy by day, quiet by night, by weekday, growing, and with noise of a fifth."""
    day = 0.1 + max(0.0, 1 - abs(start.hour - 15) / 9) if DATASETS[dataset].cadence == HOUR else 1.0
    growth = 1 + (start - START) / DAY * shop.growth
    noise = 0.9 + int(hashlib.sha256(f"{shop.seed}{dataset}{start}".encode()).hexdigest()[:4], 16) / 0xFFFF * 0.2
    return round(SIZES[dataset] * shop.size * day * shop.weekdays[start.weekday()] * growth * noise)


@dataclass
class World:
    """A pipeline: windows land two minutes after their end and are published eight minutes later, until something breaks."""

    builds: Callable[[datetime], bool] = lambda at: True
    lands: Callable[[str, datetime], bool] = lambda source, at: True
    share: Callable[[str, datetime], float] = lambda dataset, start: 1.0
    disk: Callable[[datetime], Disk] = lambda at: Disk(10**12, 10**6)
    wrong: Callable[[datetime], datetime] = lambda at: at
    # What the sweep of the night, and the build after a day, find about the day on which the fault is.
    differs: str = ""
    odd: tuple[str, str] = ("", "")
    shop: Shop = SHOPS["demo"]
    # What landed in each window, and what the last build was told of: they are the same in every pass.
    windows: dict[tuple[str, datetime], Landed | None] = field(default_factory=dict, init=False)
    last: tuple[datetime, Published] | None = field(default=None, init=False)
    # The windows of each dataset that it was told of, newest first, and where the first of them ends.
    listed: dict[str, tuple[datetime, list[Landed | None]]] = field(default_factory=dict, init=False)

    def facts(self, at: datetime) -> Facts:
        """What a pass sees at a time; `at` is right, whatever the clock says."""
        built = next(one for n in range(10000) if (one := self._slot(at) - n * HOUR) <= at and self.builds(one))
        if not self.last or self.last[0] != built:
            self.last = built, self._published(built)
        clock = Clock(self.wrong(at), (at - START).total_seconds(), "boot")
        return Facts(clock, self.disk(at), self.last[1], published_bytes=10**8)

    def _published(self, built: datetime) -> Published:
        windows: dict[str, tuple[Landed, ...]] = {}
        progress = {}
        for dataset, contract in DATASETS.items():
            length = contract.cadence
            end = (built - 8 * MINUTE).replace(hour=built.hour if length == HOUR else 0, minute=0)
            while end + 2 * MINUTE > built - 7 * MINUTE:
                end -= length
            broken = [one for n in range(60) if not self.lands(contract.source, one := end - n * length)]
            until = min([one - length for one in broken], default=end)
            windows[dataset] = tuple(filter(None, self._listed(dataset, end)))
            progress[dataset] = Progress(dataset, until, START)
        published = Published("build-1", built, Measures(progress, {}, {}), windows, newest_landing=built - 8 * MINUTE)
        if built.date() > FAULT.date():
            name, measure = self.odd
            row = {"dataset": name, "anomaly": f"{measure}:day:{FAULT:%Y-%m-%d}", "value": 0.04, "expected": 0.02}
            published = replace(
                published,
                unreconciled={self.differs: (FAULT.date(),)} if self.differs else {},
                unusual=(row,) if name else (),
            )
        return published

    def _listed(self, dataset: str, end: datetime) -> list[Landed | None]:
        """What landed in each window of the 29 days before a time, newest first: the list of the build before, and what is new."""
        length, (until, before) = DATASETS[dataset].cadence, self.listed.get(dataset, (end - 29 * DAY, []))
        if end < until:
            until, before = end - 29 * DAY, []
        new = [self._landed(dataset, end - (n + 1) * length) for n in range(round((end - until) / length))]
        self.listed[dataset] = end, [*new, *before][: round(29 * DAY / length)]
        return self.listed[dataset][1]

    def _landed(self, dataset: str, start: datetime) -> Landed | None:
        """What landed in a window, if it did."""
        if (dataset, start) not in self.windows:
            end = start + DATASETS[dataset].cadence
            records = round(usual(self.shop, dataset, start) * self.share(dataset, start))
            lands = self.lands(DATASETS[dataset].source, end)
            self.windows[dataset, start] = Landed(start, end, records) if lands else None
        return self.windows[dataset, start]

    @staticmethod
    def _slot(at: datetime) -> datetime:
        slot = at.replace(minute=10, second=0)
        return slot if slot <= at else slot - HOUR


def test_the_simulation_is_what_it_says() -> None:
    facts = World().facts(FAULT)
    assert facts.published and facts.published.built_at == datetime(2026, 10, 16, 9, 10, tzinfo=UTC)
    assert facts.published.measures.progress["orders"].complete_until == datetime(2026, 10, 16, 9, tzinfo=UTC)
    assert facts.published.measures.progress["exchange_rates"].complete_until == datetime(2026, 10, 16, tzinfo=UTC)


@pytest.mark.parametrize("shop", SHOPS)
def test_a_month_without_faults_raises_nothing(shop: str) -> None:
    """Weekends, nights, growth and noise are no fault. Passes every 20 minutes: the data changes once an hour."""
    world, seen = World(shop=SHOPS[shop]), None
    for hour in range(31 * 24):
        facts = world.facts(FAULT + hour * HOUR)
        for minutes in (0, 20, 40):
            at = FAULT + hour * HOUR + minutes * MINUTE
            facts = replace(facts, clock=Clock(at, (at - START).total_seconds(), "boot"))
            assert watch.judge(facts, CONTRACTS, ENDS, seen) == [], at
            seen = remember(facts.clock, seen)


def after(when: datetime) -> bool:
    return when > FAULT


def source_down(source: str, end: datetime) -> bool:
    return not (source == "orders" and after(end))


LIMIT = 3 * HOUR + HOUR  # of a window that ends within an hour after the fault
FAULTS = {
    "scheduler dead": (World(builds=lambda at: not after(at)), "no_build", LIMIT, "stale"),
    "build paused": (World(builds=lambda at: not after(at)), "no_build", LIMIT, "stale"),
    "source down or its DAG paused": (World(lands=source_down), "stale:orders", LIMIT + 10 * MINUTE, ""),
    "every source down": (
        World(lands=lambda _, end: not after(end), builds=lambda at: not after(at)),
        "no_build",
        LIMIT,
        "stale",
    ),
    "empty success": (
        World(share=lambda name, start: 0.0 if name == "clickstream" and after(start) else 1.0),
        "empty:clickstream",
        LIMIT,
        "",
    ),
    "half the data": (
        World(share=lambda name, start: 0.45 if name == "clickstream" and after(start) else 1.0),
        "few_records:clickstream",
        LIMIT + HOUR,
        "",
    ),
    "disk full": (
        World(disk=lambda at: Disk(10**6 if after(at) else 10**12, 10**6), builds=lambda at: not after(at)),
        "disk",
        2 * PASS,
        "no_build",
    ),
    "amounts off by 1 %": (World(differs="orders"), "incomplete:orders", DAY, ""),
    "duplicates doubled": (World(odd=("clickstream", "records:duplicate_share")), "unusual:clickstream", DAY, ""),
    "one funnel step broken": (
        World(odd=("clickstream", "gold.daily_funnel:purchase_per_checkout_sessions")),
        "unusual:clickstream",
        DAY,
        "",
    ),
    "no more files": (World(disk=lambda at: Disk(10**12, 3 if after(at) else 10**6)), "disk", 2 * PASS, ""),
    "disk read-only": (
        World(disk=lambda at: Disk(10**12, 10**6, is_read_only=after(at)), builds=lambda at: not after(at)),
        "disk",
        2 * PASS,
        "no_build",
    ),
    "clock stands still": (World(wrong=lambda at: min(at, FAULT)), "clock", 3 * PASS, ""),
    "clock jumps back": (World(wrong=lambda at: at - 5 * HOUR if after(at) else at), "clock", 2 * PASS, ""),
    "clock jumps forward": (World(wrong=lambda at: at + 9 * HOUR if after(at) else at), "clock", 2 * PASS, "stale"),
}


@pytest.mark.parametrize(("name", "shop"), [(name, shop) for name in FAULTS for shop in SHOPS])
def test_each_fault_raises_its_own_alert_first_and_within_its_limit(name: str, shop: str, tmp_path: Path) -> None:
    """That more duplicates and a broken step are found unusual is shown in tests/unit/macros/test_unusual.py."""
    world, first, limit, implied = FAULTS[name]
    world = replace(world, shop=SHOPS[shop])
    home, box, seen = Home(tmp_path, tmp_path), Inbox(), None
    told: list[tuple[datetime, str]] = []
    groups: list[alerts.Group] = []
    at = FAULT - HOUR
    while at < FAULT + max(limit, LIMIT) + HOUR:
        facts = world.facts(at)
        found = watch.judge(facts, CONTRACTS, ENDS, seen)
        seen = remember(facts.clock, seen)
        outcome = alerts.update(home, facts.clock.now, found, lambda one, f=facts: watch.is_judged(f, one), [box])
        groups += outcome.groups
        told += [(at, title) for title in box.titles()[len(told) :]]
        at += PASS
    assert told, "nothing was told"
    when, title = told[0]
    assert title == "alert: " + first.replace("_", " ").replace(":", ": ")
    assert FAULT < when <= FAULT + limit
    if implied:
        assert any(one.kind == implied for group in groups if group.entry.alert.key == first for one in group.implied)
        assert not [one for _, one in told if one.startswith(f"alert: {implied.replace('_', ' ')}")]


def test_an_alert_endpoint_that_is_down_in_a_month_without_faults_is_told_by_the_weekly_test(tmp_path: Path) -> None:
    home, world = Home(tmp_path, tmp_path), World()
    up, down = Inbox("a", "endpoint 1 (test)"), Inbox("b", "endpoint 2 (test)")
    told: list[tuple[datetime, str]] = []
    for hour in range(0, 6 * 24, 3):
        at = FAULT + hour * HOUR
        down.is_down = at < FAULT + 5 * DAY
        facts = world.facts(at)
        found = watch.judge(facts, CONTRACTS, ENDS)
        outcome = alerts.update(home, at, found, lambda one, f=facts: watch.is_judged(f, one), [up, down])
        if at.weekday() == 0 and at.hour == 9:
            outcome = alerts.tested(home, at, {down.id: "it does not answer"} if down.is_down else {}, [up, down])
        told += [(at, title) for title in up.titles()[len(told) :]]
    assert [title for _, title in told if "still open" not in title] == [
        "alert: endpoint: endpoint 2 (test)",
        "over: endpoint: endpoint 2 (test)",
    ]
    assert told[0][0] - FAULT < 7 * DAY and told[-1][0] == FAULT + 5 * DAY
    assert not outcome.groups


def test_a_source_that_airflow_said_is_down_is_not_told_again_as_stale(tmp_path: Path) -> None:
    home, box, world = Home(tmp_path, tmp_path), Inbox(), World(lands=source_down)
    task = ("ingest_orders", "ingest")
    runs.failed(home, FAULT + 25 * MINUTE, task, "shop-team", "r1", ConnectionError("down"), [box], print)
    for minutes in range(30, 8 * 60, 10):
        facts = world.facts(FAULT + minutes * MINUTE)
        found = watch.judge(facts, CONTRACTS, ENDS)
        outcome = alerts.update(home, facts.clock.now, found, lambda one, f=facts: watch.is_judged(f, one), [box])
    assert box.titles() == ["alert: task failed: ingest_orders.ingest"]
    assert [one.key for one in outcome.groups[0].implied] == ["stale:orders"]


def test_numbers_that_are_unusual_after_few_records_are_told_a_day_later_and_those_of_another_day_at_once(
    tmp_path: Path,
) -> None:
    """A day is judged once it is over: its numbers are found unusual when there are enough records again."""
    home, box = Home(tmp_path, tmp_path), Inbox()
    back = FAULT + 6 * HOUR
    world = World(share=lambda name, start: 0.4 if name == "clickstream" and FAULT < start < back else 1.0)
    day, later = "silver.clickstream:page_view_events:day:2026-10-16", "gold.daily_funnel:rate:day:2026-10-19"
    known = {day: datetime(2026, 10, 17, 0, 10, tzinfo=UTC), later: datetime(2026, 10, 20, 0, 10, tzinfo=UTC)}
    known |= {"gold.daily_funnel:rate:week:2026-10-11": known[day]}
    told: list[tuple[datetime, str]] = []
    opened: dict[str, list[alerts.Group]] = {}
    for number in range(5 * 24 * 2):
        at = FAULT + number * 30 * MINUTE
        facts = world.facts(at)
        assert facts.published
        rows = tuple(
            {"dataset": "clickstream", "anomaly": name, "value": 4, "expected": 9}
            for name, since in known.items()
            if at >= since
        )
        facts = replace(facts, published=replace(facts.published, unusual=rows))
        found = watch.judge(facts, CONTRACTS, ENDS)
        outcome = alerts.update(home, at, found, lambda one, f=facts: watch.is_judged(f, one), [box])
        opened[f"{at:%m-%d %H}"] = list(outcome.groups)
        told += [(at, title) for title in box.titles()[len(told) :]]
    assert [title for _, title in told] == [
        "alert: few records: clickstream",
        "over: few records: clickstream",
        *["still open: unusual: clickstream"] * 4,
    ]
    # it is listed as open from the first minute, with what explains it
    (group,) = opened["10-17 01"]
    assert group.entry.alert.key == "unusual:clickstream" and group.follows
    assert group.follows.alert.key == "few_records:clickstream"
    assert timedelta(hours=24) <= told[2][0] - known[day] <= timedelta(hours=25)
    assert "Explained by an alert that is over since 2026-10-16" in box.got[2].body
    # once a number of another day is unusual, it is not explained any more
    assert later in box.got[-1].body and "Explained by" not in box.got[-1].body


def test_numbers_of_other_days_than_those_with_few_records_are_told_at_once(tmp_path: Path) -> None:
    home, box, world = Home(tmp_path, tmp_path), Inbox(), World()
    few = alerts.Alert("few_records", "few", "x", "y", "clickstream")
    alerts.update(home, FAULT, [few], lambda _: True, [box])
    alerts.update(home, FAULT + HOUR, [], lambda _: True, [box])
    row = {"dataset": "clickstream", "anomaly": "gold.t:rate:day:2026-10-18", "value": 4, "expected": 9}
    for days in (3, 9):
        facts = world.facts(FAULT + days * DAY)
        assert facts.published
        found = watch.judge(replace(facts, published=replace(facts.published, unusual=(row,))), CONTRACTS, ENDS)
        alerts.update(home, FAULT + days * DAY, found, lambda _: True, [box])
        assert box.titles()[2] == "alert: unusual: clickstream"
    # by then, no number of its days can be listed any more
    assert set(json.loads(alerts.path(home).read_text())) == {"unusual:clickstream"}


def test_everything_is_over_once_and_only_when_it_is_right_again(tmp_path: Path) -> None:
    back = FAULT + 9 * HOUR
    home, box = Home(tmp_path, tmp_path), Inbox()
    world = World(builds=lambda at: not FAULT < at < back)
    for minutes in range(0, 12 * 60, 10):
        facts = world.facts(FAULT + minutes * MINUTE)
        found = watch.judge(facts, CONTRACTS, ENDS)
        alerts.update(home, facts.clock.now, found, lambda one, f=facts: watch.is_judged(f, one), [box])
    assert box.titles() == ["alert: no build", "over: no build"]


WELL = World().facts(FAULT)


def keys(facts: Facts) -> list[str]:
    return [one.key for one in watch.judge(facts, CONTRACTS, ENDS)]


def published(**changes: object) -> Facts:
    assert WELL.published
    return replace(WELL, published=replace(WELL.published, **changes))  # type: ignore[arg-type]


def measured(**changes: object) -> Facts:
    assert WELL.published
    return published(measures=replace(WELL.published.measures, **changes))  # type: ignore[arg-type]


def test_what_the_tables_say_is_told() -> None:
    held = {"dataset": "clickstream", "batch_id": "b1", "cause": "breaker", "refused_records": 5, "records": 9}
    held |= {"window_start": FAULT, "window_end": FAULT + HOUR}
    day = date(2026, 10, 15)
    refused = {"clickstream": tuple(Refusals("clickstream", day - n * DAY, 9000, 200) for n in range(5))}
    assert keys(WELL) == []
    assert keys(published(held=(held,))) == ["held:clickstream"]
    assert keys(published(unreconciled={"orders": (day,)})) == ["incomplete:orders"]
    assert keys(measured(counted={"orders": Counted("orders", 10_000, 500)})) == ["incomplete:orders"]
    assert keys(measured(refusals=refused)) == ["error_budget:clickstream"]
    assert keys(replace(WELL, pinned="build b, since yesterday: a bad price")) == ["pinned"]
    assert keys(replace(WELL, published=None, problem="it is damaged")) == ["unreadable"]
    assert keys(replace(WELL, published=None)) == ["unpublished"]
    assert keys(published(newest_landing=FAULT + HOUR)) == ["clock"]
    assert keys(replace(WELL, disk=None)) == []


def test_unusual_numbers_are_told_once_per_dataset_and_not_as_a_finding() -> None:
    unusual = [
        {"dataset": "orders", "anomaly": f"gold.t:rate:day:2026-10-{day}", "value": 0.29, "expected": 0.7}
        for day in range(10, 25)
    ]
    finding = {"check_name": "numbers_are_unusual_ops_anomalies_", "failed_rows": 15, "consequence": "alert"}
    (found,) = watch.judge(published(unusual=tuple(unusual), findings=(finding,)), CONTRACTS, ENDS)
    assert found.key == "unusual:orders" and found.owner == CONTRACTS["orders"].owner and "15 numbers" in found.what
    assert found.rows[0] == "gold.t:rate:day:2026-10-10: 0.29, usually 0.7" and len(found.rows) == 10


def test_rows_of_findings_are_in_no_message() -> None:
    finding = {"check_name": "is_odd", "failed_rows": 3, "consequence": "alert", "examples": "jo@example.com"}
    (found,) = watch.judge(published(findings=(finding,)), CONTRACTS, ENDS)
    assert found.key == "finding:is_odd" and "3 rows" in found.what and "jo@" not in str(found)
    assert found.todo == "clearwell builds show build-1"


@pytest.mark.parametrize(
    ("kind", "about", "is_gone"),
    [
        ("task_failed", "ingest_forms.ingest", True),
        ("deadline", "ingest_forms", True),
        ("task_failed", "sweep_sources.sweep_forms", True),
        ("task_failed", "check_sources.check_forms", True),
        ("task_failed", "ingest_orders.ingest", False),
        ("deadline", "ingest_orders", False),
        ("deadline", "sweep_sources", False),
        ("task_failed", "sweep_sources.sweep_orders", False),
        ("task_failed", "sweep_sources.recount_ledger", False),
        ("task_failed", "build_warehouse.publish", False),
        ("task_failed", "decide.carry_out", False),
    ],
)
def test_what_failed_of_a_source_that_is_gone_is_over(home: Home, kind: str, about: str, is_gone: bool) -> None:
    """No run can succeed any more, and a reminder a day would come for ever."""
    one = alerts.Alert(kind, "it failed", "clearwell status", "shop-team", about)
    assert watch.is_gone(one, ENDS) is is_gone
    box = Inbox()
    alerts.update(home, FAULT - HOUR, [one], lambda _: False, [box])
    watch.watch(home, clock(), [box], print, lambda: "")
    still_open = {found.key for group in alerts.read(home) for found in (group.entry.alert, *group.implied)}
    assert (one.key in still_open) is not is_gone


def test_a_file_that_cannot_be_read_closes_nothing_that_needs_it() -> None:
    unread = replace(WELL, published=None, problem="it is damaged")
    for kind in alerts.KINDS:
        one = alerts.Alert(kind, "x", "y", "z")
        assert watch.is_judged(WELL, one) is (kind not in ("task_failed", "deadline", "endpoint", "ping"))
        assert watch.is_judged(unread, one) is (kind in watch.WITHOUT_DATA)


def test_sources_that_are_off_or_have_ended_are_never_late() -> None:
    long_ago = {
        name: Progress(name, datetime(2011, 12, 10, tzinfo=UTC), datetime(2011, 1, 1, tzinfo=UTC)) for name in DATASETS
    }
    facts = measured(progress=long_ago)
    assert keys(facts) == ["stale:clickstream", "stale:orders", "stale:exchange_rates"]
    over = dict.fromkeys(SOURCES, datetime(2011, 12, 10, tzinfo=UTC))
    assert watch.judge(facts, CONTRACTS, over) == [] and watch.judge(facts, CONTRACTS, {}) == []


@pytest.mark.parametrize(("days", "is_told"), [(8, True), (6, False)])
def test_a_new_dataset_is_compared_with_its_first_week(days: int, is_told: bool) -> None:
    until = FAULT.replace(minute=0)
    past = [Landed(until - (n + 1) * HOUR, until - n * HOUR, 50 if n >= 3 else 0) for n in range(days * 24)]
    contract = replace(CONTRACTS["orders"], expect_records_every=None)
    assert bool(watch.compare_volume(past, contract, until)) is is_told


def test_nights_of_a_small_shop_are_empty_and_no_fault() -> None:
    until = FAULT.replace(hour=4, minute=0)
    windows = [Landed(end - HOUR, end, 0 if end.hour < 7 else 300) for n in range(29 * 24) if (end := until - n * HOUR)]
    contract = replace(CONTRACTS["orders"], expect_records_every=None)
    assert watch.compare_volume(windows, contract, until) is None


@pytest.mark.parametrize(("empty", "is_told"), [(1, False), (2, True), (3, True)])
def test_the_first_window_of_an_outage_may_have_rows_that_were_read_again(empty: int, is_told: bool) -> None:
    """A small shop: few records are nothing, but two empty windows in a row are. When clocks change, one may be empty."""
    until = FAULT.replace(minute=0)
    past = [Landed(until - (n + 1) * HOUR, until - n * HOUR, 25 if n >= empty else 0) for n in range(29 * 24)]
    volume = watch.compare_volume(past, replace(CONTRACTS["orders"], expect_records_every=None), until)
    assert bool(volume) is is_told
    if volume:
        assert (volume.start, volume.records, volume.usual) == (until - empty * HOUR, 0, 25 * empty)


@pytest.mark.parametrize("cadence", [HOUR, DAY, 7 * DAY])
def test_nothing_for_months_does_not_become_usual(cadence: timedelta) -> None:
    contract = replace(CONTRACTS["exchange_rates"], cadence=cadence)
    start, before = datetime(2026, 8, 3, tzinfo=UTC), 42 * DAY // cadence
    for empty in (2, 30 * DAY // cadence, 70 * DAY // cadence):
        counts = [30] * before + [0] * empty
        windows = [Landed(start + n * cadence, start + (n + 1) * cadence, one) for n, one in enumerate(counts)]
        volume = watch.compare_volume(windows, contract, windows[-1].end)
        assert volume and (volume.start, volume.records, volume.usual) == (windows[before].start, 0, 30 * empty)
        again = Landed(windows[-1].end, windows[-1].end + cadence, 30)
        found = watch.compare_volume([*windows, again], contract, again.end)
        assert found is None or found.records


def test_windows_are_read_from_before_the_first_of_those_that_are_empty(home: Home) -> None:
    with duckdb.connect(str(home.published)) as connection:
        connection.execute(
            "insert into ops.batches (dataset, source, window_start, window_end, records_written) select 'orders', 'orders', "
            "day, day + interval 1 day, case when day < '2026-06-01' then 50 else 0 end "
            "from range(timestamp '2026-01-01', timestamp '2026-10-15', interval 1 day) t (day)"
        )
        connection.execute("delete from ops.batches where window_end > timestamp '2026-10-15'")
    facts = watch.observe(home, CONTRACTS, clock())
    assert facts.published
    assert facts.published.windows["orders"][0].start == datetime(2026, 5, 2, tzinfo=UTC)


def test_no_records_where_the_contract_expects_some_is_told_from_the_first_day() -> None:
    until = FAULT.replace(minute=0)
    windows = [Landed(until - (n + 1) * HOUR, until - n * HOUR, 0 if n < 24 else 5) for n in range(30)]
    volume = watch.compare_volume(windows, CONTRACTS["orders"], until)
    assert volume and volume.records == 0 and volume.end - volume.start == DAY


OPS = """
    create schema ops;
    create table ops.builds as select 'b1' as build_id, 1 as build_number, timestamp '2026-10-16 09:10' as audited_at;
    create table ops.completeness as
        select 'orders' as dataset, timestamp '2026-10-16 09:00' as complete_until, [date '2026-10-15'] as unreconciled_dates,
            0 as holes, 0 as short_windows, timestamp '2026-10-16 09:00' as latest_window_end;
    create table ops.anomalies as from (values
        ('orders', 'gold.t:rate:day:2026-10-15', 0.29, 0.7, -9.0, true, false, timestamp '2026-10-15'),
        ('orders', 'gold.t:rate:day:2026-10-14', 0.3, 0.7, -9.0, true, true, timestamp '2026-10-14'),
        ('orders', 'gold.t:rate:day:2026-10-13', 9.0, 0.7, 9.0, false, false, timestamp '2026-10-13'),
        ('orders', 'gold.t:rate:day:2026-10-01', 0.3, 0.7, -9.0, true, false, timestamp '2026-10-01')
    ) as t(dataset, anomaly, value, expected, score, is_alert, is_accepted, period_start);
    create table ops.batches as from (values
        ('orders', 'orders', timestamp '2026-10-16 08:00', timestamp '2026-10-16 09:00', 7, timestamp '2026-10-16 09:02'),
        ('orders', 'orders', timestamp '2026-10-16 08:00', timestamp '2026-10-16 09:00', 2, timestamp '2026-10-16 09:03')
    ) as t(dataset, source, window_start, window_end, records_written, landed_at);
    create table ops.ledger (dataset varchar, record_date date, fate varchar, records bigint);
    create table ops.reconciliation (dataset varchar, record_date date, source_records bigint, source_difference bigint);
    create table ops.differences (dataset varchar, event_date date, is_accepted boolean);
    create table ops.findings as from (values
        ('b1', 'is_odd', 'fail', 3, 'alert'), ('b1', 'is_fine', 'pass', 0, ''), ('b1', 'is_meant', 'fail', 1, 'accepted'),
        ('b0', 'was_odd', 'fail', 3, 'alert')
    ) as t(build_id, check_name, result, failed_rows, consequence);
    create table ops.held as from (values
        ('orders', 'h1', 'h1', timestamp '2026-10-16 07:00', timestamp '2026-10-16 08:00', 'breaker', 5, 9, true),
        ('orders', 'h2', 'h1', timestamp '2026-10-16 07:00', timestamp '2026-10-16 08:00', 'breaker', 5, 9, true)
    ) as t(dataset, batch_id, broken_batch_id, window_start, window_end, cause, refused_records, records, is_open);
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path, tmp_path)
    home.published.parent.mkdir()
    with duckdb.connect(str(home.published)) as connection:
        connection.execute(OPS)
    return home


def clock(at: datetime = FAULT) -> Clock:
    return Clock(at, (at - START).total_seconds(), "boot")


def test_the_published_file_is_observed(home: Home) -> None:
    facts = watch.observe(home, CONTRACTS, clock())
    assert facts.published and facts.disk and facts.published_bytes and not facts.problem
    assert facts.published.build_id == "b1" and facts.published.built_at == datetime(2026, 10, 16, 9, 10, tzinfo=UTC)
    end = datetime(2026, 10, 16, 9, tzinfo=UTC)
    assert facts.published.windows == {"orders": (Landed(end - HOUR, end, 7),)}
    assert [one["check_name"] for one in facts.published.findings] == ["is_odd"]
    assert [one["batch_id"] for one in facts.published.held] == ["h1"]
    assert [one["anomaly"] for one in facts.published.unusual] == ["gold.t:rate:day:2026-10-15"]
    assert facts.published.unreconciled == {"orders": (date(2026, 10, 15),)}


def damage(path: Path) -> None:
    path.write_bytes(b"x" * 20000)


def empty(path: Path) -> None:
    path.unlink()
    duckdb.connect(str(path)).close()


def of_another_version(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("alter table ops.builds drop column audited_at")


@pytest.mark.parametrize(
    ("harm", "kind"),
    [(damage, "unreadable"), (of_another_version, "unreadable"), (empty, "unpublished"), (Path.unlink, "unpublished")],
)
def test_a_published_file_that_cannot_be_read_is_an_alert_and_no_error(
    home: Home, harm: Callable[[Path], None], kind: str
) -> None:
    harm(home.published)
    box = Inbox()
    outcome = watch.watch(home, clock(), [box], print, lambda: "")
    assert [one.entry.alert.kind for one in outcome.groups] == [kind]
    assert box.titles() == [f"alert: {kind}"]


def test_a_file_that_is_replaced_meanwhile_is_read_whole(home: Home) -> None:
    """A publish renames a new file into place: a pass that has opened the old one reads that to its end."""
    with duckdb.connect(str(home.published), read_only=True) as reading:
        other = home.published.with_name(".next.duckdb")
        with duckdb.connect(str(other)) as connection:
            connection.execute(OPS.replace("'b1' as build_id", "'b2' as build_id"))
        other.replace(home.published)
        assert reading.execute("select build_id from ops.builds").fetchall() == [("b1",)]
    facts = watch.observe(home, CONTRACTS, clock())
    assert facts.published and facts.published.build_id == "b2"


def unreadable(*_: object) -> None:
    raise Permanent("the contract of orders is no YAML", where="orders.yml", todo="clearwell contracts check")


def unexpected(*_: object) -> None:
    raise KeyError("anna@example.com")


@pytest.mark.parametrize(
    ("part", "breaks", "says"),
    [
        ("read_contracts", unreadable, "the contract of orders is no YAML (orders.yml)"),
        ("source_ends", unreadable, "the contract of orders is no YAML (orders.yml)"),
        ("observe", unexpected, "an unexpected KeyError"),
        ("judge", unexpected, "an unexpected KeyError"),
    ],
)
def test_a_pass_that_can_see_nothing_is_told_and_what_was_open_stays(
    home: Home, monkeypatch: pytest.MonkeyPatch, part: str, breaks: Callable, says: str
) -> None:
    box, pings = Inbox(), []
    watch.watch(home, clock(), [box], print, lambda: "")
    before = {one.entry.alert.key for one in alerts.read(home)}
    with monkeypatch.context() as patch:
        patch.setattr(watch, part, breaks)
        for number in (1, 2):
            with pytest.raises((Permanent, KeyError)):
                watch.watch(home, clock(FAULT + number * PASS), [box], print, lambda: str(pings.append(1)))
    told = [one for one in box.got if "watchdog" in one.title]
    assert [one.title for one in told] == ["Clearwell alert: watchdog"] and says in told[0].body
    assert "anna" not in told[0].body and pings == []
    assert {one.entry.alert.key for one in alerts.read(home)} == {"watchdog", *before}
    watch.watch(home, clock(FAULT + 3 * PASS), [box], print, lambda: "")
    assert "over: watchdog" in box.titles() and {one.entry.alert.key for one in alerts.read(home)} == before


def test_a_dataset_that_has_never_been_published_is_told_once_it_should_have_been(home: Home) -> None:
    """Its DAG is paused from its first day on, or its source never answered: no table has a row about it."""
    with duckdb.connect(str(home.published)) as connection:
        connection.execute("update ops.builds set audited_at = '2026-10-16 23:59'")
        connection.execute("update ops.completeness set complete_until = '2026-10-17'")
    box = Inbox()
    late = [
        {group.entry.alert.about for group in found.groups if group.entry.alert.kind == "stale"}
        for hour in (0, 1, 3, 5)
        if (found := watch.watch(home, clock(FAULT + hour * HOUR), [box], print, lambda: ""))
    ]
    # clicks come hourly and are promised within three hours; the daily rates are not due yet
    assert late == [set(), set(), set(), {"clickstream", "orders"}]
    (told,) = [one for one in box.got if one.title == "Clearwell alert: stale: clickstream"]
    assert "clickstream: no window is complete; promised: published within 3 hours" in told.body
    (told,) = [one for one in box.got if one.title == "Clearwell alert: stale: orders"]
    assert "- orders:" not in told.body and "- customers: no window is complete" in told.body
    seen = read_seen(home)
    assert seen and seen.awaited == dict.fromkeys(DATASETS.keys() - {"orders"}, FAULT)
    # it comes at last, or nobody waits for it any more
    facts = watch.observe(home, CONTRACTS, clock(FAULT + 6 * HOUR))
    assert watch.awaited(facts, CONTRACTS, {"clickstream": FAULT, "exchange_rates": None}, seen) == {
        "exchange_rates": FAULT
    }
    assert watch.awaited(replace(facts, published=None), CONTRACTS, ENDS, seen) == seen.awaited


def test_the_switch_is_pinged_after_a_whole_pass_and_only_then(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    pings: list[int] = []

    def ping() -> str:
        pings.append(1)
        return ""

    watch.watch(home, clock(), [Inbox()], print, ping)
    assert pings == [1]
    # nobody can be told: the switch is the last that can
    watch.watch(home, clock(FAULT + PASS), [notify.Log(print), Inbox(id="b", is_down=True)], print, ping)
    assert pings == [1]

    def broken(*_: object) -> None:
        raise RuntimeError("a pass that ends early")

    monkeypatch.setattr(watch, "judge", broken)
    with pytest.raises(RuntimeError):
        watch.watch(home, clock(FAULT + 2 * PASS), [Inbox()], print, ping)
    assert pings == [1]


def test_a_switch_that_cannot_be_reached_is_an_alert_until_it_can(home: Home) -> None:
    box = Inbox()
    answers = iter(["it does not answer", "it does not answer", "", ""])
    outcomes = [watch.watch(home, clock(FAULT + n * PASS), [box], print, lambda: next(answers)) for n in range(4)]
    assert [one for one in box.titles() if "ping" in one] == ["alert: ping", "over: ping"]
    assert ["ping" in {g.entry.alert.kind for g in one.groups} for one in outcomes] == [True, True, False, False]


def test_no_part_of_an_address_is_in_any_file_or_message(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    secret = "s3cretT0kenThatNobodyMaySee"
    with web() as server:
        address = f"mmost://127.0.0.1:{server.port}/{secret} json://me:{secret}@127.0.0.1:9/{secret}"
        ping = {"CLEARWELL_WATCH_PING_URL": f"http://127.0.0.1:9/{secret}"}
        found = notify.endpoints(print, {"CLEARWELL_ALERTS": address + "?retry=0&rto=1&cto=1"})
        for number in range(3):
            watch.watch(home, clock(FAULT + number * PASS), found, print, lambda: notify.ping(ping))
        messages = server.texts()
    assert any("finding" in one for one in messages) and any("endpoint 2" in one for one in messages)
    printed = capfd.readouterr()
    kept = [path.read_bytes() for path in home.root.rglob("*") if path.is_file()]
    assert len(kept) >= 3
    assert secret not in printed.out + printed.err + "".join(messages)
    assert not [one for one in kept if secret.encode() in one]


def test_clocks_are_kept_from_pass_to_pass(home: Home) -> None:
    box = Inbox()
    watch.watch(home, clock(), [box], print, lambda: "")
    frozen = replace(clock(), steady=clock().steady + 600)
    outcome = watch.watch(home, frozen, [box], print, lambda: "")
    assert outcome.groups[0].entry.alert.key == "clock" and "stands still" in outcome.groups[0].entry.alert.what


def test_seen_is_the_type_that_is_kept() -> None:
    assert remember(clock(), None) == Seen(clock(), FAULT)


def test_unusual_numbers_are_explained_by_missing_records_of_the_dataset_or_of_the_one_it_is_part_of() -> None:
    row = {"dataset": "order_items", "anomaly": "t:a:day:2026-10-15", "value": 1.0, "expected": 9.0}
    (found,) = watch.judge(published(unusual=(row,)), CONTRACTS, ENDS)
    assert {"few_records:order_items", "few_records:orders", "empty:orders"} <= set(found.causes)
    assert "few_records:clickstream" not in found.causes
