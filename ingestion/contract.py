"""What a dataset must look like, read from the dbt source YAML that dbt itself reads."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from ingestion.columns import Column, read_column, read_meta
from ingestion.errors import Permanent
from ingestion.fields import (
    Fields,
    bad,
    entries,
    guess,
    items,
    mapping,
    parse_duration,
    parse_yaml,
    read_entries,
    read_text,
    read_yaml,
    say_duration,
    text_of,
)
from ingestion.kinds import FIELDS as SOURCE_FIELDS
from ingestion.kinds import KINDS, kind_of
from ingestion.names import fold, is_path, source_columns, unfit
from ingestion.selection import Condition, as_query, of_each, read_where
from ingestion.service_level import FIELD as SERVICE_LEVEL
from ingestion.service_level import ServiceLevel, read_service_level
from ingestion.switch import is_on, sources_on

__all__ = ["Column", "parse_duration", "read_entries", "read_yaml", "say_duration"]

PROJECT = Path(__file__).resolve().parents[1] / "dbt_project"
FORMATS = ("rows", "json_lines")
# The possible cadences, and Airflow's schedule for each.
CADENCES = {timedelta(hours=1): "0 * * * *", timedelta(days=1): "0 0 * * *"}
BREAKER_SHARE = 0.01
_META = (
    *("contract_version", "source", "format", "key", "dated_key", "version_column", "event_time", "record_date"),
    *("cadence", "lateness", "expect_records_every", "part_of", "breaker", "longest_record", "owner", "money"),
    *("publish_personal", "where", SERVICE_LEVEL, *SOURCE_FIELDS),
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
# The most bytes of one record, without its newline: a longer one is a dead letter. The macro of the same name has it too.
LONGEST_RECORD = 1_000_000


@dataclass(frozen=True)
class Money:
    """A record's money: the column that holds it, the SQL that computes it, and the column of its currency."""

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
    service_level: ServiceLevel
    columns: tuple[Column, ...]
    money: Money | None = None
    dated_key: bool = False
    longest_record: int = LONGEST_RECORD
    # The kind of its source, and that kind's settings; None for records that Clearwell writes itself.
    kind: str | None = None
    settings: Any = None
    record_date: str | None = None
    part_of: str | None = None
    breaker_share: float = BREAKER_SHARE
    # Which rows of the source are its records; all, if there are no conditions.
    where: tuple[Condition, ...] = ()
    # Whether the published file contains the personal columns.
    publish_personal: bool = False

    @property
    def each(self) -> str:
        """The path of the list in a line of which each element is a record; empty if each line is one."""
        return getattr(self.settings, "each", "")

    def column(self, name: str | None) -> Column | None:
        """Return a column by its name."""
        return next((one for one in self.columns if one.name == name), None)

    def is_at_source(self, name: str) -> bool:
        """Whether the source is to have a column."""
        column = self.column(name)
        return column is None or column.is_at_source

    def at_source(self, name: str) -> tuple[str, ...]:
        """Return the names that a column may have at the source."""
        column = self.column(name)
        return column.at_source if column else (name,)

    def in_source(self, names: Iterable[str | None], columns: Iterable[str]) -> Mapping[str, str]:
        """Map each of these columns to the source's column that it means; those that the source does not have are left out."""
        return source_columns({name: self.at_source(name) for name in names if name}, columns)

    def _parts(self, name: str | None, columns: Iterable[str]) -> Mapping[str, str]:
        """Map the names of the columns that a column is joined of to the source's."""
        column = self.column(name)
        return source_columns({part: (part,) for part in column.joined}, columns) if column else {}

    def lacking_parts(self, name: str, columns: Sequence[str]) -> list[str]:
        """Name what a column is joined of and the source does not have."""
        column, found = self.column(name), self._parts(name, columns)
        return [part for part in column.joined if part not in found] if column else []

    def places(self, name: str | None, columns: Sequence[str]) -> tuple[int, ...]:
        """Return the places of a column's texts in a row: of its parts if it is joined, else of one; none if it is not there."""
        found = self._parts(name, columns) or self.in_source([name], columns)
        return tuple(columns.index(one) for one in found.values())


