"""Look at what is published, at the disk and at the clock, and say what is wrong. Nothing that runs the pipeline is asked.

So it does not matter why no new data comes: a dead scheduler, a paused DAG, a full disk and a run that succeeds with nothing in it
all show in the published file. `observe` reads it; `judge` compares it with the contracts, and reads nothing.
"""

import os
import re
import shutil
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

import duckdb

from ingestion import faults
from ingestion.contract import Contract, read_contracts, source_ends
from ingestion.errors import ClearwellError
from ingestion.fields import say_age
from ingestion.home import Home
from ingestion.land import Report
from ingestion.sql import literal
from operations import alerts, clocks, notify
from operations.alerts import Alert, Outcome
from operations.clocks import Clock, Seen, odd_clock
from operations.notify import Endpoint
from warehouse import publish, service_levels, state
from warehouse.service_levels import Level, Measures, Progress

# Kinds that can be judged whatever the published file is like. The others are judged only if it can be read.
WITHOUT_DATA = ("watchdog", "clock", "disk", "unpublished", "unreadable", "pinned")
WITH_DATA = ("no_build", "held", "stale", "empty", "few_records", "incomplete", "error_budget", "unusual", "finding")
_PATIENCE_SECONDS = 5.0
# What an alert about a DAG or task of one source is about.
_OF_SOURCE = re.compile(r"(?:ingest_|sweep_sources\.sweep_|check_sources\.check_)(?P<source>[^.]+)(?:\.ingest)?")
# A publish copies the file; a build writes at least as much again.
_COPIES, _LEAST_FREE = 3, 500_000_000
_LEAST_FILES = 1000
_WEEKS, _FEWEST_WEEKS, _DAYS = 4, 2, 7
# A share of the usual number of records below which data is missing. Chance alone does not reach it from the usual number on
# that is required: that would be over five standard deviations.
_FEW, _FEW_FROM, _EMPTY_FROM = 0.6, 200, 20


@dataclass(frozen=True)
class Disk:
    """What is free where the home is: bytes, and files that can still be made."""

    free_bytes: int
    free_files: int
    is_read_only: bool = False


@dataclass(frozen=True)
class Landed:
    """The records of one window of a dataset, in UTC."""

    start: datetime
    end: datetime
    records: int


@dataclass(frozen=True)
class Published:
    """What the tables of ops in the published file say."""

    build_id: str
    built_at: datetime | None
    measures: Measures
    windows: Mapping[str, tuple[Landed, ...]] = field(default_factory=dict)
    findings: tuple[state.Row, ...] = ()
    unusual: tuple[state.Row, ...] = ()
    held: tuple[state.Row, ...] = ()
    unreconciled: Mapping[str, tuple[date, ...]] = field(default_factory=dict)
    newest_landing: datetime | None = None


@dataclass(frozen=True)
class Facts:
    """What a pass sees. Without `published`, `problem` says why it cannot be read; empty if there is no such file."""

    clock: Clock
    disk: Disk | None
    published: Published | None
    published_bytes: int = 0
    problem: str = ""
    pinned: str = ""


def watch(
    home: Home,
    clock: Clock,
    endpoints: Sequence[Endpoint],
    report: Report,
    ping: Callable[[], str] = notify.ping,
) -> Outcome:
    """Do one pass: look, judge, tell whoever is to be told, and ping the dead man's switch.

    The switch is not pinged if no endpoint takes messages any more: then it is the last that can tell somebody.
    """
    seen = clocks.read(home)
    try:
        contracts = read_contracts()
        facts, ends = observe(home, contracts, clock), source_ends(contracts)
        found = judge(facts, contracts, ends, seen)
    except Exception as error:
        # of what it cannot see, nobody would be told
        alerts.update(home, clock.now, [_blind(error)], lambda _: False, endpoints, report)
        raise
    outcome = alerts.update(
        home, clock.now, found, lambda one: is_judged(facts, one) or is_gone(one, ends), endpoints, report
    )
    with suppress(OSError):  # a full disk is an alert already
        waited_for = awaited(facts, contracts, ends, seen)
        clocks.write(home, replace(clocks.remember(clock, seen), awaited=waited_for))
    remote = [one.id for one in endpoints if one.id != notify.LOG]
    if remote and all(one in outcome.failed for one in remote):
        report("no endpoint takes messages: the dead man's switch is not pinged, so that it tells somebody")
        return outcome
    why = ping()
    if not why and not any(one.entry.alert.kind == "ping" for one in outcome.groups):
        return outcome
    switch = alerts.update(home, clock.now, _ping(why), lambda one: one.kind == "ping", endpoints, report)
    return replace(switch, failed={**outcome.failed, **switch.failed}, sent=(*outcome.sent, *switch.sent))


