"""What a dataset must look like, read from the dbt source YAML that dbt itself reads."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from ingestion.errors import Permanent

PROJECT = Path(__file__).resolve().parents[1] / "dbt_project"
FORMATS = ("rows", "json_lines")
# The sources with code of their own, which also counts them again. Any other is a CSV that its contract locates.
COUNTED = ("orders", "clickstream")
# Bytes of one record, without its newline: a longer one is a dead letter. The macro of the same name reads it too.
LONGEST_RECORD = 1_000_000
_DURATION = re.compile(r"(\d+)\s+(minute|hour|day)s?")


@dataclass(frozen=True)
class Column:
    """One column of a contract; `type` is the dbt data type, `allowed` is empty when any value will do."""

    name: str
    type: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    min: str | None = None
    max: str | None = None
    pattern: str | None = None
    personal: bool = False
    description: str = ""


@dataclass(frozen=True)
class Money:
    """Where a record's money is: the column that bears it, the SQL that computes it, and the column of its currency."""

    column: str
    amount: str
    currency: str | None = None


@dataclass(frozen=True)
class Contract:
    """A dataset's columns, key, clock and owner."""

    dataset: str
    version: int
    source: str
    format: str
    key: tuple[str, ...]
    version_column: str | None
    event_time: str | None
    cadence: timedelta
    lateness: timedelta
    expect_records_every: timedelta | None
    owner: str
    columns: tuple[Column, ...]
    money: Money | None = None
    dated_key: bool = False
    longest_record: int = LONGEST_RECORD
    location: str | None = None
    unpivot: tuple[str, ...] = ()


def read_contracts(project: Path = PROJECT) -> dict[str, Contract]:
    """Read every dataset's contract from `models/staging/staging_*.yml`. Bad YAML is Permanent and names the field."""
    folder = project / "models" / "staging"
    contracts: dict[str, Contract] = {}
    for path in sorted(folder.glob("staging_*.yml")):
        for table in _bronze_tables(path):
            contract = _contract(table, path)
            if contract.dataset in contracts:
                raise _bad(path, contract.dataset, "has a second contract")
            contracts[contract.dataset] = contract
    if not contracts:
        raise Permanent("no contracts found", where=str(folder), todo="check that the dbt project is complete")
    return contracts


def source_names(contracts: Mapping[str, Contract]) -> tuple[str, ...]:
    """Name every source that can be ingested, without loading what reads it."""
    return (*COUNTED, *sorted({contract.source for contract in contracts.values() if contract.location}))


def read_contract(path: Path) -> Contract:
    """Read the one contract of a file."""
    tables = _bronze_tables(path)
    if len(tables) != 1:
        raise Permanent(f"the file holds {len(tables)} contracts, not one", where=str(path), todo="mend the YAML")
    return _contract(tables[0], path)


def read_yaml(text: str) -> Any:
    """Read YAML by the parser in C, ten times as fast: every command reads the project's."""
    return yaml.load(text, yaml.CSafeLoader)


def parse_duration(text: object) -> timedelta:
    """Read "<n> minute(s)|hour(s)|day(s)"; anything else is a ValueError."""
    match = _DURATION.fullmatch(str(text).strip())
    if not match or int(match[1]) == 0:
        raise ValueError(f'"{text}" is not a duration such as "2 days"')
    return timedelta(**{f"{match[2]}s": int(match[1])})


def say_duration(length: timedelta) -> str:
    """Write a duration as contracts do."""
    for unit, size in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if length % size == timedelta(0):
            return f"{length // size} {unit}{'s' if length > size else ''}"
    return f"{length // timedelta(minutes=1)} minutes"


