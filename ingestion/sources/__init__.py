"""The sources, by name. A source is a function from a run to a landing."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from ingestion.contract import COUNTED, Contract, every_source, read_contracts, source_ends, source_names
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.landing import Landing, Report, Run, Source, silent
from ingestion.sources import clickstream, counts, orders, tables
from ingestion.switch import VARIABLE
from ingestion.window import Window

__all__ = ["SOURCES", "Landing", "Report", "Source", "ingest", "source_counts"]

_OWN_CODE: dict[str, Source] = {"orders": orders.ingest, "clickstream": clickstream.ingest}
SOURCES: tuple[str, ...]


def __getattr__(name: str) -> tuple[str, ...]:
    """Read SOURCES, those that are on, when it is asked for: a fault in a contract must find somebody who can tell it."""
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
    run = _run(source, window, home, landed_at, report, contracts)
    try:
        return _OWN_CODE.get(source, partial(tables.ingest, source))(run)
    except OSError as error:
        raise _cannot_write(error, home) from error


def source_counts(
    source: str,
    window: Window,
    home: Home,
    counted_at: datetime,
    report: Report = silent,
    contracts: Mapping[str, Contract] | None = None,
) -> Landing:
    """Count a source again, by event date, over the whole days of the window; land it as `source_counts`.

    A source that is not COUNTED lands nothing: its rows are counted as they are read.
    """
    run = _run(source, window, home, counted_at, report, contracts)
    try:
        return counts.count(source, run) if source in COUNTED else Landing(source, window, (), frozenset())
    except OSError as error:
        raise _cannot_write(error, home) from error


def _run(
    source: str,
    window: Window,
    home: Home,
    at: datetime,
    report: Report,
    contracts: Mapping[str, Contract] | None,
) -> Run:
    found = read_contracts() if contracts is None else contracts
    ends = source_ends(found)
    if source not in every_source(found):
        raise Permanent(f"there is no source {source!r}", todo=f"name one of: {', '.join(ends)}")
    if source not in ends:
        raise Permanent(f"source {source!r} is switched off", todo=f"add it to {VARIABLE}")
    end = ends[source]
    if end and window.end > end:
        # Nothing is expected of what has ended; what there is lands.
        found = {
            name: replace(one, expect_records_every=None) if one.source == source else one
            for name, one in found.items()
        }
    return Run(window, home, found, at, report)


def _cannot_write(error: OSError, home: Home) -> Permanent:
    return Permanent(
        f"bronze cannot be written: {error.strerror or error}",
        where=str(error.filename or home.root),
        todo="free space or mend the rights, then run the same command again",
    )
