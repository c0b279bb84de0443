"""Try a proposed contract on past bronze. Nothing is changed."""

import shutil
from datetime import date, datetime
from pathlib import Path

from ingestion import bronze
from ingestion.contract import PROJECT, read_contract, read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from warehouse import state
from warehouse.build import parse_aside

_CHANGED = """
    with proposed as (
        select batch_id, record_no, reasons, money_currency as currency, money_amount as amount, raw
        from scratch.staging.{dataset}
        where batch_id in (select batch_id from plan.batches)
    ),

    present as (
        select batch_id, record_no, reasons, currency, amount from state.records.refused where dataset = '{dataset}'
    ),

    newly_refused as (
        select 'refused' as change, proposed.* exclude (raw) from proposed
        anti join present using (batch_id, record_no)
        where proposed.reasons is not null
    ),

    rescued as (
        select 'rescued' as change, present.* from present
        semi join (from proposed where reasons is null) as good using (batch_id, record_no)
    )

    select
        change,
        array_to_string(reasons, ', ') as reasons,
        count(*) as records,
        currency,
        sum(amount) as amount,
        min(batch_id || ':' || record_no) as example
    from (from newly_refused union all by name from rescued)
    group by change, reasons, currency
    order by change, records desc, reasons, currency
"""


def propose(home: Home, file: Path, start: date, end: date, now: datetime) -> list[state.Row]:
    """Return the records a proposed contract would refuse or rescue, by reason, with their money and an example."""
    contract = read_contract(file)
    known_datasets = read_contracts()
    if contract.dataset not in known_datasets:
        names = ", ".join(known_datasets)
        raise Permanent(f"there is no dataset {contract.dataset!r}", where=str(file), todo=f"name one of: {names}")
    known = {row["batch_id"] for row in state.read(home.state, "ops.batches", "select batch_id from ops.batches")}
    manifests = [
        bronze.read_manifest(home, ref)
        for ref in bronze.list_batches(home, contract.dataset)
        if start <= ref.date < end and ref.batch_id in known
    ]
    if not manifests:
        raise Permanent(
            f"no batch of {contract.dataset} from {start} to {end} is in the state",
            todo="give other dates: `clearwell batches list` shows the landed windows",
        )
    with bronze.staged(home, "proposal") as folder:
        project = folder / "dbt_project"
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
        shutil.copyfile(file, project / "models" / "staging" / f"staging_{contract.dataset}.yml")
        return parse_aside(home, project, contract.dataset, manifests, _CHANGED.format(dataset=contract.dataset), now)
