"""List batches, dead letters and builds."""

import json
from datetime import date

from ingestion import bronze
from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from ingestion.window import iso
from operations import letters
from warehouse import state
from warehouse.plan import VERDICT

_CAUSES = """
    select
        dataset, array_to_string(reasons, ', ') as reasons, {file} settled, count(*) as letters, sum(records)::bigint as records,
        min(first_seen) as first_seen, max(last_seen) as last_seen, min(record) as example,
        array_to_string(list_sort(list(distinct shape))[:3], ' | ') as shapes
    from letters
    group by all
    order by letters desc, dataset, reasons, settled, example
"""


# For an old build, whose files `maintain` has removed.
_FINDINGS = "select * exclude (build_id) from ops.findings where build_id = $1 order by all"


def batches(
    home: Home, dataset: str | None = None, start: date | None = None, end: date | None = None
) -> list[state.Row]:
    """List the batches of bronze, each with the build it entered in; empty if it has not entered yet.

    With a dataset, or dates from `start` to before `end`, list only its batches, or those with a window on such a date.
    """
    entered = {
        row["batch_id"]: row["build_id"]
        for row in state.read(home.state, "ops.batches", "select batch_id, build_id from ops.batches")
    }
    wanted = [
        manifest
        for manifest in bronze.committed(home)
        if dataset in (None, manifest.dataset)
        and any((start or day.date) <= day.date < (end or date.max) for day in manifest.window.days())
    ]
    return [
        {
            "dataset": manifest.dataset,
            "batch_id": manifest.batch_id,
            "window_start": iso(manifest.window.start),
            "records": manifest.records_written,
            "build_id": entered.get(manifest.batch_id),
            "window_end": iso(manifest.window.end),
            "bytes": manifest.bytes,
        }
        for manifest in sorted(wanted, key=lambda one: (one.dataset, one.window, one.batch_id))
    ]


def latest(rows: list[state.Row], count: int) -> list[state.Row]:
    """Return so many of the rows of `batches`, those with the latest windows, in the same order."""
    chosen = {row["batch_id"] for row in sorted(rows, key=lambda row: row["window_start"])[-count:]}
    return [row for row in rows if row["batch_id"] in chosen]


def batch(home: Home, batch_id: str) -> state.Row:
    """Return one batch: its manifest's fields, and under `fates` the number of its records by fate."""
    body = json.loads(bronze.find_manifest(home, batch_id).to_json())
    fates = (
        "select fate, sum(records)::bigint as records from ops.ledger where batch_id = $1 group by fate order by fate"
    )
    found = state.read(home.state, "ops.ledger", fates, [batch_id])
    return {**body, "fates": {row["fate"]: row["records"] for row in found}}


def dead_letters(home: Home, *, by_file: bool = False) -> list[state.Row]:
    """Count the refused lines by cause and by what settled them: each line once, with an example and the first time seen.

    `settled` is missing for those that are open.
    """
    return letters.ask(home, _CAUSES.format(file="source_file," if by_file else ""))


def dead_letter_records(
    home: Home,
    dataset: str | None = None,
    reason: str | None = None,
    limit: int = 20,
    *,
    settled: bool = False,
) -> list[state.Row]:
    """Return raw refused lines, the open or the settled ones, each with the first record that has it."""
    query = """
        select
            dataset, record, record_date, reasons, raw, source_file, source_line, records, first_seen,
            case when settled_by is null then settled else settled || ' by ' || settled_by end as settled
        from letters
        where
            ($1 is null or dataset = $1) and ($2 is null or list_contains(reasons, $2))
            and (settled is not null) = $4
        order by record
        limit $3
    """
    return letters.ask(home, query, [dataset, reason, limit, settled])


def held(home: Home) -> list[state.Row]:
    """Count the held batches and their records by dataset: records in bronze that no table has, and no count."""
    query = """
        select dataset, count(*) as batches, sum(records)::bigint as records from ops.held where is_open group by dataset order by dataset
    """
    return state.read(home.state, "ops.held", query)


def builds(home: Home) -> list[state.Row]:
    """List the published builds, newest first."""
    query = "select * from ops.builds order by build_number desc"
    return state.read(home.state, "ops.builds", query)


def build(home: Home, build_id: str) -> list[state.Row]:
    """Return the findings of one build, refused ones included; failures first."""
    order = {"fail": 0, "warn": 1, "pass": 2}
    # Looked up in a listing, never used as a path: an id typed by the user may be any text.
    path = next((one for one in home.builds.glob(f"*/{VERDICT}") if one.parent.name == build_id), None)
    try:
        found = json.loads(path.read_text()) if path else state.read(home.state, "ops.findings", _FINDINGS, [build_id])
        found = sorted(found, key=lambda row: order[row["result"]])
    except (KeyError, TypeError, ValueError) as error:
        raise Broken("the findings of a build cannot be read", where=str(path)) from error
    if not path and not found:
        raise Permanent(f"there is no build {build_id} with findings", todo="clearwell builds list")
    return found
