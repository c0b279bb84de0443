"""The settings of a source of kind `table`: what is read of a database, and which rows a window holds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingestion.connections import NAME
from ingestion.fields import Fields, bad, guess, mapping, text_of
from ingestion.switch import VARIABLE

if TYPE_CHECKING:
    from ingestion.contract import Contract

# What is wrong with the contracts of one source, taken together: the dataset, its field, and what to say of it.
Fault = tuple[str, str, str]


@dataclass(frozen=True)
class LandsWith:
    """The rows of another dataset that a dataset's rows land with: those whose `matches` equal these `columns`."""

    dataset: str
    columns: tuple[str, ...]
    # None: the other dataset's key. Its rows then own ours: one that is gone from an owner that lands was deleted.
    matches: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """A table or query of a database, and which of its rows a window holds.

    `placed` and `changed` are columns of the contract or else of the table. Without them, and without `lands_with`, each window
    holds the whole table.
    """

    connection: str
    name: tuple[str, ...] = ()
    query: str = ""
    placed: str | None = None
    changed: str | None = None
    lands_with: LandsWith | None = None
    # How many rows one statement reads; None if one statement reads all.
    pages: int | None = None
    # The connection of the database that this one is a copy of.
    primary: str | None = None

    @property
    def is_whole(self) -> bool:
        return not (self.placed or self.changed or self.lands_with)


_QUOTED = r'"(?:[^"]|"")+"'
_TABLE = re.compile(rf'({_QUOTED}|[^".]+)(?:\.({_QUOTED}|[^".]+))?')
# A string, a quoted name, or a comment: what may hold anything.
_OPAQUE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$\w*\$).*?\1|--[^\n]*|/\*.*?\*/", re.DOTALL)


def read_table(reader: Fields, columns: list[str]) -> Table:
    """Read the settings of a contract."""
    connection, primary = reader.text("connection"), reader.text_or_none("primary")
    for field, name in (("connection", connection), ("primary", primary)):
        if name and not NAME.fullmatch(name):
            raise bad(reader.path, f"{reader.name}.{field}", "must be a plain name: letters, digits and _")
    if primary == connection:
        raise bad(
            reader.path, f"{reader.name}.primary", f"is {primary}, the connection that is read: name another, or none"
        )
    if reader.has("table") == reader.has("query"):
        raise bad(reader.path, f"{reader.name}.table", "or `query` must be given, and not both")
    return Table(
        connection,
        name=_table_name(reader) if reader.has("table") else (),
        query=_query(reader) if reader.has("query") else "",
        placed=reader.text_or_none("placed"),
        changed=reader.text_or_none("changed"),
        lands_with=_lands_with(reader, columns) if reader.has("lands_with") else None,
        pages=_pages(reader),
        primary=primary,
    )


def _pages(reader: Fields) -> int | None:
    if not reader.has("pages"):
        return None
    if reader.has("query"):
        raise bad(reader.path, f"{reader.name}.pages", "is for a `table`: a query has no index to be read by")
    return reader.whole("pages")


def _table_name(reader: Fields) -> tuple[str, ...]:
    """Read `schema.table`. A name that has a dot or a quotation mark is in quotation marks, as in SQL."""
    found = _TABLE.fullmatch(reader.text("table"))
    if not found:
        what = 'must be schema.table, such as sales.invoices; a name with a dot in it is in quotation marks: sales."in.voices"'
        raise bad(reader.path, f"{reader.name}.table", what)
    return tuple(part[1:-1].replace('""', '"') if part.startswith('"') else part for part in found.groups() if part)


def _query(reader: Fields) -> str:
    query = reader.text("query").strip().removesuffix(";")
    code = _OPAQUE.sub(" ", query)
    if ";" in code or not re.match(r"\s*\(*\s*(select|with|values|table)\b", code, re.IGNORECASE):
        raise bad(reader.path, f"{reader.name}.query", "must be one statement that begins with select, with or values")
    return query


