"""Corrected records: ordinary batches of their dataset, landed with the decisions that say what they correct."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from ingestion.contract import Contract, read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import describe, staging, write
from ingestion.manifest import Manifest
from ingestion.names import physical_names, renamed
from ingestion.sources import decisions
from ingestion.sources.decisions import Decision, Target
from ingestion.window import Window

SOURCE = "corrections"
_LINES = pa.schema(
    [("raw", pa.string()), ("raw_bytes", pa.binary()), ("file", pa.string()), ("line_number", pa.int64())]
)


@dataclass(frozen=True)
class Correction:
    """A record that replaces another: the raw line, or the row as a JSON object of its columns."""

    target: Target
    window: Window
    raw: str


def land(home: Home, corrections: Sequence[Correction], reason: str, by: str, at: datetime) -> list[Manifest]:
    """Land corrections and the decisions about them: all of them enter a build, or none does."""
    contracts = read_contracts()
    ordered = sorted(corrections, key=lambda one: (one.target.dataset, one.window, str(one.target)))
    with staging(home) as staged:
        decided: list[Decision] = []
        for (dataset, window), group in groupby(ordered, key=lambda one: (one.target.dataset, one.window)):
            members = list(group)
            folder = staged.folder(dataset)
            manifest = staged.add(folder, _stage(folder, contracts[dataset], window, members, at))
            decided += [
                decisions.correct(one.target, Target(dataset, manifest.batch_id, number), reason, by, at)
                for number, one in enumerate(members, 1)
            ]
        folder = staged.folder(decisions.DATASET)
        staged.add(folder, decisions.stage(folder, decided))
        return [manifest for manifest, _ in staged.commit(as_snapshot=True)]


def _stage(
    folder: Path, contract: Contract, window: Window, corrections: Sequence[Correction], at: datetime
) -> Manifest:
    table = _lines(corrections) if contract.format == "json_lines" else _rows(corrections)
    columns = tuple(table.schema.names)
    if contract.format == "rows":
        table = table.rename_columns(list(physical_names(columns).values()))
    return describe(
        write(folder, table),
        dataset=contract.dataset,
        source=SOURCE,
        window=window,
        contract_version=contract.version,
        landed_at=at,
        counted=len(corrections),
        content=(SOURCE, *((str(one.target), one.raw) for one in corrections)),
        columns=columns,
        renamed=renamed(columns) if contract.format == "rows" else {},
    )


def _lines(corrections: Sequence[Correction]) -> pa.Table:
    rows = [
        {"raw": one.raw, "raw_bytes": None, "file": f"correction of {one.target}", "line_number": 1}
        for one in corrections
    ]
    return pa.Table.from_pylist(rows, schema=_LINES)


def _rows(corrections: Sequence[Correction]) -> pa.Table:
    rows = [_texts(one) for one in corrections]
    names = sorted({name for row in rows for name in row})
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in names]))


def _texts(correction: Correction) -> Mapping[str, str | None]:
    try:
        row = json.loads(correction.raw, parse_float=str, parse_int=str)
    except ValueError as error:
        row = error
    if not isinstance(row, dict) or not row:
        raise Permanent(
            f"the correction of {correction.target} is not a JSON object of columns",
            todo="write it as `clearwell dead-letters show --json` prints it",
        )
    return {name: None if value is None else _text(value) for name, value in row.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
