"""The kinds of source. Each says how records are obtained, and which fields of a contract are its settings.

A new kind is a module with `ingest(source, run)`, and a line in KINDS. Settings are read here and not in the module, because
every command reads the contracts, and few need the module.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ingestion.fields import Fields, bad, guess

if TYPE_CHECKING:
    from ingestion.land import Landing, Run


@dataclass(frozen=True)
class Files:
    """Where the files of a `file` source are (`location`), and the three columns of one that has a column per kind (`unpivot`)."""

    location: str
    unpivot: tuple[str, ...] = ()


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
    # The datasets that it lands, all of them and no other, where it knows them by name.
    datasets: tuple[str, ...] = ()

    def ingest(self, source: str, run: "Run") -> "Landing":
        """Land one window of a source of this kind."""
        landing: Landing = import_module(self.module).ingest(source, run)
        return landing


def _files(reader: Fields, columns: list[str]) -> Files:
    return Files(reader.text("location"), _unpivot(reader, columns) if reader.has("unpivot") else ())


def _unpivot(reader: Fields, columns: list[str]) -> tuple[str, ...]:
    names = reader.names("unpivot", columns)
    if len(set(names)) != 3 or len(names) != 3:
        raise bad(reader.path, f"{reader.name}.unpivot", "must name three columns: of dates, of kinds, of values")
    return names


KINDS: Mapping[str, Kind] = {
    "shop": Kind("ingestion.sources.orders", datasets=("orders", "order_items", "customers", "products")),
    "hours": Kind("ingestion.sources.clickstream", formats=("json_lines",), datasets=("clickstream",)),
    "file": Kind("ingestion.sources.tables", ("location", "unpivot"), _files, implied_by=("location",)),
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
