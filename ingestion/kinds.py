"""The kinds of source. Each says how records are obtained, and which fields of a contract are its settings.

A new kind is a module with `ingest(source, run)` and `check(source, contracts, home)`, and a line in KINDS. Settings are read beside
it and not in the module, because every command reads the contracts, and few need the module.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ingestion.errors import ClearwellError
from ingestion.fields import Fields, bad, guess
from ingestion.file_settings import read_files
from ingestion.table_settings import Fault, check_together, read_table

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
    # The page of docs/ about it.
    page: str = ""
    # Whether a window in the past is landed as it is now at the source, because the source has no times.
    has_no_past: Callable[["Contract"], bool] = lambda _contract: False
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


KINDS: Mapping[str, Kind] = {
    "table": Kind(
        "ingestion.sources.database_tables",
        ("connection", "primary", "table", "query", "placed", "changed", "lands_with", "pages"),
        read_table,
        implied_by=("table", "query"),
        together=check_together,
        page="docs/tables.md",
        has_no_past=lambda contract: contract.settings.is_whole,
    ),
    "hours": Kind(
        "ingestion.sources.clickstream", formats=("json_lines",), page="docs/files.md", datasets=("clickstream",)
    ),
    "file": Kind(
        "ingestion.sources.files",
        ("location", "unpivot", "csv", "each"),
        read_files,
        implied_by=("location",),
        formats=("rows", "json_lines"),
        page="docs/files.md",
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