def _blind(error: Exception) -> Alert:
    """Return the alert of a pass that cannot look. Only our own errors are quoted: the text of any other may hold personal data."""
    why, todo = f"an unexpected {type(error).__name__}", ""
    if isinstance(error, ClearwellError):
        why, todo = f"{error.what}{f' ({error.where})' if error.where else ''}", error.todo
    return Alert(
        kind="watchdog",
        what=f"the watchdog sees nothing, so it tells of nothing else: {why}",
        owner="data-platform",
        todo=todo or "clearwell --debug watch, which shows where it fails",
    )


def _ping(why: str) -> list[Alert]:
    what = f"the dead man's switch cannot be reached: {why}"
    todo = f"correct {notify.PING_VARIABLE} or the service, then clearwell watch"
    return [Alert(kind="ping", what=what, owner="data-platform", todo=todo)] if why else []


def findings(home: Home, now: datetime, owner: str) -> list[Alert]:
    """Return the alerts about the findings of the last published build, and about what it holds."""
    contracts = read_contracts()
    published = _read(home.published, contracts, now) if home.published.exists() else None
    if not published:
        return []
    return [*_held(published, contracts), *_unusual(published, contracts), *_findings(published, owner)]


def observe(home: Home, contracts: Mapping[str, Contract], clock: Clock) -> Facts:
    """Read everything that a pass judges. A published file that is missing or damaged is a fact and no error."""
    pin, size, published, problem = None, 0, None, ""
    try:
        with faults.named(str(home.published)):
            pin = publish.pinned(home)
            if home.published.exists():
                size = home.published.stat().st_size
                published = _read(home.published, contracts, clock.now)
    except ClearwellError as error:
        problem = error.what
    except duckdb.Error as error:
        problem = f"it has other tables than this version of Clearwell reads: {str(error).splitlines()[0]}"
    return Facts(
        clock=clock,
        disk=_disk(home.root),
        published=published,
        published_bytes=size,
        problem=problem,
        pinned=f"build {pin.build_id or 'unknown'}, since {pin.pinned_at or 'unknown'}: {pin.reason}" if pin else "",
    )


def _disk(folder: Path) -> Disk | None:
    """Measure the disk of a folder, or of the nearest one above it that exists."""
    with suppress(OSError):
        there = next(one for one in (folder, *folder.parents) if one.exists())
        files = os.statvfs(there)
        # some file systems have no fixed number of files, and say 0 of 0
        free_files = files.f_favail if files.f_files else _LEAST_FILES
        return Disk(shutil.disk_usage(there).free, free_files, bool(files.f_flag & os.ST_RDONLY))
    return None


