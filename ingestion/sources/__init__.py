"""The sources, by name. A source is a function from a run to a landing."""

from collections.abc import Mapping
from datetime import datetime

from ingestion.contract import Contract, read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.landing import Landing, Report, Run, Source, silent
from ingestion.sources import clickstream, counts, orders
from ingestion.window import Window

__all__ = ["SOURCES", "Landing", "Report", "Source", "ingest", "source_counts"]

SOURCES: dict[str, Source] = {"orders": orders.ingest, "clickstream": clickstream.ingest}


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
        return SOURCES[source](run)
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
    """Count a source again, by event date, over the whole days of the window; land it as `source_counts`."""
    run = _run(source, window, home, counted_at, report, contracts)
    try:
        return counts.count(source, run)
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
    if source not in SOURCES:
        raise Permanent(f"there is no source {source!r}", todo=f"name one of: {', '.join(SOURCES)}")
    return Run(window, home, read_contracts() if contracts is None else contracts, at, report)


def _cannot_write(error: OSError, home: Home) -> Permanent:
    return Permanent(
        f"bronze cannot be written: {error.strerror or error}",
        where=str(error.filename or home.root),
        todo="free space or mend the rights, then run the same command again",
    )