def read_contracts(project: Path = PROJECT) -> dict[str, Contract]:
    """Read every dataset's contract from `models/staging/staging_*.yml`. Bad YAML is Permanent and names the field."""
    folder = project / "models" / "staging"
    contracts: dict[str, Contract] = {}
    paths: dict[str, Path] = {}
    for path in sorted(folder.glob("staging_*.yml")):
        for contract in _contracts_of(path):
            if contract.dataset in contracts:
                raise bad(path, contract.dataset, "has a second contract")
            contracts[contract.dataset], paths[contract.dataset] = contract, path
    if not contracts:
        raise Permanent(
            "the dbt project has no contracts",
            where=str(folder),
            todo="restore the staging_*.yml files in this folder, such as by `git restore`",
        )
    for name, contract in contracts.items():
        if contract.part_of and contract.part_of not in contracts:
            what = f"names {contract.part_of}, which is not a dataset{guess(contract.part_of, contracts)}"
            raise bad(paths[name], f"{name}.part_of", what)
        of_source = [one for one in contracts.values() if one.source == contract.source]
        if other := next((one for one in of_source if one.kind != contract.kind), None):
            what = f"is {contract.source}, of kind {contract.kind}, but {other.dataset} reads it as kind {other.kind}: give one of them another name"
            raise bad(paths[name], f"{name}.source", what)
        # a source that is off may have given some of its datasets to another
        fault = KINDS[contract.kind].together(of_source) if contract.kind and is_on(contract.source) else None
        if fault:
            raise bad(paths[fault[0]], f"{fault[0]}.{fault[1]}", fault[2])
    return contracts


def kind_by_source(contracts: Mapping[str, Contract]) -> dict[str, str]:
    """Return the kind of every source, on or off, in the order of KINDS, without importing its code."""
    order = {kind: place for place, kind in enumerate(KINDS)}
    kinds = {contract.source: contract.kind for contract in contracts.values() if contract.kind}
    return dict(sorted(kinds.items(), key=lambda one: (order[one[1]], one[0])))


def every_source(contracts: Mapping[str, Contract]) -> tuple[str, ...]:
    """Name every source, on or off."""
    return tuple(kind_by_source(contracts))


def source_names(contracts: Mapping[str, Contract]) -> tuple[str, ...]:
    """Name the sources that are on: all but those that CLEARWELL_SOURCES leaves out."""
    return tuple(source_ends(contracts))


def source_ends(contracts: Mapping[str, Contract]) -> dict[str, datetime | None]:
    """Name the sources that are on, each with the time at which it ended, or None."""
    return sources_on(every_source(contracts))


def read_contract(path: Path) -> Contract:
    """Read the one contract of a file."""
    found = _contracts_of(path)
    if len(found) != 1:
        raise Permanent(f"the file holds {len(found)} contracts instead of one", where=str(path), todo="fix the YAML")
    return found[0]


def _contracts_of(path: Path) -> tuple[Contract, ...]:
    try:
        text = read_text(path)
    except OSError as error:
        raise Permanent(
            f"a contract cannot be read: {error}", where=str(path), todo="check the path and the file's permissions"
        ) from error
    return _parsed(path, text)


@lru_cache(maxsize=256)
def _parsed(path: Path, text: str) -> tuple[Contract, ...]:
    """Make the contracts of a file's text. A build asks for all of them seven times, and each landing once."""
    return tuple(_contract(table, path) for table in _bronze_tables(text, path))


def _bronze_tables(text: str, path: Path) -> list[dict[str, Any]]:
    return [
        mapping(table, path, "tables")
        for source in entries(parse_yaml(text, path), path, "sources")
        if source.get("name") == "bronze"
        for table in items(source.get("tables"), path, "tables")
    ]