def _read(path: Path, contracts: Mapping[str, Contract], now: datetime) -> Published:
    with state.connect(path, patience=_PATIENCE_SECONDS) as connection:
        if not state.has_table(connection, "ops", "builds"):
            return Published("", None, Measures({}, {}, {}))
        build = next(iter(state.rows(connection, _BUILD)), {})
        windows: dict[str, list[Landed]] = {}
        days = 7 * _WEEKS + 2
        for row in state.rows(connection, _WINDOWS.format(since=now.date() - timedelta(days=days), days=days)):
            one = Landed(_utc(row["window_start"]), _utc(row["window_end"]), int(row["records"]))
            windows.setdefault(row["dataset"], []).append(one)
        newest = state.rows(connection, "select max(landed_at) as at from ops.batches")[0]["at"]
        return Published(
            build_id=build.get("build_id") or "",
            built_at=_utc(build["audited_at"]) if build.get("audited_at") else None,
            measures=service_levels.read(connection, contracts, now),
            windows={name: tuple(found) for name, found in windows.items()},
            findings=tuple(state.rows(connection, _FINDINGS)),
            unusual=tuple(state.rows(connection, UNUSUAL)),
            held=tuple(state.rows(connection, _HELD)),
            unreconciled={
                row["dataset"]: tuple(row["unreconciled_dates"])
                for row in state.rows(connection, "select dataset, unreconciled_dates from ops.completeness")
                if row["unreconciled_dates"]
            },
            newest_landing=_utc(newest) if newest else None,
        )


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def judge(
    facts: Facts,
    contracts: Mapping[str, Contract],
    ends: Mapping[str, datetime | None],
    seen: Seen | None = None,
) -> list[Alert]:
    """Return what is wrong. `ends` are the sources that are on, each with its end; `seen` is what earlier passes saw."""
    owner = contracts["source_counts"].owner if "source_counts" in contracts else "data-platform"
    now = facts.clock.now
    newest = facts.published.newest_landing if facts.published else None
    found = [
        *_clock(odd_clock(facts.clock, seen, newest), owner),
        *_storage(facts, owner),
        *_availability(facts, owner),
    ]
    if facts.published and facts.published.build_id:
        never = {name: Progress(name, None, since) for name, since in awaited(facts, contracts, ends, seen).items()}
        measures = facts.published.measures
        levels = service_levels.measure(
            replace(measures, progress={**measures.progress, **never}), contracts, ends, now
        )
        found += [
            *_building(facts.published, contracts, ends, now, owner),
            *_held(facts.published, contracts),
            *_stale(levels, contracts),
            *_volumes(facts.published, contracts, ends),
            *_incomplete(facts.published, levels, contracts),
            *_error_budgets(levels, contracts),
            *_unusual(facts.published, contracts),
            *_findings(facts.published, owner),
        ]
    return found


def awaited(
    facts: Facts, contracts: Mapping[str, Contract], ends: Mapping[str, datetime | None], seen: Seen | None
) -> dict[str, datetime]:
    """Return the datasets of which nothing has ever been published though their source is on, each with since when that is seen.

    No table says when they should have come: the DAG of a new dataset may be paused from its first day on.
    """
    before, now = (seen.awaited if seen else {}), facts.clock.now
    if not facts.published or not facts.published.build_id:
        return dict(before)
    return {
        name: min(before.get(name, now), now)
        for name, one in contracts.items()
        if one.source in ends
        and not ((end := ends[one.source]) and end <= now)
        and name not in facts.published.measures.progress
    }


def is_judged(facts: Facts, alert: Alert) -> bool:
    """Say whether a pass with these facts would have found an alert if it were still so."""
    if alert.kind in WITH_DATA:
        return bool(facts.published and facts.published.build_id)
    return alert.kind in WITHOUT_DATA


def is_gone(alert: Alert, sources: Container[str]) -> bool:
    """Say whether an alert is about a task or a run that there is no more, as its source is off or was removed: no success can end it."""
    found = _OF_SOURCE.fullmatch(alert.about) if alert.kind in ("task_failed", "deadline") else None
    return found is not None and found["source"] not in sources


def _clock(odd: str, owner: str) -> Iterator[Alert]:
    if odd:
        yield Alert(
            kind="clock",
            what=odd,
            owner=owner,
            todo="check the clock of the machine with timedatectl, then clearwell watch",
        )


