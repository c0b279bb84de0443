"""The accounts: what became of every record, and whether it adds up."""

from ingestion import bronze
from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from warehouse import state

_SUMMARY = """
    with cells as (
        select dataset, batch_id, fate, sum(records) as records from ops.ledger group by all
    ),

    fates as (
        select
            dataset,
            sum(records) filter (where fate = 'current') as current,
            sum(records) filter (where fate = 'superseded') as superseded,
            sum(records) filter (where fate = 'duplicate') as duplicate,
            sum(records) filter (where fate = 'dead_letter') as dead_letter,
            sum(records) filter (where fate = 'withdrawn') as withdrawn
        from cells
        group by dataset
    ),

    batches as (
        select
            dataset, count(*) as batches, sum(counted_by_source) as counted_by_source,
            sum(records_written) as records_written
        from ops.batches
        group by dataset
    )

    select
        dataset,
        batches,
        counted_by_source::bigint as counted_by_source,
        records_written::bigint as bronze,
        coalesce(current, 0)::bigint as current,
        coalesce(superseded, 0)::bigint as superseded,
        coalesce(duplicate, 0)::bigint as duplicate,
        coalesce(dead_letter, 0)::bigint as dead_letter,
        coalesce(withdrawn, 0)::bigint as withdrawn,
        (records_written - coalesce(current, 0) - coalesce(superseded, 0) - coalesce(duplicate, 0)
            - coalesce(dead_letter, 0) - coalesce(withdrawn, 0))::bigint as difference
    from batches
    left join fates using (dataset)
    where $1 is null or dataset = $1
    order by dataset
"""


def read(home: Home, dataset: str | None = None) -> tuple[list[state.Row], bool]:
    """Return the accounts by dataset, and whether each adds up to its manifests and to its source's own count."""
    rows = state.read(home.state, "ops.ledger", _SUMMARY, [dataset])
    if dataset and not rows:
        raise Permanent(f"the ledger has no dataset {dataset!r}", todo="type `clearwell ledger` to see those it has")
    return rows, all(row["difference"] == 0 and row["counted_by_source"] == row["bronze"] for row in rows)


def recount(home: Home) -> tuple[list[state.Row], bool]:
    """Count every record again, in the tables and in bronze, and return each difference with the ledger."""
    if not home.state.exists():
        return [], True
    differences = [*_recount_tables(home), *_recount_bronze(home)]
    return differences, not differences


def check(home: Home) -> None:
    """Recount; raise Permanent when the accounts do not balance."""
    differences, balanced = recount(home)
    if not balanced:
        raise Permanent(
            f"the ledger is off in {len(differences)} places, first: {differences[0]}",
            where=str(home.state),
            todo="clearwell ledger --recount",
        )


def _recount_tables(home: Home) -> list[state.Row]:
    parts = [
        f"select '{name}' as dataset, batch_id, record_date, fate from records.{name}"
        for name in sorted(read_contracts())
    ]
    parts.append("select dataset, batch_id, record_date, 'dead_letter' as fate from silver.dead_letters")
    query = f"""
        with counted as (
            select dataset, batch_id, record_date, fate, count(*) as records
            from ({" union all ".join(parts)})
            group by all
        )

        select
            dataset, batch_id, record_date, fate,
            coalesce(ledger.records, 0) as in_ledger, coalesce(counted.records, 0) as counted
        from ops.ledger
        full join counted using (dataset, batch_id, record_date, fate)
        where ledger.records is distinct from counted.records
        order by all
    """
    return state.read(home.state, "ops.ledger", query)


def _recount_bronze(home: Home) -> list[state.Row]:
    """Hold the ledger against the manifests, and the files against both."""
    cells = """
        select dataset, window_date, batch_id, coalesce(sum(records), 0)::bigint as in_ledger
        from ops.batches
        left join ops.ledger using (dataset, batch_id)
        group by all
    """
    differences = []
    for row in state.read(home.state, "ops.batches", cells):
        where = {"dataset": row["dataset"], "batch_id": row["batch_id"], "record_date": None}
        try:
            manifest = bronze.read_manifest(home, bronze.BatchRef(row["dataset"], row["window_date"], row["batch_id"]))
            bronze.verify(home, manifest)
        except Permanent as error:
            differences.append({**where, "fate": str(error), "in_ledger": row["in_ledger"], "counted": None})
            continue
        if manifest.records_written != row["in_ledger"]:
            differences.append(
                {**where, "fate": "any", "in_ledger": row["in_ledger"], "counted": manifest.records_written}
            )
    return differences