def _lands_with(reader: Fields, columns: list[str]) -> LandsWith:
    field = f"{reader.name}.lands_with"
    inner = Fields(mapping(reader.meta["lands_with"], reader.path, field), reader.path, field)
    inner.only(("dataset", "column", "matches"))
    ours = _columns(inner, "column")
    for name in ours:
        if name not in columns:
            what = f"names {name}, which is not a column of the contract{guess(name, columns)}"
            raise bad(reader.path, f"{field}.column", what)
    return LandsWith(inner.text("dataset"), ours, _columns(inner, "matches") if inner.has("matches") else None)


def _columns(reader: Fields, field: str) -> tuple[str, ...]:
    """Read one name, or a list of names."""
    if not reader.has(field):
        raise bad(reader.path, f"{reader.name}.{field}", "is missing")
    value = reader.meta[field]
    return tuple(
        text_of(name, reader.path, f"{reader.name}.{field}") for name in (value if isinstance(value, list) else [value])
    )


def check_together(contracts: Sequence["Contract"]) -> Fault | None:
    """Find a second connection, a `lands_with` that leads nowhere or in a circle, and rows whose versions cannot be told apart."""
    by_name = {one.dataset: one for one in contracts}
    for one in contracts:
        first, with_ = contracts[0], one.settings.lands_with
        if one.settings.connection != first.settings.connection:
            what = f"is {one.settings.connection}, but {first.dataset} of the same source is read from {first.settings.connection}"
            return one.dataset, "connection", f"{what}: one source is one snapshot of one database; name another source"
        if one.settings.primary != first.settings.primary:
            what = f"is {one.settings.primary or 'missing'}, but {first.dataset} of the same source says {first.settings.primary}"
            return one.dataset, "primary", f"{what}: say the same in each, or in none"
        if not one.version_column and (not one.settings.placed or one.settings.changed or with_):
            what = "is missing: without it, nobody can say which of two contents of a row is later. A table that is read whole"
            return (
                one.dataset,
                "version_column",
                f"{what} may name a column that it does not have: the landing fills it in",
            )
        if fault := _fault_of_columns(one):
            return fault
        if not with_:
            continue
        if with_.dataset not in by_name:
            what = f"names {with_.dataset}, which is no dataset of source {one.source}{guess(with_.dataset, by_name)}"
            what += (
                f". If it has another source now, leave {one.source} out of {VARIABLE}, or read this one elsewhere too"
            )
            return one.dataset, "lands_with.dataset", what
        other = by_name[with_.dataset]
        theirs = with_.matches or other.key
        if odd := [name for name in theirs if name not in [column.name for column in other.columns]]:
            return one.dataset, "lands_with.matches", f"names {odd[0]}, which is not a column of {other.dataset}"
        if len(theirs) != len(with_.columns):
            what = f"names {len(with_.columns)} columns, but must name as many as match in {other.dataset}: {', '.join(theirs)}"
            return one.dataset, "lands_with.column", what
        seen, at = {one.dataset}, other
        while at.settings.lands_with and at.settings.lands_with.dataset in by_name:
            if at.dataset in seen:
                break
            seen.add(at.dataset)
            at = by_name[at.settings.lands_with.dataset]
        if at.dataset in seen:
            return one.dataset, "lands_with.dataset", f"leads back to {at.dataset}: one of them must land by itself"
        if other.settings.is_whole:
            what = f"names {other.dataset}, which is read whole: give it `placed` or `changed`, or read this table whole as well"
            return one.dataset, "lands_with.dataset", what
    return None


# Keys are compared by their text, in the table and in what Clearwell holds: of these types they are the same.
_KEY_TYPES = ("varchar", "bigint", "integer", "date")


def _fault_of_columns(contract: "Contract") -> Fault | None:
    """Find a key or a time that is not in the table as it is in the state: it would not be recognized."""
    times = (contract.version_column, contract.event_time)
    for column in contract.columns:
        is_key, is_time = column.name in contract.key, column.name in times
        if is_key and column.type not in _KEY_TYPES:
            what = f"is {column.type}, and a key of a table must be one of {', '.join(_KEY_TYPES)}: make it varchar"
            return contract.dataset, f"{column.name}.data_type", what
        is_changed = not column.is_plain_number or column.time_formats != ("iso",) or column.joined
        if (is_key or is_time) and (is_changed or not column.is_at_source):
            what = "is a key or a time of a table, which must be read as it is: convert it in a `query` instead"
            return contract.dataset, column.name, what
    return None
