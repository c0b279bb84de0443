"""Released versions of contracts, kept beside the models, and the check that a change breaks no reader of any of them."""

import re
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from ingestion.columns import in_order
from ingestion.contract import (
    PROJECT,
    Column,
    Contract,
    read_contract,
    read_contracts,
    read_yaml,
    say_duration,
)
from ingestion.errors import Permanent

# The fields that decide which thing a record describes and which date it has. A change of one makes other records of them.
_IDENTITY = ("key", "dated_key", "version_column", "event_time", "record_date", "part_of", "format", "each")
_WORDS = ("dataset", "version", "owner", "service_level")


@dataclass(frozen=True)
class Break:
    """One way in which a contract breaks the readers of a released version, and what to do instead."""

    dataset: str
    version: int
    rule: str
    what: str
    instead: str


def folder(project: Path, dataset: str) -> Path:
    """Return the folder of a dataset's released versions."""
    return project / "contracts" / dataset


def released(project: Path, dataset: str) -> dict[int, Contract]:
    """Read the released versions of a dataset's contract, oldest first."""
    paths = sorted(folder(project, dataset).glob("v*.yml"), key=lambda path: int(path.stem[1:]))
    return {int(path.stem[1:]): read_contract(path) for path in paths}


def check(project: Path = PROJECT) -> list[Break]:
    """List where a contract breaks one of its released versions, or has changed and is not released yet."""
    found = []
    for dataset, contract in read_contracts(project).items():
        versions = released(project, dataset)
        for version, earlier in versions.items():
            found += breaks(contract, earlier, version)
        latest = max(versions, default=0)
        if not versions or _shape(contract) != _shape(versions[latest]) or contract.version != latest:
            found.append(
                Break(
                    dataset,
                    latest,
                    "released",
                    f"the contract differs from its version {latest}: {_difference(contract, versions[latest])}"
                    if versions
                    else "the contract was never released",
                    f"clearwell contracts release {dataset}",
                )
            )
    return found


def breaks(contract: Contract, earlier: Contract, version: int) -> list[Break]:
    """List what would break those who read, or send, records by the earlier version."""
    dataset, columns = contract.dataset, {column.name: column for column in contract.columns}
    found = [Break(dataset, version, *one) for one in _changes_of_identity(contract, earlier)]
    for before in earlier.columns:
        now = columns.get(before.name)
        if now is None:
            found.append(
                Break(
                    dataset, version, "removed", f"column {before.name} is gone", "keep the column; it may stay empty"
                )
            )
        else:
            found += [Break(dataset, version, *one) for one in _changes_of_column(now, before)]
    known = {column.name for column in earlier.columns}
    found += [
        Break(dataset, version, "newly required", f"column {column.name} is new and required", "add it as optional")
        for column in contract.columns
        if column.required and column.name not in known
    ]
    return found


def release(dataset: str, project: Path = PROJECT) -> int:
    """Release the present contract as the next version, and write its number into the YAML. A break is Permanent."""
    contracts = read_contracts(project)
    if dataset not in contracts:
        raise Permanent(f"there is no dataset {dataset!r}", todo=f"name one of: {', '.join(contracts)}")
    contract, versions = contracts[dataset], released(project, dataset)
    latest = max(versions, default=0)
    broken = [one for version, earlier in versions.items() for one in breaks(contract, earlier, version)]
    if broken:
        raise Permanent(
            f"{dataset} breaks the readers of version {broken[0].version}: {broken[0].what} ({broken[0].rule})",
            todo=broken[0].instead,
        )
    if versions and _shape(contract) == _shape(versions[latest]) and contract.version == latest:
        raise Permanent(f"{dataset} equals its version {latest}", todo="nothing: there is no change to release")
    path = project / "models" / "staging" / f"staging_{dataset}.yml"
    text = re.sub(r"contract_version: \d+", f"contract_version: {latest + 1}", path.read_text(), count=1)
    path.write_text(text)
    kept = folder(project, dataset) / f"v{latest + 1}.yml"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(
        yaml.safe_dump({"sources": read_yaml(path)["sources"]}, sort_keys=False, allow_unicode=True, width=120)
    )
    return latest + 1


def _shape(contract: Contract) -> dict[str, Any]:
    """Return what readers and senders rely on: every field except descriptions, the owner, the service level and the version number.

    A field added to `Contract` is included automatically, so that no change of it goes unseen.
    """
    shape = {one.name: getattr(contract, one.name) for one in fields(Contract)}
    columns = tuple(replace(column, description="") for column in contract.columns)
    return {name: value for name, value in shape.items() if name not in _WORDS} | {"columns": columns}


def _difference(contract: Contract, earlier: Contract) -> str:
    """Name the fields that differ from the release."""
    now, before = _shape(contract), _shape(earlier)
    changed = [
        "columns" if name == "columns" else f"{name} was {_say(before[name])} and is {_say(now[name])}"
        for name in now
        if now[name] != before[name]
    ]
    return ", ".join(changed) or f"its contract_version is {contract.version}"


def _say(value: object) -> str:
    return say_duration(value) if isinstance(value, timedelta) else str(value)


def _changes_of_identity(contract: Contract, earlier: Contract) -> list[tuple[str, str, str]]:
    found = []
    for name in _IDENTITY:
        before, now = getattr(earlier, name), getattr(contract, name)
        if before != now:
            found.append(
                (
                    "identity",
                    f"{name} was {before} and is {now}",
                    "keep it, and make a new dataset for the records with another identity",
                )
            )
    return found


def _changes_of_column(now: Column, before: Column) -> list[tuple[str, str, str]]:
    found = []
    if now.type != before.type:
        found.append(
            (
                "retyped",
                f"column {now.name} was {before.type} and is {now.type}",
                "add a column of the new type beside it",
            )
        )
    if unread := set(before.at_source) - set(now.at_source):
        found.append(
            (
                "renamed at the source",
                f"column {now.name} is no longer read from {', '.join(sorted(unread))}, as batches in bronze have it",
                "list both names in `from`: the first one that has a value is read",
            )
        )
    if now.required and not before.required:
        found.append(
            (
                "newly required",
                f"column {now.name} is now required",
                "leave it optional, and add a warning as a dbt test",
            )
        )
    if _refused_outside(now) and (not _refused_outside(before) or set(before.allowed) - set(now.allowed)):
        gone = ", ".join(sorted(set(before.allowed) - set(now.allowed))) or "any other value"
        found.append(
            (
                "narrowed",
                f"column {now.name} no longer allows {gone}",
                "keep allowing these values, and map them in silver",
            )
        )
    if set(now.excluded) - set(before.excluded) or _is_tighter(now, before):
        found.append(
            ("narrowed", f"column {now.name} allows fewer values", "keep the range, and add a warning as a dbt test")
        )
    return found


def _refused_outside(column: Column) -> bool:
    return bool(column.allowed) and not column.warns_of_unlisted


def _is_tighter(now: Column, before: Column) -> bool:
    if now.pattern and now.pattern != before.pattern:
        return True
    if now.type != before.type:
        return False  # reported as `retyped`
    low = now.min is not None and (before.min is None or in_order(now.min, now.type) > in_order(before.min, now.type))
    high = now.max is not None and (before.max is None or in_order(now.max, now.type) < in_order(before.max, now.type))
    return low or high
