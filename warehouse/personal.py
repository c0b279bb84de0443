"""Keep columns of personal data, which readers do not need, out of the published tables: they stay in the state.

A column's contract says whether it is personal. A published silver table leaves out its dataset's personal columns, except
the key, unless the contract says `publish_personal: true`. No gold table has one, which a test checks. No finding shows one.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ingestion.contract import PROJECT, Contract, read_contracts
from ingestion.fields import read_entries, read_yaml
from warehouse.dbt import Change

SILVER = "silver"
RAW = "raw"


def left_out(contracts: Mapping[str, Contract] | None = None) -> dict[str, frozenset[str]]:
    """Return the columns that are not published, by silver table, in lower case."""
    found = read_contracts() if contracts is None else contracts
    return {
        name: frozenset(column.name.lower() for column in one.columns if column.personal and column.name not in one.key)
        for name, one in found.items()
        if not one.publish_personal
    }


def not_in_findings(contracts: Mapping[str, Contract] | None = None) -> frozenset[str]:
    """Return the columns that no finding shows, in lower case: those that any contract marks, ids included, and raw records."""
    found = read_contracts() if contracts is None else contracts
    return frozenset(column.name.lower() for one in found.values() for column in one.columns if column.personal) | {RAW}


def published_silver(project: Path = PROJECT) -> tuple[str, ...]:
    """Return the silver tables whose YAML says `publish: true`."""
    models = [
        model
        for path in sorted((project / "models" / SILVER).glob("silver_*.yml"))
        for model in read_entries(path, "models")
    ]
    return tuple(
        model["name"].removeprefix("silver_")
        for model in models
        if model.get("config", {}).get("meta", {}).get("publish")
    )


def published_layers(project: Path = PROJECT) -> tuple[str, ...]:
    """Return the schemas that are published whole: dbt_project.yml says `publish: true` for their folder."""
    folders = read_yaml(project / "dbt_project.yml")["models"]["clearwell"]
    return tuple(
        name for name, config in folders.items() if isinstance(config, dict) and config.get("+meta", {}).get("publish")
    )


def hidden(schema: str, table: str, without: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the columns of one table that are not published."""
    return without.get(table, frozenset()) if schema == SILVER else frozenset()


def for_readers(change: Change, without: Mapping[str, frozenset[str]]) -> Change:
    """Return a change without the columns that are not published."""
    away = hidden(change.schema, change.table, without)
    kept = [(name, kind) for name, kind in zip(change.columns, change.types, strict=True) if name.lower() not in away]
    return replace(change, columns=tuple(name for name, _ in kept), types=tuple(kind for _, kind in kept))