def _contract(table: dict[str, Any], path: Path) -> Contract:
    if table.get("name") in (None, ""):
        raise bad(path, "name", "is missing")
    dataset = text_of(table["name"], path, "name")
    if not _NAME.fullmatch(dataset):
        raise bad(path, "name", f"is {dataset!r}: a dataset's name may hold only lower-case letters, digits and _")
    reader = Fields(read_meta(table, path, dataset), path, dataset)
    reader.only(_META)
    kind = kind_of(reader)
    columns = tuple(
        read_column(mapping(column, path, f"{dataset}.columns"), path, dataset)
        for column in items(table.get("columns"), path, f"{dataset}.columns")
    )
    names = [column.name for column in columns]
    # DuckDB ignores the case of names.
    twice = [name for place, name in enumerate(names) if name.lower() in (one.lower() for one in names[:place])]
    for name in names:
        if why := unfit(name, names):
            raise bad(path, f"{dataset}.{name}", why)
    if twice or not names:
        raise bad(path, f"{dataset}.columns", f"names {twice[0]} twice" if twice else "is empty or missing")
    cadence, breaker_share = _cadence(reader), _breaker_share(reader)
    settings = KINDS[kind].settings(reader, names) if kind else None
    contract = Contract(
        dataset=dataset,
        version=reader.whole("contract_version"),
        source=reader.text("source"),
        kind=kind,
        settings=settings,
        format=reader.one_of("format", FORMATS),
        key=reader.names("key", names),
        version_column=reader.column_or_none("version_column", names),
        event_time=reader.column_or_none("event_time", names),
        cadence=cadence,
        lateness=reader.duration("lateness"),
        expect_records_every=reader.duration("expect_records_every") if reader.has("expect_records_every") else None,
        owner=reader.text("owner"),
        service_level=read_service_level(reader, cadence, breaker_share),
        columns=columns,
        money=_money(reader, names) if reader.has("money") else None,
        dated_key=reader.flag("dated_key"),
        longest_record=reader.whole("longest_record") if reader.has("longest_record") else LONGEST_RECORD,
        record_date=reader.column_or_none("record_date", names),
        part_of=reader.text_or_none("part_of"),
        breaker_share=breaker_share,
        where=(*read_where(reader), *of_each(settings)),
        publish_personal=reader.flag("publish_personal"),
    )
    _check_source_names(contract, path)
    return contract


def _check_source_names(contract: Contract, path: Path) -> None:
    """Refuse names at the source that two columns share, or that nothing reads."""
    meant: dict[str, tuple[str, str]] = {}
    for column in contract.columns:
        field = f"{contract.dataset}.{column.name}.from"
        for name in column.at_source:
            if not column.is_at_source:
                continue
            # two columns may say `from` the same one: a time may be both the event's and the version
            before, other_name = meant.get(fold(name), ("", None))
            other = contract.column(other_name)
            if other and (other is column or not _may_share(contract, (column, name), (other, before))):
                raise bad(path, field, f"is {name}, which {other.name} is read from already")
            meant[fold(name)] = name, column.name
            if is_path(name) and contract.format != "json_lines":
                raise bad(path, field, f"is {name}: only lines have paths")
        if column.json_types and contract.format != "json_lines":
            raise bad(path, f"{contract.dataset}.{column.name}.json_types", "is for lines: rows have texts only")
    if contract.where and contract.kind == "table":
        raise Permanent(
            f"contract field {contract.dataset}.where is for files: of a database, a `query` chooses the rows",
            where=str(path),
            todo=f"in place of `table` and `where`, write {as_query(contract.settings, contract.where)}",
        )
    for name in (name for one in contract.where for name in one.names):
        if is_path(name) and contract.format != "json_lines":
            raise bad(path, f"{contract.dataset}.where.from", f"is {name}: only lines have paths")


def _may_share(contract: Contract, *read: tuple[Column, str]) -> bool:
    """Say whether two columns may be read from one name. Of a line, JSON is read in another way than text, and case matters."""
    is_said = all(column.source_names or column.joined for column, _ in read)
    are_texts = not any(column.type == "json" for column, _ in read)
    return is_said and (contract.format == "rows" or (are_texts and len({name for _, name in read}) == 1))


def _cadence(reader: Fields) -> timedelta:
    cadence = reader.duration("cadence")
    if cadence not in CADENCES:
        known = " or ".join(say_duration(one) for one in CADENCES)
        raise bad(reader.path, f"{reader.name}.cadence", f"is {say_duration(cadence)}, and must be one of: {known}")
    return cadence


def _money(reader: Fields, columns: list[str]) -> Money:
    money = Fields(
        mapping(reader.meta["money"], reader.path, f"{reader.name}.money"), reader.path, f"{reader.name}.money"
    )
    money.only(("column", "amount", "currency"))
    return Money(money.column("column", columns), money.text("amount"), money.column_or_none("currency", columns))


def _breaker_share(reader: Fields) -> float:
    name = f"{reader.name}.breaker"
    breaker = Fields(mapping(reader.meta.get("breaker"), reader.path, name), reader.path, name)
    breaker.only(("share",))
    return breaker.share("share", BREAKER_SHARE)
