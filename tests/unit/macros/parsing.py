"""`parse_records` as dbt renders it, without dbt: the records of one batch, parsed under a dataset's own contract."""

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.contract import PROJECT, read_yaml
from tests.unit.macros.dbt_like import project

LANDED = datetime.datetime(2026, 11, 3)
Row = dict[str, Any]


def parsed(
    dataset: str,
    folder: Path,
    table: pa.Table,
    *,
    source: str = "clickstream",
    names: Mapping[str, str] = MappingProxyType({}),
    columns: Mapping[str, Row] = MappingProxyType({}),
    memory: str = "2GB",
    **meta: Any,
) -> list[Row]:
    """Parse a table of bronze as one batch of the dataset, in order.

    `meta` changes its contract, `names` says what its source calls some columns, and `columns` changes their meta.
    """
    file = folder / "batch-1" / "part-0.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    numbers = pa.array(range(1, table.num_rows + 1), pa.int64())
    pq.write_table(table.add_column(0, "record_no", numbers), file)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set memory_limit = '{memory}'")
        connection.execute(
            "create table plan_batches as select $1 as dataset, 'batch-1' as batch_id, $2 as source,"
            " date '2026-11-01' as window_date, $3::timestamp as landed_at, true as is_entering, [$4] as files,"
            " $5 as columns, $6::bigint as records_written, map([]::varchar[], []::varchar[]) as renamed",
            [dataset, source, LANDED, str(file), table.column_names, table.num_rows],
        )
        sql = project(connection, {dataset: contract_with(dataset, names, columns, **meta)})["parse_records"](dataset)
        result = connection.execute(f"select * from ({sql}) order by record_no")
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def lines(texts: Iterable[bytes], file: str = "a.jsonl") -> pa.Table:
    """Make a table of bronze from lines, each with its newline, if it has one."""
    rows = [(one, None) if _is_text(one) else (None, one) for one in texts]
    return pa.table(
        {
            "raw": pa.array([text for text, _ in rows], pa.binary()).cast(pa.string()),
            "raw_bytes": pa.array([other for _, other in rows], pa.binary()),
            "file": [file] * len(rows),
            "line_number": pa.array(range(1, len(rows) + 1), pa.int64()),
        }
    )


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def contract_with(
    dataset: str, names: Mapping[str, str | list[str]], columns: Mapping[str, Row] = MappingProxyType({}), **meta: Any
) -> Row:
    """Return the table of a dataset's source YAML, with some of its meta and data types changed, and the names that its source has."""
    body = read_yaml(PROJECT / "models" / "staging" / f"staging_{dataset}.yml")
    (table,) = body["sources"][0]["tables"]
    for column in table["columns"]:
        if column["name"] in names:
            column.setdefault("config", {}).setdefault("meta", {})["from"] = names[column["name"]]
        said = dict(columns.get(column["name"], {}))
        column["data_type"] = said.pop("data_type", column["data_type"])
        column.setdefault("config", {}).setdefault("meta", {}).update(said)
    return {**table, "config": {"meta": {**table["config"]["meta"], **meta}}}
