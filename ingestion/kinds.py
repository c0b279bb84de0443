"""The kinds of source. Each says how records are obtained, and which fields of a contract are its settings.

A new kind is a module with `ingest(source, run)`, and a line in KINDS. Settings are read here and not in the module, because
every command reads the contracts, and few need the module.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ingestion.connections import NAME
from ingestion.errors import ClearwellError
from ingestion.fields import Fields, bad, guess, mapping, text_of

if TYPE_CHECKING:
    from ingestion.contract import Contract
    from ingestion.home import Home
    from ingestion.land import Landing, Run


@dataclass(frozen=True)
class Problem:
    """What would keep a source, or one dataset of it, from landing; `todo` is what to do about it."""

    source: str
    dataset: str
    what: str
    where: str = ""
    todo: str = ""

    def __str__(self) -> str:
        of = f"{self.source}: {self.dataset}" if self.dataset else self.source
        where, todo = (f" ({self.where})" if self.where else ""), (f". Next: {self.todo}" if self.todo else "")
        return f"{of}: {self.what}{where}{todo}"

    @classmethod
    def of(cls, error: ClearwellError, source: str, dataset: str = "") -> "Problem":
        """Return an error that landing would raise as a problem."""
        return cls(source, dataset, error.what, error.where or "", error.todo or "")


@dataclass(frozen=True)
class Files:
    """Where the files of a `file` source are (`location`), and the three columns of one that has a column per kind (`unpivot`)."""

    location: str
    unpivot: tuple[str, ...] = ()


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

    @property
    def is_whole(self) -> bool:
        return not (self.placed or self.changed or self.lands_with)


# What is wrong with the contracts of one source, taken together: the dataset, its field, and what to say of it.
Fault = tuple[str, str, str]


@dataclass(frozen=True)
class Kind:
    """A kind of source: the module that lands it, the fields of a contract that are its settings, and how they are read.

    A contract that has the field `implied_by` is of this kind; any other says `kind`.
    """

    module: str
    fields: tuple[str, ...] = ()
    settings: Callable[[Fields, list[str]], Any] = lambda _reader, _columns: None
    implied_by: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("rows",)
    # Find what is wrong between the contracts of one source.
    together: Callable[[Sequence["Contract"]], Fault | None] = lambda _contracts: None
    # The datasets that it lands, all of them and no other, where it knows them by name.
    datasets: tuple[str, ...] = ()

    def ingest(self, source: str, run: "Run") -> "Landing":
        """Land one window of a source of this kind."""
        landing: Landing = import_module(self.module).ingest(source, run)
        return landing

    def check(self, source: str, contracts: Sequence["Contract"], home: "Home") -> list[Problem]:
        """Find what would keep a source of this kind from landing, without landing anything."""
        problems: list[Problem] = import_module(self.module).check(source, contracts, home)
        return problems


def _files(reader: Fields, columns: list[str]) -> Files:
    return Files(reader.text("location"), _unpivot(reader, columns) if reader.has("unpivot") else ())


def _unpivot(reader: Fields, columns: list[str]) -> tuple[str, ...]:
    names = reader.names("unpivot", columns)
    if len(set(names)) != 3 or len(names) != 3:
        raise bad(reader.path, f"{reader.name}.unpivot", "must name three columns: of dates, of kinds, of values")
    return names


_QUOTED = r'"(?:[^"]|"")+"'
_TABLE = re.compile(rf'({_QUOTED}|[^".]+)(?:\.({_QUOTED}|[^".]+))?')
# A string, a quoted name, or a comment: what may hold anything.
_OPAQUE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$\w*\$).*?\1|--[^\n]*|/\*.*?\*/", re.DOTALL)


def _table(reader: Fields, columns: list[str]) -> Table:
    connection = reader.text("connection")
    if not NAME.fullmatch(connection):
        raise bad(reader.path, f"{reader.name}.connection", "must be a plain name: letters, digits and _")
    if reader.has("table") == reader.has("query"):
        raise bad(reader.path, f"{reader.name}.table", "or `query` must be given, and not both")
    return Table(
        connection,
        name=_table_name(reader) if reader.has("table") else (),
        query=_query(reader) if reader.has("query") else "",
        placed=reader.text_or_none("placed"),
        changed=reader.text_or_none("changed"),
        lands_with=_lands_with(reader, columns) if reader.has("lands_with") else None,
    )


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


def _tables_together(contracts: Sequence["Contract"]) -> Fault | None:
    """Find a second connection, a `lands_with` that leads nowhere or in a circle, and rows whose versions cannot be told apart."""
    by_name = {one.dataset: one for one in contracts}
    for one in contracts:
        first, with_ = contracts[0], one.settings.lands_with
        if one.settings.connection != first.settings.connection:
            what = f"is {one.settings.connection}, but {first.dataset} of the same source is read from {first.settings.connection}"
            return one.dataset, "connection", f"{what}: one source is one snapshot of one database; name another source"
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
        is_changed = column.values or column.missing or column.thousands or column.time_formats != ("iso",)
        if (is_key or is_time) and (is_changed or not column.is_at_source):
            what = "is a key or a time of a table, which must be read as it is: convert it in a `query` instead"
            return contract.dataset, column.name, what
    return None


KINDS: Mapping[str, Kind] = {
    "shop": Kind("ingestion.sources.orders", datasets=("orders", "order_items", "customers", "products")),
    "hours": Kind("ingestion.sources.clickstream", formats=("json_lines",), datasets=("clickstream",)),
    "file": Kind("ingestion.sources.tables", ("location", "unpivot"), _files, implied_by=("location",)),
    "table": Kind(
        "ingestion.sources.database_tables",
        ("connection", "table", "query", "placed", "changed", "lands_with"),
        _table,
        implied_by=("table", "query"),
        together=_tables_together,
    ),
}
# What Clearwell writes itself: it has contracts, and no source.
OWN = ("decisions", "source_counts")
FIELDS = ("kind", *(field for kind in KINDS.values() for field in kind.fields))


def kind_of(reader: Fields) -> str | None:
    """Read which kind of source a contract is of; None for records that Clearwell writes itself."""
    source = reader.text("source")
    implied = [name for name, kind in KINDS.items() if any(map(reader.has, kind.implied_by))]
    said = reader.one_of("kind", tuple(KINDS)) if reader.has("kind") else None
    if source in OWN:
        if said or implied:
            raise bad(reader.path, f"{reader.name}.source", f"is {source}, which Clearwell writes itself: name another")
        return None
    kind = said or next(iter(implied), None)
    if not kind:
        ways = ", ".join(f"`{field}`" for one in KINDS.values() for field in one.implied_by)
        what = f"does not say where {source} comes from: give {ways}, or `kind`, one of {', '.join(KINDS)}"
        raise bad(reader.path, f"{reader.name}.source", what)
    others = [field for field in FIELDS[1:] if field not in KINDS[kind].fields and reader.has(field)]
    if others:
        raise bad(
            reader.path,
            f"{reader.name}.{others[0]}",
            f"is no setting of a source of kind {kind}{guess(others[0], KINDS[kind].fields)}",
        )
    reader.one_of("format", KINDS[kind].formats)
    return kind
