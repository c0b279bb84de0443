"""Judge a real history of counts, and count which of its dated incidents are told, how soon, and what is told without one.

python -m bench.histories rides.csv --time started --count rides --zone America/New_York --incidents storms.csv

The file is a CSV with a line per hour or less, in time. `--per` names a column that the count is divided by, such as checkouts
for purchases: then their ratio is judged too. `--label` names a column that is 1 where the history is known to be broken;
`--incidents` a CSV with the columns start and end. With `--planted N`, N copies of the history get more incidents, drawn from it.

The judgement is that of the models (dbt_project/macros/unusual.sql), with the settings of dbt_project.yml.
"""

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import yaml

from bench.anomalies import Alert, days_of, judge
from ingestion.contract import PROJECT

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Days before the first incident that is planted, and those after its end in which nothing else is.
_BEFORE, _AFTER = 57, 7
# Each kind: its days, and the share of the records that is left in its hours.
PLANTED: Mapping[str, tuple[int, Sequence[int], float]] = {
    "six busy hours without records": (1, (), 0),
    "a day without records": (1, range(24), 0),
    "half of a day": (1, range(24), 0.5),
    "a day that came twice": (1, range(24), 2),
    "a third missing for three days": (3, range(24), 0.67),
    "three weeks at 41 %": (21, range(24), 0.41),
}


@dataclass(frozen=True)
class History:
    """Counts by hour in UTC, what they are divided by, and the hours that are known to be broken."""

    counts: Mapping[datetime, int]
    bases: Mapping[datetime, int] = field(default_factory=dict)
    broken: Set[datetime] = frozenset()

    @property
    def first(self) -> date:
        return min(self.counts).date()

    @property
    def days(self) -> int:
        """The days that are whole, from the first on."""
        return (max(self.counts) + HOUR).date().toordinal() - self.first.toordinal()

    def measures(self) -> list[tuple[Any, ...]]:
        """Return the rows of `ops.measures`."""
        rows = list(_counted("counted", self.counts))
        if self.bases:
            counts, bases = by_day(self.counts), by_day(self.bases)
            rows += [
                ("shop", "history", "counted_per_base", "ratio", "day", at, float(counts.get(at, 0)), base)
                for at, base in bases.items()
            ]
        return rows


def _counted(measure: str, counts: Mapping[datetime, int]) -> Iterator[tuple[Any, ...]]:
    for period, found in (("hour", counts), ("day", by_day(counts))):
        for at, count in found.items():
            if count:
                yield ("shop", "history", measure, "count", period, at, float(count), None)


def by_day(counts: Mapping[datetime, int]) -> Mapping[datetime, int]:
    """Add up the hours of each day."""
    found: dict[datetime, int] = defaultdict(int)
    for at, count in counts.items():
        found[datetime.combine(at.date(), time())] += count
    return found


def read(path: Path, arguments: argparse.Namespace) -> History:
    """Read a history, and which of its hours are broken."""
    counts: dict[datetime, float] = defaultdict(float)
    bases: dict[datetime, float] = defaultdict(float)
    broken: set[datetime] = set()
    zone = ZoneInfo(arguments.zone)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row[arguments.time])
            at = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC).replace(tzinfo=None)
            at = at.replace(minute=0, second=0, microsecond=0) + HOUR * int(
                row[arguments.hour] if arguments.hour else 0
            )
            counts[at] += float(row[arguments.count]) * arguments.times
            if arguments.per:
                bases[at] += float(row[arguments.per]) * arguments.times
            if arguments.label and float(row[arguments.label]):
                broken.add(at)
    if arguments.incidents:
        with arguments.incidents.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                start, end = (
                    datetime.fromisoformat(row[name]).replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
                    for name in ("start", "end")
                )
                broken.update(hours(start.replace(minute=0, second=0, microsecond=0), end))
    return History(
        {at: round(count) for at, count in counts.items()}, {at: round(base) for at, base in bases.items()}, broken
    )