def _bronze_tables(path: Path) -> list[dict[str, Any]]:
    try:
        body = read_yaml(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Permanent(f"a contract is not YAML: {error}", where=str(path)) from error
    sources = body.get("sources", []) if isinstance(body, dict) else None
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        raise _bad(path, "sources", "must be a list of sources")
    return [table for source in sources if source.get("name") == "bronze" for table in source.get("tables", [])]


def _contract(table: dict[str, Any], path: Path) -> Contract:
    dataset = table.get("name")
    if not dataset:
        raise _bad(path, "name", "is missing")
    reader = _Meta((table.get("config") or {}).get("meta") or {}, path, dataset)
    return Contract(
        dataset=dataset,
        version=reader.whole("contract_version"),
        source=reader.text("source"),
        format=reader.one_of("format", FORMATS),
        key=reader.names("key"),
        version_column=reader.text_or_none("version_column"),
        event_time=reader.text_or_none("event_time"),
        cadence=reader.duration("cadence"),
        lateness=reader.duration("lateness"),
        expect_records_every=reader.duration("expect_records_every") if reader.has("expect_records_every") else None,
        owner=reader.text("owner"),
        columns=tuple(_column(column, path, dataset) for column in table.get("columns") or ()),
        money=reader.money("money") if reader.has("money") else None,
        dated_key=bool(reader.meta.get("dated_key", False)),
        longest_record=reader.whole("longest_record") if reader.has("longest_record") else LONGEST_RECORD,
        location=reader.text_or_none("location"),
        unpivot=reader.three("unpivot") if reader.has("unpivot") else (),
    )


def _column(column: dict[str, Any], path: Path, dataset: str) -> Column:
    name = column.get("name")
    if not name or "data_type" not in column:
        raise _bad(path, f"{dataset}.{name or 'columns'}", "needs a name and a data_type")
    meta = (column.get("config") or {}).get("meta") or {}
    return Column(
        name=name,
        type=str(column["data_type"]),
        required=bool(meta.get("required", False)),
        allowed=tuple(str(value) for value in meta.get("allowed") or ()),
        excluded=tuple(str(value) for value in meta.get("excluded") or ()),
        min=None if meta.get("min") is None else str(meta["min"]),
        max=None if meta.get("max") is None else str(meta["max"]),
        pattern=meta.get("pattern"),
        personal=bool(meta.get("personal", False)),
        description=" ".join(str(column.get("description", "")).split()),
    )


@dataclass(frozen=True)
class _Meta:
    """Read the fields of a table's meta, each with an error that names file and field."""

    meta: dict[str, Any]
    path: Path
    dataset: str

    def has(self, field: str) -> bool:
        return self.meta.get(field) is not None

    def text(self, field: str) -> str:
        if not self.has(field):
            raise _bad(self.path, f"{self.dataset}.{field}", "is missing")
        return str(self.meta[field])

    def text_or_none(self, field: str) -> str | None:
        return str(self.meta[field]) if self.has(field) else None

    def whole(self, field: str) -> int:
        text = self.text(field)
        if not text.isdigit():
            raise _bad(self.path, f"{self.dataset}.{field}", "must be a whole number")
        return int(text)

    def one_of(self, field: str, allowed: tuple[str, ...]) -> str:
        text = self.text(field)
        if text not in allowed:
            raise _bad(self.path, f"{self.dataset}.{field}", f"must be one of {', '.join(allowed)}")
        return text

    def names(self, field: str) -> tuple[str, ...]:
        self.text(field)
        names = self.meta[field]
        if not isinstance(names, list) or not names:
            raise _bad(self.path, f"{self.dataset}.{field}", "must be a list of columns")
        return tuple(str(name) for name in names)

    def three(self, field: str) -> tuple[str, ...]:
        names = self.names(field)
        if len(names) != 3:
            raise _bad(self.path, f"{self.dataset}.{field}", "must name three columns: of dates, of kinds, of values")
        return names

    def money(self, field: str) -> Money:
        try:
            return Money(**self.meta[field])
        except TypeError:
            raise _bad(
                self.path, f"{self.dataset}.{field}", "must have column and amount, and may have currency"
            ) from None

    def duration(self, field: str) -> timedelta:
        try:
            return parse_duration(self.text(field))
        except ValueError as error:
            raise _bad(self.path, f"{self.dataset}.{field}", f"is wrong: {error}") from None


def _bad(path: Path, field: str, what: str) -> Permanent:
    return Permanent(f"contract field {field} {what}", where=str(path), todo="mend the YAML")
