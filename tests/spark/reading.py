"""Read the same records with both engines, without a build."""

import json
import os
import re
import subprocess
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.spark import servers
from tests.unit.macros.dbt_like import project_of
from tests.unit.macros.parsing import LANDED, contract_with, parsed
from warehouse import java, spark

OUT_OF_CALENDAR = re.compile(r"\d{4}-\d{2}-\d{2}.* \(BC\)|\d{5,}-\d{2}-\d{2}")


class Asked:
    """A Spark that answers queries."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [str(spark.python()), str(Path(__file__).with_name("asking.py")), json.dumps(servers.settings())],
            env={
                **os.environ,
                **java.settings(spark.python().parent.parent, folder / "java"),
                "SPARK_LOCAL_DIRS": str(folder),
                "TMPDIR": str(folder),
            },
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "log").open("wb"),
            text=True,
        )

    def ask(self, query: str) -> tuple[list[str], list[list[Any]]]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(query) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["columns"], answer["rows"]

    def values(self, query: str) -> list[tuple[Any, ...]]:
        columns, rows = self.ask(query)
        return list(zip(*rows, strict=True)) or [()] * len(columns)


def plain(value: Any) -> Any:
    """Return a value as Spark's answer has it. Python has no time out of the calendar: DuckDB gives its text."""
    if isinstance(value, str) and OUT_OF_CALENDAR.match(value):
        return None
    return str(value) if isinstance(value, date | datetime | Decimal) else value


def both(asked: Asked, folder: Path, dataset: str, table: pa.Table, **said: Any) -> tuple[list[Any], list[Any]]:
    """Parse a table of bronze on both engines; return the rows of each, in order."""
    by_duckdb = parsed(dataset, folder, table, source="files", **said)
    asked.ask(
        f"create or replace temporary view plan_batches as select '{dataset}' as dataset, 'batch-1' as batch_id, 'files' as source,"
        f" date '2026-11-01' as window_date, timestamp_ntz '{LANDED}' as landed_at, true as is_entering,"
        f" array('{folder / 'batch-1' / 'part-0.parquet'}') as files, array({', '.join(repr(one) for one in table.column_names)}) as columns,"
        f" {table.num_rows}L as records_written, cast(map() as map<string, string>) as renamed"
    )
    contract = contract_with(dataset, said.pop("names", {}), said.pop("columns", {}), **said)
    sql = project_of("spark", asked.values, {dataset: contract})["parse_records"](dataset)
    _, described = asked.ask(f"describe query {sql}")
    within = [
        f"case when year({name}) between 1 and 9999 then {name} end as {name}"
        if kind in ("date", "timestamp_ntz")
        else name
        for name, kind, _ in described
    ]
    columns, rows = asked.ask(f"select {', '.join(within)} from ({sql}) order by record_no")
    assert len(by_duckdb) == table.num_rows
    return (
        [{name: plain(value) for name, value in row.items()} for row in by_duckdb],
        [dict(zip(columns, row, strict=True)) for row in rows],
    )


def assert_equal(one: list[Any], other: list[Any], given: list[Any]) -> None:
    differ = [
        (line, {name: (left[name], right.get(name)) for name in left if left[name] != right.get(name)})
        for line, left, right in zip(given, one, other, strict=True)
        if left != right
    ]
    assert not differ, "\n".join(map(str, [f"{len(differ)} differ", *differ[:20]]))
