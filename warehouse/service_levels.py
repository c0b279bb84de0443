"""Measure what each dataset promises its readers against what there is: freshness, completeness and the error budget.

A burn rate says how fast a promise is used up: what was measured, divided by what is allowed. Over 1, it is broken.
The audit of a build reports it as findings, and the watchdog between builds: both measure here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import duckdb

from ingestion.contract import Contract, say_duration
from ingestion.fields import say_age
from ingestion.window import DAY
from warehouse import state

LEVELS = ("freshness", "completeness", "error_budget")
# At this rate a budget of 28 days is used up in two: the last date alone is then worth a look.
FAST_BURN = 14.0
# Too few records say nothing about a share.
_FEWEST = 1000
# The burn rate where nothing is allowed: JSON knows no infinity.
_UNBOUNDED = 1e6


@dataclass(frozen=True)
class Level:
    """One promise of one dataset: what was promised, what was measured, and the burn rate."""

    dataset: str
    level: str
    promised: str
    measured: str
    burn_rate: float
    is_missed: bool


@dataclass(frozen=True)
class Progress:
    """How far a dataset is complete, when its first batch landed, and whether a window is missing or short among those that landed.

    Times are aware and in UTC.
    """

    dataset: str
    complete_until: datetime | None
    first_landed_at: datetime | None = None
    has_gap: bool = False


@dataclass(frozen=True)
class Refusals:
    """The records of a dataset and date, and how many of them are refused."""

    dataset: str
    record_date: date
    records: int
    refused: int


@dataclass(frozen=True)
class Counted:
    """A source's own count of a dataset's records, and how many of these have not landed."""

    dataset: str
    source_records: int
    missing_records: int


def due(progress: Progress, contract: Contract, end: datetime | None = None) -> datetime | None:
    """Return when the next window must be complete and published; None if none is to come.

    Windows that had ended before the first batch landed are history that was loaded, and promised to nobody. But a gap in what was
    loaded is one that somebody has to know about.
    """
    until, landed = progress.complete_until, progress.first_landed_at
    if end and until and until >= end:
        return None
    if progress.has_gap:
        return until + contract.cadence + contract.service_level.freshness if until else landed
    reached = [one for one in (until, landed) if one]
    return max(reached) + contract.cadence + contract.service_level.freshness if reached else None


def freshness(progress: Progress, contract: Contract, now: datetime, end: datetime | None = None) -> Level:
    """Measure how long ago the oldest window that is missing has ended. `end` is when the source ended, if it has."""
    promised = contract.service_level.freshness
    latest = due(progress, contract, end)
    late = max(now - (latest - promised), timedelta(0)) if latest else timedelta(0)
    until = progress.complete_until
    known = f"complete until {until:%Y-%m-%d %H:%M} UTC" if until else "no window is complete"
    return Level(
        progress.dataset,
        "freshness",
        f"published within {say_duration(promised)} after the end of a window",
        f"{known}, {say_age(now - until)} ago" if until else known,
        round(late / promised, 2),
        latest is not None and now > latest,
    )


def completeness(counted: Counted, contract: Contract) -> Level:
    """Measure the share of the source's own count that has landed, over the dates that it counted."""
    allowed = 1 - contract.service_level.completeness
    share = counted.missing_records / counted.source_records if counted.source_records else 0.0
    rate = _rate(share, allowed)
    return Level(
        counted.dataset,
        "completeness",
        f"{contract.service_level.completeness:.3%} of the source's records",
        f"{counted.missing_records:,} of {counted.source_records:,} records are missing",
        rate,
        rate > 1,
    )


def error_budget(refusals: Iterable[Refusals], dataset: str, contract: Contract, today: date) -> Level:
    """Measure the share of refused records among those of the budget's span, and how fast the last date uses it up."""
    level = contract.service_level
    start = today - level.error_span
    found = sorted((one for one in refusals if start < one.record_date <= today), key=lambda one: one.record_date)
    rate = _rate(_share(found), level.error_share)
    last = _rate(_share(found[-1:]), level.error_share) if found else 0.0
    refused, records = sum(one.refused for one in found), sum(one.records for one in found)
    measured = f"{refused:,} of {records:,} records are refused; the last date uses the budget {last:g} times as fast as allowed"
    return Level(
        dataset,
        "error_budget",
        f"at most {level.error_share:.2%} refused in {say_duration(level.error_span)}",
        measured,
        rate,
        records >= _FEWEST and (rate > 1 or last > FAST_BURN),
    )


def _share(found: Iterable[Refusals]) -> float:
    found = list(found)
    records = sum(one.records for one in found)
    return sum(one.refused for one in found) / records if records else 0.0