def _storage(facts: Facts, owner: str) -> Iterator[Alert]:
    if facts.disk is None:
        return
    needed = max(_LEAST_FREE, _COPIES * facts.published_bytes)
    todo = "clearwell maintain; or give the home a larger disk"
    if facts.disk.is_read_only:
        what, todo = "the disk is read-only", "see with dmesg and mount why, then mount it again to be written"
    elif facts.disk.free_bytes < needed:
        what = f"the disk is almost full: {facts.disk.free_bytes:,} bytes are free, and a build needs about {needed:,}"
    elif facts.disk.free_files < _LEAST_FILES:
        what = f"the disk is almost full: only {facts.disk.free_files:,} more files fit"
    else:
        return
    yield Alert(kind="disk", what=what, owner=owner, todo=todo)


def _availability(facts: Facts, owner: str) -> Iterator[Alert]:
    if facts.pinned:
        what = f"readers see an older state on purpose: {facts.pinned}"
        yield Alert(kind="pinned", what=what, owner=owner, todo="clearwell builds unpin, once the cause is corrected")
    if facts.problem:
        what = f"the published file cannot be read: {facts.problem}"
        yield Alert(kind="unreadable", what=what, owner=owner, todo="clearwell repair", causes=("disk",))
    elif not facts.published or not facts.published.build_id:
        yield Alert(
            kind="unpublished",
            what="nothing is published",
            owner=owner,
            todo="clearwell build; or clearwell run --from DATE --to DATE if nothing has landed",
            causes=("disk",),
        )


def build_limit(
    contracts: Mapping[str, Contract], ends: Mapping[str, datetime | None], now: datetime
) -> timedelta | None:
    """Return how old the last build may be: before the first dataset is stale, so that the cause is told first."""
    going_on = [
        one.cadence + one.service_level.freshness / 2
        for one in contracts.values()
        if one.source in ends and not ((end := ends[one.source]) and end <= now)
    ]
    return min(going_on, default=None)


def _building(
    published: Published,
    contracts: Mapping[str, Contract],
    ends: Mapping[str, datetime | None],
    now: datetime,
    owner: str,
) -> Iterator[Alert]:
    limit = build_limit(contracts, ends, now)
    if limit is None or published.built_at is None or now - published.built_at <= limit:
        return
    yield Alert(
        kind="no_build",
        what=f"no build has been published for {say_age(now - published.built_at)}: the scheduler is dead, a DAG is paused, "
        "or builds fail",
        owner=owner,
        rows=(f"last build: {published.build_id}, {published.built_at:%Y-%m-%d %H:%M} UTC", f"limit: {say_age(limit)}"),
        todo="clearwell status; then see that Airflow's scheduler runs and that no DAG is paused",
        causes=(
            *("clock", "disk", "unreadable", "pinned"),
            *(f"task_failed:build_warehouse.{task}" for task in ("plan", "transform", "audit", "publish")),
            "deadline:build_warehouse",
            *(f"task_failed:ingest_{source}.ingest" for source in ends),
        ),
    )


def _held(published: Published, contracts: Mapping[str, Contract]) -> Iterator[Alert]:
    by_dataset: dict[str, list[state.Row]] = {}
    for row in published.held:
        by_dataset.setdefault(row["dataset"], []).append(row)
    for dataset, rows in by_dataset.items():
        yield Alert(
            kind="held",
            about=dataset,
            owner=_owner(contracts, dataset),
            what=f"{len(rows)} batches of {dataset} are held, and their records are not published",
            rows=tuple(
                f"held:{row['batch_id']}: {row['window_start']:%Y-%m-%d %H:%M} to {row['window_end']:%Y-%m-%d %H:%M}, "
                f"{row['cause']}, {row['refused_records'] or 0:,} of {row['records'] or 0:,} records refused"
                for row in rows
            ),
            todo="clearwell status names the ways out: correct the source or the contract, or clearwell builds accept FINDING "
            "--reason TEXT",
        )