def hours(start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the hours from start until end, which is not included."""
    while start < end:
        yield start
        start += HOUR


def episodes(broken: Set[datetime]) -> list[set[datetime]]:
    """Group broken hours; those less than half a day apart belong together."""
    found: list[set[datetime]] = []
    last = datetime.min
    for at in sorted(broken):
        if at - last >= DAY / 2:
            found.append(set())
        found[-1].add(at)
        last = at
    return found


def plant(history: History, seed: int) -> tuple[History, dict[str, set[datetime]]]:
    """Return a copy with one incident of each kind that fits, and the hours of each. Known incidents are left alone."""
    draw = np.random.default_rng(seed)
    counts, planted = dict(history.counts), dict[str, set[datetime]]()
    taken = {at.date().toordinal() - history.first.toordinal() for at in history.broken}
    for name, (length, of_day, left) in PLANTED.items():
        starts = [
            start
            for start in range(_BEFORE, history.days - length)
            if taken.isdisjoint(range(start - _AFTER, start + length + _AFTER))
        ]
        if not starts:
            continue
        start = int(draw.choice(starts))
        taken.update(range(start, start + length))
        days = [datetime.combine(history.first + DAY * (start + more), time()) for more in range(length)]
        busy = of_day or busiest(history.counts, days[0])
        planted[name] = {day + HOUR * hour for day in days for hour in busy}
        for at in planted[name]:
            count = counts.get(at, 0)
            counts[at] = round(count * left) if left > 1 else int(draw.binomial(count, left))
    return replace(history, counts=counts), planted


def busiest(counts: Mapping[datetime, int], day: datetime, length: int = 6) -> range:
    """Return the hours of a day that have the most records."""
    start = max(
        range(25 - length), key=lambda at: sum(counts.get(day + HOUR * (at + more), 0) for more in range(length))
    )
    return range(start, start + length)


def days_with(alerts: Sequence[Alert]) -> set[date]:
    """Return the days that alerts are about."""
    return {day for alert in alerts for day in days_of(alert)}


def main() -> None:
    """Judge a history as it is, and with planted incidents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--time", required=True, metavar="COLUMN")
    parser.add_argument("--hour", metavar="COLUMN", help="the hour, if the time is a date")
    parser.add_argument("--count", required=True, metavar="COLUMN")
    parser.add_argument("--per", metavar="COLUMN", help="what the count is divided by")
    parser.add_argument("--times", type=float, default=1, help="what a number is multiplied by, such as 3600 of a rate")
    parser.add_argument("--zone", default="UTC", help="the time zone of times that do not name one")
    parser.add_argument("--label", metavar="COLUMN")
    parser.add_argument("--incidents", type=Path, metavar="CSV")
    parser.add_argument("--holidays", nargs="+", default=[], metavar="DATE")
    parser.add_argument("--planted", type=int, default=0, metavar="COPIES")
    parser.add_argument("--verbose", action="store_true", help="print each alert")
    arguments = parser.parse_args()
    settings = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]["unusual"]
    settings |= {"holidays": arguments.holidays}
    history = read(arguments.file, arguments)
    alerts = judge(history.measures(), history.first, history.days, settings)
    report(history, alerts, arguments.verbose)
    if arguments.planted:
        report_planted(history, alerts, settings, arguments.planted)


def report(history: History, alerts: Sequence[Alert], verbose: bool) -> None:
    """Print which known incidents are told, and on how many other days something is."""
    known = episodes(history.broken)
    # the first week of a history is not judged
    known = [one for one in known if min(one).date() >= history.first + 7 * DAY]
    told = days_with(alerts)
    found = [one for one in known if told & {at.date() for at in one}]
    false = told - {at.date() for at in history.broken}
    share = len(told - false) / len(told) if told else 1.0
    print(
        f"{history.days} days: {len(found)} of {len(known)} known incidents told; alerts on {len(told)} days, "
        f"{len(false)} of them without a known incident: precision {share:.2f}, {30 * len(false) / history.days:.1f} a month"
    )
    for one in known if verbose else ():
        print(f"  {'told  ' if one in found else 'missed'} {min(one):%Y-%m-%d %H:%M} to {max(one):%Y-%m-%d %H:%M}")
    for alert in alerts if verbose else ():
        mark = "known" if days_of(alert) & {at.date() for at in history.broken} else ""
        print(f"  {alert.measure} {alert.period} {alert.start:%Y-%m-%d %H:%M} {mark}")


def report_planted(history: History, before: Sequence[Alert], settings: Mapping[str, Any], copies: int) -> None:
    """Print how many planted incidents are told, how soon, and what is told because of one that is over."""
    planted, found, delays, after = Counter[str](), Counter[str](), defaultdict[str, list[int]](list), Counter[str]()
    days_planted, days_told = Counter[str](), Counter[str]()
    for seed in range(copies):
        copy, incidents = plant(history, seed)
        told = days_with(judge(copy.measures(), copy.first, copy.days, settings))
        for name, broken in incidents.items():
            days = {at.date() for at in broken}
            planted[name] += 1
            found[name] += bool(days & told)
            days_planted[name] += len(days)
            days_told[name] += len(days & told)
            if days & told:
                delays[name].append((min(days & told) - min(days)).days)
            later = {max(days) + DAY * more for more in range(1, 29)}
            others = {at.date() for one in incidents.values() for at in one}
            after[name] += len(told & later - days_with(before) - others)
    for name, number in planted.items():
        latest = max(delays[name], default=0)
        print(
            f"  {found[name]:>3} of {number} told: {name} (of its days {days_told[name]} of {days_planted[name]}; first told "
            f"{latest} days after it began at the latest; {after[name]} false days in the four weeks after)"
        )


if __name__ == "__main__":
    main()
