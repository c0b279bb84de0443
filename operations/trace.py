"""Trace a record to its fate and its gold rows, and a number in gold back to the records that add up to it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion import bronze, compacted
from ingestion.contract import Contract, read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.manifest import Manifest
from ingestion.names import BAD_ROW, BRONZE_BATCH, NOT_UTF8, text_in_raw
from operations import letters
from operations.query import ALLOWED_CONDITION, parse_condition, session
from warehouse import state
from warehouse.lineage import Lineage, read_lineage

# The words of a summary for each fate, in the order in which they are listed.
_FATES = {
    "current": "current",
    "superseded": "superseded",
    "duplicate": "duplicate",
    "dead_letter": "refused",
    "withdrawn": "withdrawn",
}


@dataclass(frozen=True)
class Behind:
    """The requested gold rows, the records behind them, and the measures that do not add up, of which there should be none."""

    cells: list[state.Row]
    records: list[state.Row]
    differences: list[state.Row]


def gold(home: Home, table: str, where: str) -> Behind:
    """List the records behind the rows of a gold table that a condition picks."""
    lineages = read_lineage()
    lineage = lineages.get(table.removeprefix("gold."))
    if not lineage:
        raise Permanent(f"there is no gold table {table!r}", todo=f"name one of: {', '.join(lineages)}")
    with session(home) as connection:
        where = parse_condition(connection, f"gold.{lineage.table}", where)
        try:
            cells = state.rows(connection, f"select * from gold.{lineage.table} where {where} order by all")
        except (duckdb.InterruptException, duckdb.OutOfMemoryException):
            raise
        except duckdb.Error as error:
            raise Permanent(f"the condition cannot be read: {error}", todo=ALLOWED_CONDITION) from None
        records = state.rows(connection, _records_of(lineage, where))
        return Behind(cells, records, _differences(connection, lineage, where))


def _records_of(lineage: Lineage, where: str) -> str:
    joined = ""
    columns = [f"'{lineage.datasets[0]}' as dataset", "made.batch_id || ':' || made.record_no as record"]
    if lineage.joined:
        table, column = lineage.joined
        joined = f"left join {table} as joined on made.{column} = joined.{column}"
        columns.append(f"joined.batch_id || ':' || joined.record_no as {lineage.datasets[1]}_record")
    columns += [f"cells.{name}" for name in lineage.grain]
    columns += [f"made.{name}" for name in (*(f"count_{name}" for name in lineage.counts), *lineage.adds)]
    return f"""
        with cells as (select * from gold.{lineage.table} where {where}),
        made as ({_made(lineage)})
        select {", ".join(columns)}
        from made
        inner join cells on {_same(lineage, "made", "cells")}
        {joined}
        order by all
    """


def _made(lineage: Lineage) -> str:
    """Select the silver rows behind gold, with the gold row each is part of and what it adds to it."""
    columns = [f"{expression} as cell_{name}" for name, expression in lineage.grain.items()]
    columns += [f"{expression} as count_{name}" for name, expression in lineage.counts.items()]
    columns += [f"({expression}) as {name}" for name, expression in lineage.adds.items()]
    if lineage.joined:
        columns.append(lineage.joined[1])
    return (
        f"select batch_id, record_no, {', '.join(dict.fromkeys(columns))} from {lineage.silver} where {lineage.where}"
    )


def _same(lineage: Lineage, made: str, cells: str) -> str:
    return " and ".join(f"{made}.cell_{name} is not distinct from {cells}.{name}" for name in lineage.grain)


def _differences(connection: duckdb.DuckDBPyConnection, lineage: Lineage, where: str) -> list[state.Row]:
    """Return the measures that the records do not add up to; a table that shows records unchanged has no measures."""
    measures = {name: f"sum(made.{name})" for name in lineage.adds}
    measures |= {name: f"count(distinct made.count_{name})" for name in lineage.counts}
    grain = ", ".join(f"cells.{name}" for name in lineage.grain)
    parts = [
        f"""
        select {grain}, '{name}' as measure, any_value(cells.{name})::varchar as in_gold, ({total})::varchar as in_records
        from cells left join made on {_same(lineage, "made", "cells")}
        group by {grain}
        having case
            -- a cell that no record is behind has nothing, or 0
            when count(made.batch_id) = 0 then coalesce(any_value(cells.{name}), 0) <> 0
            else any_value(cells.{name}) is distinct from {total}
        end
        """
        for name, total in measures.items()
    ]
    if not parts:
        return []
    query = f"with cells as (select * from gold.{lineage.table} where {where}), made as ({_made(lineage)})"
    return state.rows(connection, f"{query} {' union all '.join(parts)}")


def record(home: Home, name: str) -> list[dict[str, Any]]:
    """Return everything about the records with an id: batch:record_no, or the first part of a key, such as an order id."""
    contracts = read_contracts()
    with session(home) as connection:
        found = _find(connection, contracts, name)
        if not found:
            raise Permanent(f"there is no record {name!r}", todo="name an order id, an event id, or BATCH:RECORD_NO")
        told = [_tell(home, connection, contracts[row["dataset"]], row) for row in found]
    refused = [one["record"] for one in told if one["fate"] == "dead_letter"]
    settled = letters.settled(home, refused) if refused else {}
    return [{**one, "letter": settled[one["record"]]} if one["record"] in settled else one for one in told]


def summary(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line per dataset: what became of the records found, and where in gold they are."""
    lines = []
    for dataset in dict.fromkeys(one["dataset"] for one in told):
        its = [one for one in told if one["dataset"] == dataset]
        fates = Counter(one["fate"] for one in its)
        said = [f"{dataset}: " + ", ".join(f"{fates[fate]} {word}" for fate, word in _FATES.items() if fates[fate])]
        refused = [one for one in its if one["fate"] == "dead_letter"]
        if refused:
            reasons = sorted({reason for one in refused for reason in one["reasons"]})
            letter = sorted({one.get("letter", "open") for one in refused})
            said.append(f"refused for {', '.join(reasons)}, and that is {', '.join(letter)}")
        decided = [one["decision"] for one in its if "decision" in one]
        said += sorted(
            {f"{one['action']} by {one['decided_by']}: {one['reason']}" for one in decided if "action" in one}
        )
        if "current" in fates:
            tables = sorted({row.split(" where ")[0] for one in its for row in one.get("gold", ())})
            said.append(f"in {', '.join(tables)}" if tables else "in no row of gold that is made of records")
        lines.append("; ".join(said))
    return lines


