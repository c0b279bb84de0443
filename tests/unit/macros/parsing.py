"""`parse_records` as dbt renders it, without dbt: the records of one batch, parsed under a dataset's own contract."""

import datetime
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import duckdb
import jinja2
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.contract import PROJECT, read_yaml

LANDED = datetime.datetime(2026, 11, 3)
Row = dict[str, Any]


class _Return(Exception):
    """What dbt's `return` does: end the macro with a value that need not be text."""


def parsed(dataset: str, folder: Path, table: pa.Table, *, source: str = "clickstream", **meta: Any) -> list[Row]:
    """Parse a table of bronze as one batch of the dataset, in order; `meta` changes its contract."""
    file = folder / "batch-1" / "part-0.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    numbers = pa.array(range(1, table.num_rows + 1), pa.int64())
    pq.write_table(table.add_column(0, "record_no", numbers), file)
    sql = _render(dataset, file, meta)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            "create table plan_batches as select $1 as dataset, 'batch-1' as batch_id, $2 as source,"
            " date '2026-11-01' as window_date, $3::timestamp as landed_at, true as is_entering",
            [dataset, source, LANDED],
        )
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


def _render(dataset: str, file: Path, meta: Row) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"])
    text = (PROJECT / "macros" / "parse.sql").read_text()
    answer = SimpleNamespace(columns=[SimpleNamespace(values=lambda: [str(file)])])
    given: dict[str, Callable[..., Any] | bool] = {
        "return": _give_back,
        "contract": lambda name: _contract(name, meta),
        "ref": str,
        "source": lambda *names: ".".join(names),
        "run_query": lambda query: answer,
        "execute": True,
    }
    call = jinja2.runtime.Macro.__call__

    def catching(macro: jinja2.runtime.Macro, *arguments: Any, **named: Any) -> Any:
        try:
            return call(macro, *arguments, **named)
        except _Return as returned:
            return returned.args[0]

    with mock.patch.object(jinja2.runtime.Macro, "__call__", catching):
        return str(environment.from_string(text, given).module.parse_records(dataset))  # type: ignore[attr-defined]


def _give_back(value: Any) -> Any:
    raise _Return(value)


def _contract(dataset: str, meta: Row) -> Row:
    body = read_yaml((PROJECT / "models" / "staging" / f"staging_{dataset}.yml").read_text())
    (table,) = body["sources"][0]["tables"]
    columns = [
        SimpleNamespace(name=one["name"], data_type=one["data_type"], config=SimpleNamespace(meta=_meta(one)))
        for one in table["columns"]
    ]
    return {"meta": {**_meta(table), **meta}, "columns": columns}


def _meta(node: Row) -> Row:
    return dict((node.get("config") or {}).get("meta") or {})
