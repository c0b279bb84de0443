"""Find windows that are missing or lack files, and the smallest set of ingests that fills them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from ingestion import sources
from ingestion.contract import read_contracts, source_ends
from ingestion.errors import ClearwellError
from ingestion.home import Home
from ingestion.land import Report
from ingestion.manifest import Visit, left_behind, visit_of
from ingestion.window import Window
from warehouse import state
from warehouse.plan import waiting_batches

_WINDOWS = """
    select dataset, window_start, window_end, landed_at, inputs, waiting, resolved from ops.batches
    where source not in ('corrections', 'decisions')
"""


@dataclass(frozen=True)
class Ingest:
    """One ingest to run, and why: its windows are missing, or lack files that could not be read."""

    source: str
    window: Window
    why: str


def needed(home: Home, until: datetime | None = None) -> list[Ingest]:
    """List the ingests that make every dataset complete, up to its latest window or to `until`."""
    by_dataset = landed(home)
    found = []
    contracts = read_contracts()
    for source, end in source_ends(contracts).items():
        datasets = [name for name, one in contracts.items() if one.source == source]
        last = min(until, end) if until and end else until
        gaps = [(gap, "missing") for name in datasets for gap in holes(list(by_dataset.get(name, {})), last)]
        short = [
            (one, "short")
            for name in datasets
            for one, visits in by_dataset.get(name, {}).items()
            if left_behind(visits)
        ]
        found += [Ingest(source, window, why) for window, why in merge([*gaps, *short])]
    return found


def holes(windows: Iterable[Window], until: datetime | None = None) -> list[Window]:
    """Return the gaps between windows, and after the last one up to `until`."""
    gaps = []
    reach: datetime | None = None
    for window in sorted(windows):
        if reach and window.start > reach:
            gaps.append(Window(reach, window.start))
        reach = max(reach or window.end, window.end)
    if reach and until and until > reach:
        gaps.append(Window(reach, until))
    return gaps


def merge(windows: Iterable[tuple[Window, str]]) -> list[tuple[Window, str]]:
    """Join windows that touch or overlap, so that one ingest covers them."""
    merged: list[tuple[Window, str]] = []
    for window, why in sorted(windows):
        if merged and window.start <= merged[-1][0].end:
            last, before = merged.pop()
            reasons = " and ".join(sorted({*before.split(" and "), why}))
            merged.append((Window(last.start, max(last.end, window.end)), reasons))
        else:
            merged.append((window, why))
    return merged


def heal(home: Home, ingests: Iterable[Ingest], now: datetime, report: Report) -> list[str]:
    """Run the ingests; return those that failed, and why."""
    failed = []
    for one in ingests:
        report(f"ingest {one.source} {one.window} ({one.why})")
        try:
            landing = sources.ingest(one.source, one.window, home, now, report)
            failed += [f"{file.path}: {file.reason}" for file in landing.waiting]
        except ClearwellError as error:
            failed.append(str(error))
    return failed


def landed(home: Home) -> dict[str, dict[Window, list[Visit]]]:
    """Return the landed windows by dataset, each with what its landing saw of the source."""
    found: dict[str, dict[Window, list[Visit]]] = {}
    for row in state.read(home.state, "ops.batches", _WINDOWS):
        window = Window(row["window_start"].replace(tzinfo=UTC), row["window_end"].replace(tzinfo=UTC))
        visit = Visit(row["landed_at"].replace(tzinfo=UTC), row["waiting"], [*row["inputs"], *row["resolved"]])
        found.setdefault(row["dataset"], {}).setdefault(window, []).append(visit)
    for manifest in waiting_batches(home):
        found.setdefault(manifest.dataset, {}).setdefault(manifest.window, []).append(visit_of(manifest))
    return found