def _find(connection: duckdb.DuckDBPyConnection, contracts: dict[str, Contract], name: str) -> list[state.Row]:
    batch_id, _, number = name.rpartition(":")
    by_place = bool(batch_id) and number.isdecimal()
    parts = []
    for dataset, contract in contracts.items():
        first = contract.key[0]
        condition = "batch_id = $1 and record_no = $2" if by_place else f"{first}::varchar = $1"
        parts.append(
            f"select '{dataset}' as dataset, batch_id, record_no, record_date, fate, decision, null::varchar[] as reasons"
            f" from records.{dataset} where {condition}"
        )
        in_raw = f"json_valid(raw) and {text_in_raw(contract.at_source(first))} = $1"
        parts.append(
            "select dataset, batch_id, record_no, record_date, fate, decision, reasons from records.refused"
            f" where dataset = '{dataset}' and {condition if by_place else in_raw}"
        )
    parameters = [batch_id, int(number)] if by_place else [name]
    query = f"select * from ({' union all '.join(parts)}) order by dataset, record_date, batch_id, record_no"
    return state.rows(connection, query, parameters)


def _tell(home: Home, connection: duckdb.DuckDBPyConnection, contract: Contract, row: state.Row) -> dict[str, Any]:
    manifest = _manifest(home, connection, row)
    told = {
        "record": f"{row['batch_id']}:{row['record_no']}",
        "dataset": row["dataset"],
        "fate": row["fate"],
        "record_date": row["record_date"],
        "source": manifest.source,
        "window": str(manifest.window),
        "landed_at": manifest.landed_at,
        "contract_version": manifest.contract_version,
        **_origin(home, contract, manifest, row["record_no"]),
    }
    if row["reasons"]:
        told["reasons"] = row["reasons"]
    if row["decision"]:
        told["decision"] = _decision(connection, row["decision"])
    elif row["fate"] in ("superseded", "duplicate"):
        told["lost_to"] = _winner(connection, contract, row)
    if row["fate"] == "current":
        told["gold"] = _gold_rows(connection, row)
    return told


