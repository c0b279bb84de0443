"""The records behind the rows of a gold table, from the YAML beside its model."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingestion.contract import PROJECT, read_entries
from ingestion.errors import Permanent


@dataclass(frozen=True)
class Lineage:
    """A gold table: its grain as expressions over a silver table, and its measures as sums and distinct counts.

    `joined` names a second silver table whose rows give the first their context, and the column they share.
    """

    table: str
    silver: str
    grain: dict[str, str]
    where: str = "true"
    joined: tuple[str, str] | None = None
    adds: dict[str, str] = field(default_factory=dict)
    counts: dict[str, str] = field(default_factory=dict)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets whose records make up the rows."""
        tables = (self.silver, *(self.joined[:1] if self.joined else ()))
        return tuple(table.removeprefix("silver.") for table in tables)


def read_lineage(project: Path = PROJECT) -> dict[str, Lineage]:
    """Read the lineage of every gold table that is made of records from `models/gold/gold_*.yml`."""
    found = {}
    for path, model in read_gold(project):
        if "trace" not in model.get("config", {}).get("meta", {}):
            continue  # made of other gold tables or of aggregates: these are traced instead
        lineage = _lineage(model, path)
        found[lineage.table] = lineage
    return found


def gold_tables(project: Path = PROJECT) -> list[str]:
    """List the gold tables by the names of their models, without reading any."""
    return sorted(path.stem.removeprefix("gold_") for path in (project / "models" / "gold").glob("gold_*.sql"))


def read_gold(project: Path = PROJECT) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Read the YAML of every gold table: the file, and the model in it."""
    for path in sorted((project / "models" / "gold").glob("gold_*.yml")):
        for model in read_entries(path, "models"):
            yield path, model


def _lineage(model: dict[str, Any], path: Path) -> Lineage:
    try:
        meta = model["config"]["meta"]
        trace = meta["trace"]
        by = trace.get("by", {})
        return Lineage(
            table=model["name"].removeprefix("gold_"),
            silver=_table(trace["from"]),
            grain={name: by.get(name, name) for name in meta["grain"]},
            where=trace.get("where", "true"),
            joined=(_table(trace["with"]), trace["joined_by"]) if "with" in trace else None,
            adds={name: str(expression) for name, expression in trace.get("adds", {}).items()},
            counts=trace.get("counts", {}),
        )
    except KeyError as error:
        raise Permanent(
            f"the gold model {model['name']} has no {error.args[0]}",
            where=str(path),
            todo="add it to its config: {meta: …}",
        ) from None


def _table(model: str) -> str:
    schema, _, name = model.partition("_")
    return f"{schema}.{name}"
