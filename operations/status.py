"""Is all well? Freshness, the last build, what it found."""

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from ingestion.contract import read_contracts
from ingestion.home import Home
from warehouse import publish, state
from warehouse.plan import Build, waiting_batches

_STALE_AFTER = timedelta(days=2)


def read(home: Home, now: datetime) -> dict[str, Any]:
    """Return what is complete until when, the last build, open findings, and whether all that is healthy."""
    datasets = state.read(home.published, "ops.completeness", "select * from ops.completeness order by dataset")
    builds = state.read(home.published, "ops.builds", "select * from ops.builds order by build_number desc limit 1")
    findings = state.read(
        home.published,
        "ops.findings",
        """
        select build_id, check_name, result, failed_rows, examples from ops.findings
        where result <> 'pass' and build_id = (select max_by(build_id, build_number) from ops.builds)
        """,
    )
    held = state.read(
        home.state,
        "ops.held",
        """
        select 'held:' || batch_id as finding, dataset, window_start, window_end, refused_records, records
        from ops.held where batch_id = broken_batch_id order by dataset, window_start
        """,
    )
    pinned = publish.pinned(home)
    refused = _refused(home, builds[0]["build_id"] if builds else "")
    expected = {name for name, contract in read_contracts().items() if contract.expect_records_every}
    late = [row["dataset"] for row in datasets if row["dataset"] in expected and _is_late(row, now)]
    return {
        "healthy": bool(builds) and not refused and not late and not held and not pinned,
        "late": late,
        "held": held,
        "pinned": asdict(pinned) if pinned else None,
        "datasets": datasets,
        "builds": builds,
        "findings": [*refused, *findings],
        "batches_waiting": len(waiting_batches(home)),
    }


def _refused(home: Home, published: str) -> list[state.Row]:
    """List the failed checks of a build that was refused after the published one."""
    newer = sorted(path.name for path in home.builds.glob("*") if path.name > published)
    for build_id in reversed(newer):
        path = Build(home, build_id).folder / "findings.json"
        if path.is_file():
            failed = [row for row in json.loads(path.read_text()) if row["result"] == "fail"]
            return [{"build_id": build_id, **{name: row[name] for name in _SHOWN}} for row in failed]
    return []


def _is_late(row: state.Row, now: datetime) -> bool:
    until = row["complete_until"]
    return until is None or bool(now.replace(tzinfo=None) - until > _STALE_AFTER)


_SHOWN = ("check_name", "result", "failed_rows", "examples")