def _rate(share: float, allowed: float) -> float:
    """Divide what was measured by what is allowed; where nothing is allowed, anything is far too much."""
    if not share:
        return 0.0
    return round(share / allowed, 2) if allowed > 0 else _UNBOUNDED


@dataclass(frozen=True)
class Measures:
    """What the tables of ops say about every dataset."""

    progress: Mapping[str, Progress]
    counted: Mapping[str, Counted]
    refusals: Mapping[str, tuple[Refusals, ...]]


def read(connection: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract], now: datetime) -> Measures:
    """Read the measures from a file that has the tables of ops, such as the published one; empty where it has none."""
    return _read(connection, {table: f"ops.{table}" for table in _TABLES}, contracts, now)


def read_built(
    connection: duckdb.DuckDBPyConnection, start: str, contracts: Mapping[str, Contract], now: datetime
) -> Measures:
    """Read the measures from a build's own file, as they will be when it is applied to the database attached as `start`."""
    tables = {table: f"ops.{table}" for table in _TABLES}
    for table, (planned, columns) in _TABLES.items():
        if planned and state.has_table(connection, "ops", table, start):
            same = " and ".join(f"planned.{column} is not distinct from before.{column}" for column in columns)
            tables[table] = (
                f"(from ops.{table} union all by name from {start}.ops.{table} as before "
                f"where not exists (select 1 from {planned} as planned where {same}))"
            )
    return _read(connection, tables, contracts, now)


def _read(
    connection: duckdb.DuckDBPyConnection,
    tables: Mapping[str, str],
    contracts: Mapping[str, Contract],
    now: datetime,
) -> Measures:
    if not all(state.has_table(connection, "ops", table) for table in tables):
        return Measures({}, {}, {})
    since = now.date() - max((one.service_level.error_span for one in contracts.values()), default=DAY)
    progress = {
        row["dataset"]: Progress(
            row["dataset"], _utc(row["complete_until"]), _utc(row["first_landed_at"]), bool(row["has_gap"])
        )
        for row in state.rows(connection, _PROGRESS.format(**tables))
    }
    counted = {
        row["dataset"]: Counted(row["dataset"], int(row["source_records"]), int(row["missing_records"]))
        for row in state.rows(connection, _COUNTED.format(since=since, **tables))
    }
    refusals: dict[str, list[Refusals]] = {}
    for row in state.rows(connection, _REFUSALS.format(since=since, **tables)):
        one = Refusals(row["dataset"], row["record_date"], int(row["records"]), int(row["refused"]))
        refusals.setdefault(one.dataset, []).append(one)
    return Measures(progress, counted, {name: tuple(found) for name, found in refusals.items()})


def measure(
    measures: Measures, contracts: Mapping[str, Contract], ends: Mapping[str, datetime | None], now: datetime
) -> list[Level]:
    """Measure every promise of every dataset whose source is on. Times are aware and in UTC."""
    found = []
    for dataset, contract in contracts.items():
        if contract.source not in ends:
            continue
        if progress := measures.progress.get(dataset):
            found.append(freshness(progress, contract, now, ends[contract.source]))
        if counted := measures.counted.get(dataset):
            found.append(completeness(counted, contract))
        if refusals := measures.refusals.get(dataset):
            found.append(error_budget(refusals, dataset, contract, now.date()))
    return found


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


# The tables of ops that are read, each with the plan's table that names the rows a build writes again, and by which columns;
# without one, a build writes the whole table.
_TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "completeness": ("", ()),
    "differences": ("", ()),
    "batches": ("plan.batches", ("dataset", "batch_id")),
    "ledger": ("plan.touched", ("dataset", "record_date")),
    "reconciliation": ("plan.reconciled", ("dataset", "record_date")),
}
_PROGRESS = """
    select dataset, complete_until, first_landed_at, holes > 0 or short_windows > 0 as has_gap
    from {completeness}
    left join (
        select dataset, min(landed_at) as first_landed_at from {batches}
        where source not in ('decisions', 'corrections')
        group by dataset
    ) using (dataset)
    order by dataset
"""
# More records of one date do not make up for fewer of another; an accepted difference is no loss.
_COUNTED = """
    select
        dataset,
        sum(source_records) as source_records,
        coalesce(sum(greatest(source_difference, 0)) filter (where accepted.dataset is null), 0) as missing_records
    from {reconciliation} as counted
    left join (select distinct dataset, event_date as record_date from {differences} where is_accepted) as accepted
        using (dataset, record_date)
    where source_records is not null and record_date > '{since}'
    group by dataset
    order by dataset
"""
_REFUSALS = """
    select
        dataset, record_date, sum(records) as records,
        coalesce(sum(records) filter (where fate = 'dead_letter'), 0) as refused
    from {ledger}
    where record_date > '{since}'
    group by dataset, record_date
    order by all
"""