def _manifest(home: Home, connection: duckdb.DuckDBPyConnection, row: state.Row) -> Manifest:
    query = "select window_date from ops.batches where batch_id = $1"
    found = state.rows(connection, query, [row["batch_id"]])
    return bronze.read_manifest(home, bronze.BatchRef(row["dataset"], found[0]["window_date"], row["batch_id"]))


def _origin(home: Home, contract: Contract, manifest: Manifest, record_no: int) -> dict[str, Any]:
    """Read the raw record from bronze: its file and line if it has them, else the row as JSON by the source's names."""
    for path in bronze.parquet_files(home, manifest):
        its = pc.field("record_no") == record_no
        if compacted.is_shared(path):
            its &= pc.field(BRONZE_BATCH) == manifest.batch_id
        table = pq.read_table(path, filters=its, partitioning=None)
        for raw in table.to_pylist():
            if contract.format == "rows" and not raw.get(BAD_ROW):
                row = {name: raw.get(manifest.renamed.get(name, name)) for name in manifest.columns}
                bad = {f"bytes of {name}": repr(value) for name, value in raw.get(NOT_UTF8) or ()}
                return {"raw": json.dumps(row)} | bad
            raw = raw.get(BAD_ROW) or raw
            text = raw["raw"] if raw["raw"] is not None else repr(raw["raw_bytes"])
            return {"file": raw["file"], "line": raw["line_number"], "raw": text.rstrip("\n")}
    return {"raw": None}


def _decision(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    batch_id, _, number = name.rpartition(":")
    query = """
        select action, reason, decided_by, decided_at, correcting_batch_id || ':' || correcting_record_no as corrected_by
        from records.decisions where batch_id = $1 and record_no = $2
    """
    found = state.rows(connection, query, [batch_id, int(number)])
    return {name: value for name, value in found[0].items() if value is not None} if found else {"record": name}


def _winner(connection: duckdb.DuckDBPyConnection, contract: Contract, row: state.Row) -> str | None:
    key = " and ".join(f"one.{name} is not distinct from other.{name}" for name in contract.key)
    dated = " and one.record_date = other.record_date" if contract.dated_key else ""
    query = f"""
        select other.batch_id || ':' || other.record_no as record
        from records.{row["dataset"]} as one
        inner join records.{row["dataset"]} as other on {key}{dated} and other.fate = 'current'
        where one.batch_id = $1 and one.record_no = $2
    """
    found = state.rows(connection, query, [row["batch_id"], row["record_no"]])
    return str(found[0]["record"]) if found else None


def _gold_rows(connection: duckdb.DuckDBPyConnection, row: state.Row) -> list[str]:
    """List the gold rows that a current record is part of, by their grain."""
    named = []
    for lineage in read_lineage().values():
        if row["dataset"] in lineage.datasets:
            grain = ", ".join(f"{expression} as {name}" for name, expression in lineage.grain.items())
            found = state.rows(
                connection,
                f"select distinct {grain} from {lineage.silver} where {lineage.where} and {_its(lineage, row)} order by all",
                [row["batch_id"], row["record_no"]],
            )
            named += [
                f"gold.{lineage.table} where " + " and ".join(f"{name} = '{value}'" for name, value in cell.items())
                for cell in found
            ]
    return named


def _its(lineage: Lineage, row: state.Row) -> str:
    place = "batch_id = $1 and record_no = $2"
    if row["dataset"] == lineage.datasets[0]:
        return place
    assert lineage.joined
    table, column = lineage.joined
    return f"{column} in (select {column} from {table} where {place})"
