"""Lists of what there is: batches, dead letters, builds."""

import json

from ingestion import bronze
from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from operations.suggest import SHAPE
from warehouse import state
from warehouse.plan import VERDICT

_DEAD_LETTERS = f"""
    with letters as (
        select
            *, nullif(split_part(reasons[1], ':', 2), '') as column_name,
            case when json_valid(raw) then json_extract_string(raw, '$."' || column_name || '"') end as value
        from silver.dead_letters
    )

    select
        letters.dataset,
        array_to_string(letters.reasons, ', ') as reasons,
        array_to_string(list_sort(list(distinct {SHAPE.format("value")}))[:3], ' | ') as shapes,
        batches.contract_version,
        letters.source_file,
        count(*) as records,
        min(batches.landed_at) as first_seen,
        max(batches.landed_at) as last_seen,
        any_value(letters.batch_id || ':' || letters.record_no order by letters.batch_id, letters.record_no) as example
    from letters
    left join ops.batches as batches using (batch_id)
    group by letters.dataset, letters.reasons, batches.contract_version, letters.source_file
    order by records desc, letters.dataset, reasons, letters.source_file
"""


def batches(home: Home) -> list[state.Row]:
    """List the batches of bronze, and the build each entered with; none if it is still to enter."""
    entered = {
        row["batch_id"]: row["build_id"]
        for row in state.read(home.state, "ops.batches", "select batch_id, build_id from ops.batches")
    }
    return [
        {
            "dataset": manifest.dataset,
            "batch_id": manifest.batch_id,
            "window": str(manifest.window),
            "records": manifest.records_written,
            "bytes": manifest.bytes,
            "build_id": entered.get(manifest.batch_id),
        }
        for manifest in sorted(bronze.committed(home), key=lambda one: (one.dataset, one.window, one.batch_id))
    ]


def batch(home: Home, batch_id: str) -> state.Row:
    """Return one batch: its manifest's fields, and under `fates` how many of its records have which."""
    body = json.loads(bronze.find_manifest(home, batch_id).to_json())
    fates = (
        "select fate, sum(records)::bigint as records from ops.ledger where batch_id = $1 group by fate order by fate"
    )
    found = state.read(home.state, "ops.ledger", fates, [batch_id])
    return {**body, "fates": {row["fate"]: row["records"] for row in found}}


def dead_letters(home: Home) -> list[state.Row]:
    """Group the refused records by reasons, contract version and source file."""
    return state.read(home.state, "silver.dead_letters", _DEAD_LETTERS)


def dead_letter_records(
    home: Home, dataset: str | None = None, reason: str | None = None, limit: int = 20
) -> list[state.Row]:
    """Return refused records, raw."""
    query = """
        select dataset, batch_id || ':' || record_no as record, record_date, reasons, raw, source_file, source_line
        from silver.dead_letters
        where ($1 is null or dataset = $1) and ($2 is null or list_contains(reasons, $2))
        order by batch_id, record_no
        limit $3
    """
    return state.read(home.state, "silver.dead_letters", query, [dataset, reason, limit])


def builds(home: Home) -> list[state.Row]:
    """List the published builds, newest first."""
    query = "select * from ops.builds order by build_number desc"
    return state.read(home.state, "ops.builds", query)


def build(home: Home, build_id: str) -> list[state.Row]:
    """Return the findings of one build, refused ones included; failures first."""
    # Looked up by its name, never by a path: an id may be any text.
    path = next((one for one in home.builds.glob(f"*/{VERDICT}") if one.parent.name == build_id), None)
    if not path:
        raise Permanent(f"there are no findings of a build {build_id}", todo="clearwell builds list")
    order = {"fail": 0, "warn": 1, "pass": 2}
    try:
        return sorted(json.loads(path.read_text()), key=lambda row: order[row["result"]])
    except (KeyError, TypeError, ValueError) as error:
        raise Broken("the findings of a build cannot be read", where=str(path)) from error
