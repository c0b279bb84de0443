"""Land windows of the sources, by name: once, again within their lateness, or where a day was missed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ingestion import faults, run_log
from ingestion.contract import Contract, every_source, kind_by_source, read_contracts, source_ends, source_names
from ingestion.errors import ClearwellError, Permanent
from ingestion.fields import guess
from ingestion.home import Home
from ingestion.kinds import KINDS, Kind, Problem
from ingestion.land import Landing, Report, Run, silent
from ingestion.landing_events import landing_events
from ingestion.run_log import Taken
from ingestion.sources.known import known
from ingestion.switch import VARIABLE
from ingestion.window import Window, joined

__all__ = ["SOURCES", "Landing", "Problem", "Report", "catch_up", "check", "ingest", "missed", "source_counts", "sweep"]

# How far back a run looks for missed days. `clearwell heal` lands older ones: there may be many.
CATCH_UP = timedelta(days=14)
_EVER = datetime(1900, 1, 1, tzinfo=UTC)

SOURCES: tuple[str, ...]


def __getattr__(name: str) -> tuple[str, ...]:
    """Compute SOURCES, those that are on, on first use: importing this module must not fail over a bad contract."""
    if name == "SOURCES":
        return source_names(read_contracts())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def ingest(
    source: str,
    window: Window,
    home: Home,
    landed_at: datetime,
    report: Report = silent,
    contracts: Mapping[str, Contract] | None = None,
) -> Landing:
    """Land one window of one source in bronze. Doing it again brings only what is new."""
    return _land(source, _run(source, window, home, landed_at, report, contracts))


def sweep(
    source: str,
    window: Window,
    home: Home,
    at: datetime,
    report: Report = silent,
    contracts: Mapping[str, Contract] | None = None,
    *,
    is_backfill: bool = False,
) -> Landing:
    """Land the whole days of a window again, count them at the source in the same view of it, and find deletions.

    The landed days before the window that may still change, by the contract's lateness, are swept as well, each on its
    own. A backfill skips them, as it sweeps each day in turn. A source without a second count only lands.
    """
    run = _run(source, window, home, at, report, contracts)
    days = window.days()
    first = days[0].start
    earlier = () if is_backfill else _landed_days(run, source, first)
    landings: list[Landing] = []
    failed: list[Permanent] = []
    for part in [*earlier, Window(first, days[-1].end)]:
        try:
            landings.append(_land(source, replace(run, window=part, is_sweep=True, swept=earlier)))
        except Permanent as error:  # a failure here concerns those earlier days alone
            failed.append(error)
    if failed:
        for other in failed[1:]:
            report(f"error: {other}")
        raise failed[0]
    return Landing(
        source,
        Window(first, days[-1].end),
        tuple({manifest.batch_id: manifest for landing in landings for manifest in landing.manifests}.values()),
        frozenset().union(*(landing.new for landing in landings)),
        tuple(sorted({waiting for landing in landings for waiting in landing.waiting})),
        tuple(dict.fromkeys(message for landing in landings for message in landing.messages)),
    )


def catch_up(
    source: str,
    until: datetime,
    home: Home,
    at: datetime,
    report: Report = silent,
    contracts: Mapping[str, Contract] | None = None,
) -> list[Landing]:
    """Land the days up to a time that were missed, as when the scheduler was off: day by day, `CATCH_UP` back at most.

    A source that has never landed has missed nothing. A day that cannot be landed is reported, and stays missing.
    """
    landings = []
    for window in missed(source, until, home, read_contracts() if contracts is None else contracts):
        report(f"{source} {window} was never landed: landing it now")
        try:
            landings.append(ingest(source, window, home, at, report, contracts))
        except ClearwellError as error:
            report(f"error: {error}")
    return landings


def missed(source: str, until: datetime, home: Home, contracts: Mapping[str, Contract]) -> list[Window]:
    """List the windows up to a time that a source has not landed, `CATCH_UP` back at most and not before its first landing."""
    missing: list[Window] = []
    with known(home) as held, held.open():
        for contract in (one for one in contracts.values() if one.source == source):
            landed = held.landed(contract.dataset, Window(_EVER, until))
            if landed and (first := max(landed[0].end, until - CATCH_UP)) < until:
                missing += Window(first, until).without(landed)
    return [hole.within(day) for hole in joined(missing) for day in hole.days()]


def check(source: str, home: Home, contracts: Mapping[str, Contract] | None = None) -> list[Problem]:
    """Find what would keep a source from landing, without landing anything; empty if nothing would. A name that is no source is Permanent."""
    found = read_contracts() if contracts is None else contracts
    _end_of(source, found)
    of_source = [one for one in found.values() if one.source == source]
    try:
        with faults.named(str(home.root)):
            return _kind(source, found).check(source, of_source, home)
    except ClearwellError as error:
        return [Problem.of(error, source)]


# An alias: scripts outside of this repository call it by this name.
source_counts = sweep


def _land(source: str, run: Run) -> Landing:
    with (
        faults.named(str(run.home.root)),
        run_log.logged(run.home, "ingest", run.landed_at, source=source, window=run.window) as taken,
        landing_events(source, run) as found,
    ):
        landing = _kind(source, run.contracts).ingest(source, run)
        taken += _taken(landing)
        found.append(landing)
        return landing


def _taken(landing: Landing) -> list[Taken]:
    """Count what a landing brought, by dataset."""
    found = {manifest.dataset: Taken(0, 0, manifest.dataset) for manifest in landing.manifests}
    for manifest in landing.manifests:
        if manifest.batch_id in landing.new:
            found[manifest.dataset].records += manifest.records_written
            found[manifest.dataset].bytes += manifest.bytes
    return list(found.values())


def _kind(source: str, contracts: Mapping[str, Contract]) -> Kind:
    """Return the kind of a source. One that lands fixed datasets, of which another source has one, is Permanent."""
    kind = KINDS[kind_by_source(contracts)[source]]
    missing = [name for name in kind.datasets if name not in contracts or contracts[name].source != source]
    if missing:
        raise Permanent(
            f"{source} lands {', '.join(kind.datasets)}, but the contract of {missing[0]} reads it from elsewhere",
            todo=f"leave {source} out of {VARIABLE}, or say in the other contracts too where their records come from",
        )
    return kind


def _landed_days(run: Run, source: str, first: datetime) -> tuple[Window, ...]:
    """List the days before a time, back to the source's lateness, of which any part has landed."""
    contracts = [one for one in run.contracts.values() if one.source == source]
    span = Window(first - max(one.lateness for one in contracts), first)
    with known(run.home) as held, held.open():
        landed = {window for one in contracts for window in held.landed(one.dataset, span)}
    return tuple(day for day in span.days() if any(one.start < day.end and one.end > day.start for one in landed))


def _run(
    source: str,
    window: Window,
    home: Home,
    at: datetime,
    report: Report,
    contracts: Mapping[str, Contract] | None,
) -> Run:
    found = read_contracts() if contracts is None else contracts
    end = _end_of(source, found)
    if end and window.end > end:
        # A source that has ended may be empty; whatever it still delivers lands.
        found = {
            name: replace(one, expect_records_every=None) if one.source == source else one
            for name, one in found.items()
        }
    return Run(window, home, found, at, report)


def _end_of(source: str, contracts: Mapping[str, Contract]) -> datetime | None:
    """Return the time at which a source ended, or None. One that is unknown, or switched off, is Permanent."""
    ends = source_ends(contracts)
    if source in ends:
        return ends[source]
    if source in every_source(contracts):
        raise Permanent(f"source {source!r} is switched off", todo=f"add it to {VARIABLE}")
    raise Permanent(f"there is no source {source!r}{guess(source, ends)}", todo=f"name one of: {', '.join(ends)}")