def _stale(levels: Sequence[Level], contracts: Mapping[str, Contract]) -> Iterator[Alert]:
    """One alert per source: its datasets land together."""
    by_source: dict[str, list[Level]] = {}
    for level in levels:
        if level.level == "freshness" and level.is_missed:
            by_source.setdefault(contracts[level.dataset].source, []).append(level)
    for source, missed in by_source.items():
        names = ", ".join(one.dataset for one in missed)
        yield Alert(
            kind="stale",
            about=source,
            owner=", ".join(sorted({_owner(contracts, one.dataset) for one in missed})),
            what=f"{names} {'is' if len(missed) == 1 else 'are'} not published as fresh as promised: {missed[0].measured}",
            rows=tuple(
                f"{one.dataset}: {one.measured}; promised: {one.promised}; burn rate {one.burn_rate:g}"
                for one in missed
            ),
            todo="clearwell sources check; then clearwell heal --to DATE",
            causes=(
                *("clock", "disk", "unreadable", "pinned", "no_build"),
                *(f"task_failed:ingest_{source}.ingest", f"deadline:ingest_{source}"),
                *(f"held:{one.dataset}" for one in missed),
            ),
        )


def _volumes(
    published: Published, contracts: Mapping[str, Contract], ends: Mapping[str, datetime | None]
) -> Iterator[Alert]:
    for dataset, windows in published.windows.items():
        contract = contracts.get(dataset)
        progress = published.measures.progress.get(dataset)
        if not contract or contract.source not in ends or not progress or not progress.complete_until:
            continue
        end = ends[contract.source]
        if end and progress.complete_until >= end:
            continue
        volume = compare_volume(windows, contract, progress.complete_until)
        if not volume:
            continue
        source, span = contract.source, f"{volume.start:%Y-%m-%d %H:%M} to {volume.end:%Y-%m-%d %H:%M} UTC"
        is_empty = not volume.records
        yield Alert(
            kind="empty" if is_empty else "few_records",
            about=dataset,
            owner=contract.owner,
            what=f"{dataset} has {volume.records or 'no'} records from {span}, where {volume.usual:,.0f} are usual",
            rows=(f"{volume.records:,} records, {volume.usual:,.0f} usually ({volume.basis})",),
            todo=f"clearwell sources check; find out why, then clearwell ingest {source} --from {volume.start:%Y-%m-%dT%H:%M} "
            f"--to {volume.end:%Y-%m-%dT%H:%M}",
            # lines and orders go together
            causes=(f"empty:{contract.part_of}", f"few_records:{contract.part_of}") if contract.part_of else (),
        )


@dataclass(frozen=True)
class Volume:
    """Too few records in a span, with the usual number and what that is taken from."""

    start: datetime
    end: datetime
    records: int
    usual: float
    basis: str

    @property
    def length(self) -> timedelta:
        return self.end - self.start


