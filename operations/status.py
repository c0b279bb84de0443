"""Report the health of a home: freshness, the last build and its findings."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ingestion.contract import Contract, read_contracts, source_ends
from ingestion.home import Home
from operations import clocks, damage, decide, heal, letters
from warehouse import dbt, publish, service_levels, state
from warehouse.audit import last_refused
from warehouse.plan import waiting_batches
from warehouse.service_levels import Level
from warehouse.version import model_version


def read(home: Home, now: datetime) -> dict[str, Any]:
    """Return how far each dataset is complete, the last build, open findings, damage, and whether all of it is healthy.

    `unhealthy` lists the reasons in words, empty if healthy. Gaps and refused records do not make a home unhealthy.
    """
    broken = [{"kind": one.kind, "name": one.name, "what": one.what} for one in damage.glance(home)]
    if {"state", "published"} & {one["kind"] for one in broken}:
        return _UNKNOWN | {"home": str(home.root), "broken": broken}
    with state.kept_open(home.published), state.kept_open(home.state):
        return _read(home, now, broken)


def _read(home: Home, now: datetime, broken: list[dict[str, str]]) -> dict[str, Any]:
    from ingestion import forgotten  # it imports pyarrow, which takes long

    datasets = state.read(home.published, "ops.completeness", "select * from ops.completeness order by dataset")
    builds = state.read(home.published, "ops.builds", "select * from ops.builds order by build_number desc limit 1")
    findings = state.read(
        home.published,
        "ops.findings",
        """
        select build_id, check_name, result, failed_rows, consequence, message, examples from ops.findings
        where result <> 'pass' and build_id = (select max_by(build_id, build_number) from ops.builds)
        """,
    )
    held = state.read(
        home.state,
        "ops.held",
        """
        select 'held:' || batch_id as finding, dataset, window_start, window_end, refused_records, records, cause
        from ops.held
        where batch_id = broken_batch_id and is_open
        order by dataset, window_start
        """,
    )
    held += [
        {"finding": f"held:{row['batch_id']}", **{name: row[name] for name in _HELD}}
        for row in decide.refused_holds(home)
    ]
    failing = [one for one in findings if one["result"] == "fail" and one["consequence"] != "accepted"]
    differences = state.read(home.state, "ops.differences", _DIFFERENCES)
    pinned = publish.pinned(home)
    forgetting = forgotten.orders(home)
    refused = _refused(home)
    stale = state.read(home.state, "ops.dates", _STALE, [model_version(dbt.PROJECT)])
    contracts = read_contracts()
    levels = service_level_of(home, contracts, source_ends(contracts), now)
    late = late_datasets(levels)
    unhealthy = {
        "nothing is published": not builds,
        "damaged": broken,
        "the last build is refused": refused,
        f"late: {', '.join(late)}": late,
        f"{len(held)} held": held,
        "an older state is pinned": pinned,
        "not reconciled with the sources": differences,
        "a check fails": failing,
        "a person is not forgotten yet": forgetting,
    }
    return {
        "home": str(home.root),
        "healthy": not any(unhealthy.values()),
        "unhealthy": [what for what, is_so in unhealthy.items() if is_so],
        "broken": broken,
        "late": late,
        "gaps": [
            {"source": one.source, "from": one.window.start, "to": one.window.end, "why": one.why}
            for one in heal.needed(home)
        ],
        "held": held,
        "differences": differences,
        "stale": stale,
        "pinned": asdict(pinned) if pinned else None,
        "forgetting": forgetting,
        "datasets": datasets,
        "service_levels": [asdict(one) for one in levels],
        "builds": builds,
        "findings": [*refused, *findings],
        "refused": letters.ask(home, _REFUSED),
        "batches_waiting": len(waiting_batches(home)),
        "watched_at": seen.clock.now if (seen := clocks.read(home)) else None,
    }


def _refused(home: Home) -> list[state.Row]:
    """List the failed checks of a build that was refused after the published one."""
    build = last_refused(home)
    if build is None:
        return []
    failed = [row for row in json.loads(build.verdict.read_text()) if row["result"] == "fail"]
    return [{"build_id": build.build_id, **{name: row[name] for name in _SHOWN}} for row in failed]


def late_datasets(levels: Iterable[Level]) -> list[str]:
    """List the datasets that are not published as soon as their contracts promise.

    Nothing is expected of a source that is off, nor after the end of one that has ended.
    """
    return sorted(one.dataset for one in levels if one.level == "freshness" and one.is_missed)


def service_level_of(
    home: Home, contracts: Mapping[str, Contract], ends: Mapping[str, datetime | None], now: datetime
) -> list[Level]:
    """Measure the service levels of what is published; none if nothing is."""
    if not home.published.exists():
        return []
    with state.connect(home.published) as connection:
        measures = service_levels.read(connection, contracts, now)
    return service_levels.measure(measures, contracts, ends, now)


_DIFFERENCES = """
    select
        'difference:' || dataset || ':' || event_date as finding, currency, source_records, landed_records, source_amount, landed_amount,
        counted_at, note
    from ops.differences
    where is_alert and not is_accepted
    order by all
"""
# Ranges of consecutive dates that were built, or have a record that was parsed, under another version.
_STALE = """
    with stale as (
        select dataset, record_date from ops.dates where model_version <> $1
        union
        select dataset, record_date from ops.batch_dates
        inner join ops.batches using (dataset, batch_id)
        where model_version <> $1 and dataset not in ('decisions', 'source_counts')
    ),

    numbered as (
        select *, record_date - cast(row_number() over (partition by dataset order by record_date) as integer) as range
        from stale
        where record_date is not null
    )

    select dataset, min(record_date) as from_date, max(record_date) + 1 as to_date, count(*) as dates
    from numbered
    group by dataset, range
    order by all
"""
# Open refused lines by cause: a line is counted once, however often it was landed.
_REFUSED = """
    select count(*) as letters, cause, dataset, min(first_seen) as since
    from (select dataset, first_seen, unnest(reasons) as cause from letters where settled is null)
    group by all
    order by letters desc, dataset, cause
"""
_HELD = ("dataset", "window_start", "window_end", "refused_records", "records", "cause")
# If the state or the published file cannot be read, nothing else can be reported.
_UNKNOWN: dict[str, Any] = {
    "healthy": False,
    "unhealthy": ["damaged"],
    "late": [],
    "gaps": [],
    "held": [],
    "differences": [],
    "stale": [],
    "pinned": None,
    "forgetting": [],
    "datasets": [],
    "service_levels": [],
    "builds": [],
    "findings": [],
    "refused": [],
    "batches_waiting": 0,
    "watched_at": None,
}
_SHOWN = ("check_name", "result", "failed_rows", "examples")
