"""Stage what a query of a database returns as batches, and records for keys that are gone. Every source in a database shares this."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pyarrow as pa

from ingestion import bronze
from ingestion.contract import Contract
from ingestion.land import Run, Staging, Written, describe, expect_records, write
from ingestion.manifest import Manifest
from ingestion.names import IS_DELETED, physical_names, renamed
from ingestion.sources import decisions
from ingestion.sources.copied import Copied, copy
from ingestion.sources.decisions import Target
from ingestion.sources.known import Standing
from ingestion.sources.pages import Pages
from ingestion.window import Window

# Rows are committed later than their time of change says: without the overlap a slow transaction would be missed.
OVERLAP = timedelta(hours=1)
BY = "clearwell"
# What a query is called in one around it. A column may have any name, so no short one.
ROWS = "clearwell_rows"


@dataclass(frozen=True)
class Taken:
    """The rows of a query as files in a folder, and their number as the database counts them in the same snapshot."""

    copied: Copied
    counted: int


def window_values(window: Window) -> dict[str, Any]:
    """Return what a window's queries ask for: its `start` and `end`, and where the `overlap` before it starts."""
    return {"start": window.start, "end": window.end, "overlap": window.start - OVERLAP}


def count(connection: psycopg.Connection[Any], selection: str, values: Mapping[str, Any]) -> int:
    """Count the rows of a query."""
    row = connection.execute(f"select count(*) from ({selection}) as {ROWS}", values).fetchone()
    return int(row[0]) if row else 0


def take(
    connection: psycopg.Connection[Any],
    selection: str,
    values: Mapping[str, Any],
    folder: Path,
    *,
    table: str,
    key: Sequence[str],
    is_unique: bool = True,
    more: Mapping[str, str] = MappingProxyType({}),
    pages: Pages | None = None,
) -> Taken:
    """Write a query's rows to a folder, with their number as the database counts them: those that it sent, or by a query.

    They are sorted, so that the same rows give the same bytes, and so the same batch, under any query plan: by `key`, the
    source's names, and by the whole row unless the key `is_unique`. `more` are columns with one value, besides. `pages` do the same in
    short statements. Without any `values`, psycopg would read a doubled % in a COPY as two.
    """
    if pages:
        copied = copy(connection, folder, selection, values, table=table, key=key, more=more, pages=pages)
        return Taken(copied, pages.counted)
    by = [f'{quoted(name)}::text collate "C"' for name in key]
    by += [] if is_unique else [f'({ROWS}.*)::text collate "C"']
    query = f"select * from ({selection}) as {ROWS} order by {', '.join(by)}"
    copied = copy(connection, folder, query, values, table=table, key=key, more=more)
    return Taken(copied, count(connection, selection, values) if copied.sent is None else copied.sent)


def describe_rows(
    run: Run, contract: Contract, taken: Taken, part: str = "", content: Iterable[object] = (), **more: Any
) -> Manifest:
    """Describe a batch of taken rows. `content` identifies it besides the rows; by default, they alone do."""
    copied = taken.copied
    if taken.counted or not part:
        run.report(f"{contract.dataset} {run.window}: {taken.counted:,} records{f' ({part})' if part else ''}")
    for message in copied.messages:
        run.report(message)
    return describe(
        Written(copied.files, copied.records),
        dataset=contract.dataset,
        source=contract.source,
        window=run.window,
        contract_version=contract.version,
        landed_at=run.landed_at,
        counted=taken.counted,
        content=(*((part,) if part else ()), copied.sha256, *content),
        columns=copied.columns,
        part=part,
        renamed=copied.renamed,
        **more,
    )


def write_gone(
    folder: Path, run: Run, contract: Contract, gone: Sequence[Standing], earlier: Sequence[Target]
) -> Manifest:
    """Write a record for each key that is gone, with the key and the last version before.

    `earlier` are the deletions of these keys that are known: a key that goes, comes back and goes again must be another batch.
    """
    names = [*contract.key, *([contract.version_column] if contract.version_column else [])]
    # two columns of a contract may be one at the source
    places = {contract.at_source(name)[0]: place for place, name in reversed(list(enumerate(names)))}
    columns = sorted(places, key=lambda column: places[column])
    rows = [tuple((*one.key, one.version)[place] for place in sorted(places.values())) for one in gone]
    physical = physical_names(columns).values()
    schema = pa.schema([*((name, pa.string()) for name in physical), (IS_DELETED, pa.bool_())])
    values = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return describe(
        write(folder, pa.Table.from_arrays([*values, pa.array([True] * len(rows))], schema=schema)),
        dataset=contract.dataset,
        source=contract.source,
        window=run.window,
        contract_version=contract.version,
        landed_at=run.landed_at,
        counted=len(rows),
        content=("gone", *rows, *map(str, earlier)),
        columns=tuple(columns),
        renamed=renamed(columns),
        part="gone",
    )


def names_of(gone: Sequence[Standing]) -> str:
    """Name the first keys, for a message."""
    return ", ".join(" ".join(one.key) for one in gone[:5]) + (" …" if len(gone) > 5 else "")


def stage_returned(staged: Staging, run: Run, returned: Sequence[Target], where: str) -> None:
    """Withdraw deletions whose key the source has again."""
    if returned:
        folder = staged.folder(decisions.DATASET)
        reason = f"{where} has the key again"
        withdrawn = [decisions.withdraw(one, reason, BY, run.landed_at) for one in returned]
        staged.add(folder, decisions.stage(folder, withdrawn))


def expect_rows(run: Run, contract: Contract, where: str, has_any: bool, *, or_before: bool = True) -> None:
    """Refuse a window without a row, where the contract expects some; those that landed `or_before` count as well."""

    def found() -> bool:
        return has_any or (or_before and _landed_before(run, contract))

    expect_records(run, contract, where, found)


def _landed_before(run: Run, contract: Contract) -> bool:
    return any(
        earlier.records_written
        for day in run.window.days()
        for earlier in bronze.readable(run.home, bronze.list_batches(run.home, contract.dataset, day.date))
    )


def quoted(name: str) -> str:
    """Quote a name for Postgres, in a query that has parameters."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def in_no_window(times: Sequence[str]) -> str:
    """Return the condition that no window holds any of these times: missing, infinite, or not of the years 1 to 9999."""
    return " and ".join(f"({one} is null or {one} < '0001-01-01' or {one} >= '10000-01-01')" for one in times)


def array(values: Iterable[str]) -> str:
    """Write values as a literal that Postgres accepts as an array of their type, whatever it is."""
    escaped = (one.replace("\\", "\\\\").replace('"', '\\"') for one in values)
    return "{" + ",".join(f'"{one}"' for one in escaped) + "}"