def compare_volume(windows: Sequence[Landed], contract: Contract, until: datetime) -> Volume | None:
    """Compare the latest complete windows with the same time in the weeks before; None if they have enough records.

    The latest windows are those of the last `freshness`. Without two weeks of history, only an empty time of day that never was
    empty in the week before is reported; and always one in which the contract expects records.
    """
    by_start = {one.start: one.records for one in windows if one.end - one.start == contract.cadence}
    length = max(contract.service_level.freshness // contract.cadence, 1)
    records = _sum(by_start, until, length, contract.cadence)
    if records is None:
        return None
    start = until - length * contract.cadence
    weeks = _weeks(by_start, until, length, contract.cadence)
    if len(weeks) >= _FEWEST_WEEKS:
        usual = median(weeks)
        basis = f"median of the same time in {len(weeks)} weeks"
        is_few = (not records and usual >= _EMPTY_FROM) or (records < _FEW * usual and usual >= _FEW_FROM)
        # rows of a table that are read again fill the first window of an outage; a single empty one may be a change of clocks
        if (empty := _empty_end(by_start, contract, until, basis)) and (is_few or empty.length >= 2 * contract.cadence):
            return empty
        if is_few:
            return Volume(start, until, records, usual, basis)
    elif not records:
        days = [_sum(by_start, until - timedelta(days=day), length, contract.cadence) for day in range(1, _DAYS + 1)]
        known = [one for one in days if one is not None]
        if len(known) == _DAYS and min(known) >= _EMPTY_FROM:
            return Volume(start, until, 0, median(known), "median of the same time in 7 days")
    return _expected(by_start, contract, until)


def _weeks(by_start: Mapping[datetime, int], until: datetime, length: int, cadence: timedelta) -> list[int]:
    """Add up the windows before the same time of each week before."""
    past = (_sum(by_start, until - timedelta(days=7 * week), length, cadence) for week in range(1, _WEEKS + 1))
    return [one for one in past if one is not None]


def _empty_end(by_start: Mapping[datetime, int], contract: Contract, until: datetime, basis: str) -> Volume | None:
    """Return the last windows if all of them are empty: nothing comes any more, which is another thing than too little.

    They are compared with the weeks before the first of them, however long ago: nothing does not become usual by going on.
    """
    length = 0
    while by_start.get(until - (length + 1) * contract.cadence) == 0:
        length += 1
    start = until - length * contract.cadence
    first = min(length, max(timedelta(days=7) // contract.cadence, 1))
    weeks = _weeks(by_start, start + first * contract.cadence, first, contract.cadence) if length else []
    if weeks and (usual := median(weeks)) >= _EMPTY_FROM:
        return Volume(start, until, 0, usual * length / first, basis)
    return None


def _expected(by_start: Mapping[datetime, int], contract: Contract, until: datetime) -> Volume | None:
    """Return the span in which the contract expects records and none are."""
    if not contract.expect_records_every:
        return None
    length = max(contract.expect_records_every // contract.cadence, 1)
    if _sum(by_start, until, length, contract.cadence) != 0:
        return None
    start = until - length * contract.cadence
    before = [records for one, records in by_start.items() if one < start]
    if not any(before):
        return None
    usual = sum(before) / len(before) * length
    return Volume(start, until, 0, usual, "mean of the windows before; the contract expects some")


def _sum(by_start: Mapping[datetime, int], until: datetime, length: int, cadence: timedelta) -> int | None:
    """Add up the windows before a time; None unless all of them are there."""
    found = [by_start.get(until - (place + 1) * cadence) for place in range(length)]
    known = [one for one in found if one is not None]
    return sum(known) if len(known) == length else None


def _incomplete(published: Published, levels: Sequence[Level], contracts: Mapping[str, Contract]) -> Iterator[Alert]:
    missed = {one.dataset: one for one in levels if one.level == "completeness" and one.is_missed}
    for dataset in sorted({*missed, *published.unreconciled} & set(contracts)):
        dates = published.unreconciled.get(dataset, ())
        level = missed.get(dataset)
        rows = [f"{dates[0]} to {dates[-1]}: {len(dates)} dates differ from the source's count"] if dates else []
        rows += [f"{level.measured}; promised: {level.promised}; burn rate {level.burn_rate:g}"] if level else []
        yield Alert(
            kind="incomplete",
            about=dataset,
            owner=contracts[dataset].owner,
            what=f"{dataset} does not have all records that its source counted",
            rows=tuple(rows),
            todo="clearwell sweep --from DATE --to DATE, then clearwell build; or clearwell builds accept FINDING --reason TEXT",
            causes=(f"held:{dataset}",),
        )


def _error_budgets(levels: Sequence[Level], contracts: Mapping[str, Contract]) -> Iterator[Alert]:
    for level in levels:
        if level.level == "error_budget" and level.is_missed:
            yield Alert(
                kind="error_budget",
                about=level.dataset,
                owner=contracts[level.dataset].owner,
                what=f"more records of {level.dataset} are refused than its contract allows: burn rate {level.burn_rate:g}",
                rows=(f"{level.measured}; promised: {level.promised}",),
                todo="clearwell dead-letters list; then clearwell dead-letters suggest",
            )


def _unusual(published: Published, contracts: Mapping[str, Contract]) -> Iterator[Alert]:
    """One alert per dataset: a broken step shows in several of its numbers."""
    by_dataset: dict[str, list[state.Row]] = {}
    for row in published.unusual:
        by_dataset.setdefault(row["dataset"], []).append(row)
    for dataset, rows in by_dataset.items():
        yield Alert(
            kind="unusual",
            about=dataset,
            owner=_owner(contracts, dataset),
            what=f"{len(rows):,} number{'s' if len(rows) > 1 else ''} of {dataset} in its last week {'are' if len(rows) > 1 else 'is'} far from what is usual",
            rows=tuple(f"{row['anomaly']}: {row['value']:g}, usually {row['expected']:g}" for row in rows[:_SHOWN]),
            todo=f'clearwell sql "from ops.anomalies where dataset = {literal(dataset)} order by period_start desc"',
            causes=(
                *(f"{kind}:{one}" for one in _with_owner(contracts, dataset) for kind in ("empty", "few_records")),
                f"incomplete:{dataset}",
            ),
            days=tuple(sorted({_days_of(row["anomaly"]) for row in rows})),
        )


def _days_of(anomaly: str) -> str:
    """Return the days of an unusual number as FIRST/LAST, from its name, such as gold.t:rate:day:2026-10-15."""
    *_, period, start = anomaly.split(":")
    first = date.fromisoformat(start[:10])
    return f"{first}/{first + timedelta(days=6) if period == 'week' else first}"


def _findings(published: Published, owner: str) -> Iterator[Alert]:
    for row in published.findings:
        if row["check_name"].startswith(_TOLD_AS_UNUSUAL):
            continue
        # examples may hold personal data, and are shown by the command only
        yield Alert(
            kind="finding",
            about=row["check_name"],
            owner=owner,
            what=f"the check {row['check_name']} fails on {row['failed_rows']:,} rows of build {published.build_id}",
            todo=f"clearwell builds show {published.build_id}",
            causes=("held",)
            if row["consequence"] == "held"
            else ("incomplete",)
            if "source" in row["check_name"]
            else (),
        )


def _with_owner(contracts: Mapping[str, Contract], dataset: str) -> list[str]:
    """Return a dataset, and the one whose parts its records are: what one of them lacks, the other lacks too."""
    part_of = contracts[dataset].part_of if dataset in contracts else None
    return [dataset, *([part_of] if part_of else [])]


def _owner(contracts: Mapping[str, Contract], dataset: str) -> str:
    return contracts[dataset].owner if dataset in contracts else "data-platform"


_SHOWN = 10
_TOLD_AS_UNUSUAL = "numbers_are_unusual"
# The unusual numbers of each dataset's last week that nobody accepted.
UNUSUAL = """
    select dataset, anomaly, value, expected
    from ops.anomalies
    inner join ops.completeness using (dataset)
    where is_alert and not is_accepted and period_start >= latest_window_end - interval 7 days
    order by dataset, period_start desc, abs(score) desc
"""
_BUILD = "select build_id, audited_at from ops.builds order by build_number desc limit 1"
_FINDINGS = """
    select check_name, failed_rows, consequence from ops.findings
    where result = 'fail' and consequence <> 'accepted'
        and build_id = (select max_by(build_id, build_number) from ops.builds)
    order by check_name
"""
_HELD = """
    select dataset, batch_id, window_start, window_end, cause, refused_records, records from ops.held
    where batch_id = broken_batch_id and is_open
    order by dataset, window_start
"""
# Times are written into the text: DuckDB imports pandas to pass them, which takes a quarter of a second.
# A window that landed again has a batch for each landing: the fullest is the nearest to all of it.
# If the last windows are empty, those before them are read as well.
_WINDOWS = """
    select dataset, window_start, window_end, max(records_written) as records
    from ops.batches
    inner join (
        select dataset, max(window_end) filter (where records_written > 0) as ended from ops.batches group by dataset
    ) as filled using (dataset)
    where
        source not in ('decisions', 'corrections')
        and window_start >= least(timestamp '{since}', coalesce(ended, '{since}') - to_days({days}))
    group by dataset, window_start, window_end
    order by dataset, window_start
"""
