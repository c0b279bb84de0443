"""Let Spark make the tables of a whole build, and hand them to the build's file. What follows is the same as for every build.

Spark and dbt-spark are in an environment of their own (`make spark`), so that nobody needs them who does not use them.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ingestion.contract import PROJECT
from ingestion.database import literal
from ingestion.errors import Permanent
from ingestion.land import Report
from warehouse import dbt, state
from warehouse.plan import Build

# The address of a Spark Connect server; without it, Spark runs in a process of its own on this machine.
SERVER = "CLEARWELL_SPARK"
# The folder of the environment that has Spark.
FOLDER = "CLEARWELL_SPARK_VENV"
# dbt's options for what DuckDB makes of the tables that Spark made.
REST = ("--selector", "after_spark")
_SELECTOR = "on_spark"


def run_models(build: Build, report: Report) -> None:
    """Build with Spark what it can build, and hand its tables over. A failed model is an error."""
    command, folder = _dbt(), made_in(build)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    report(f"transform: Spark builds the tables, {'at a server' if os.environ.get(SERVER) else 'on this machine'}")
    log = build.folder / "logs" / "spark.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        done = subprocess.run(
            [command, *arguments(build, folder, _given(build, folder))],
            cwd=folder,
            env=_environment(build, folder),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    results = folder / "target" / "run_results.json"
    failed = list(failures(json.loads(results.read_text()))) if results.is_file() else []
    if done.returncode or failed:
        raise Permanent(
            f"Spark could not build {failed[0]}" if failed else "dbt could not run on Spark",
            where=str(log),
            todo="read the log and fix the cause; or run the same build without --engine spark",
        )
    report("transform: handing Spark's tables to the build")
    _hand_over(build, folder / "tables", json.loads((folder / "target" / "manifest.json").read_text())["nodes"])


def arguments(build: Build, folder: Path, handed: Mapping[str, str]) -> list[str]:
    """Return dbt's command line for a build on Spark."""
    return [
        *("build", "--target", "spark", "--selector", _SELECTOR),
        *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
        *("--target-path", str(folder / "target"), "--log-path", str(folder), "--log-level-file", "none"),
        *("--vars", json.dumps({**dbt.variables(build), "handed": handed})),
        *("--no-use-colors", "--no-version-check", "--no-partial-parse"),
    ]


def made_in(build: Build) -> Path:
    """Return the folder of what Spark makes, which is not needed once the build is published."""
    return build.folder / "spark"


def _dbt() -> Path:
    """Return the command of the dbt that has Spark."""
    command = Path(os.environ.get(FOLDER) or PROJECT.parent / ".venv-spark") / "bin" / "dbt"
    if not command.is_file():
        raise Permanent("Spark is not installed", where=str(command), todo="run `make spark`")
    return command


def _environment(build: Build, folder: Path) -> dict[str, str]:
    server = os.environ.get(SERVER)
    return {
        **os.environ,
        **({"SPARK_REMOTE": server} if server else {}),
        "CLEARWELL_HOME": str(build.home.root),
        "CLEARWELL_SPARK_TABLES": str(folder / "tables"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }


def _given(build: Build, folder: Path) -> dict[str, str]:
    """Write what the models read of the state before a whole build: the list of its batches."""
    table = "ops.batches"
    file = folder / f"previous.{table}.parquet"
    with state.connect(build.home.state) as connection:
        if not connection.execute(
            "select 1 from duckdb_tables() where schema_name || '.' || table_name = ?", [table]
        ).fetchall():
            return {}
        connection.execute(f"copy (select batch_id from {table}) to {literal(file)} (format parquet)")
    return {f"previous.{table}": str(file)}


def failures(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield the name and the message of each failed model of dbt's results."""
    for one in results["results"]:
        if one["status"] not in ("success", "skipped"):
            lines = [line.strip() for line in str(one["message"]).splitlines() if line.strip()]
            # Spark's own message is one line among those of dbt, and a plan of the query may follow
            said = next((line for line in lines if line.startswith("[")), lines[-1])
            yield f"{one['unique_id'].split('.')[-1]}: {said}"


def _hand_over(build: Build, tables: Path, nodes: Mapping[str, dict[str, Any]]) -> None:
    """Copy Spark's tables into the build's file, with the types of their models; staging is only looked at."""
    made = [node for _, node in sorted(nodes.items()) if (tables / node["schema"] / node["alias"]).is_dir()]
    with state.connect(build.file, read_only=False) as connection:
        for node in made:
            if node["schema"] not in ("staging", "default"):
                connection.execute(f"create schema if not exists {node['schema']}")
                for statement in copied(node, tables):
                    connection.execute(statement)
    with state.connect(build.scratch, read_only=False) as connection:
        connection.execute("create schema if not exists staging")
        for node in made:
            if node["schema"] == "staging":
                connection.execute(f"create view staging.{node['alias']} as {_selected(node, tables)}")


def copied(node: Mapping[str, Any], tables: Path) -> list[str]:
    """Return the statements that make a model's table in DuckDB of the one that Spark made."""
    name, columns = f"{node['schema']}.{node['alias']}", node["columns"].values()
    if not all(column.get("data_type") for column in columns) or not columns:
        return [f"create table {name} as {_selected(node, tables)}"]
    declared = (
        f'"{column["name"]}" {column["data_type"]}'
        + (" not null" if any(one["type"] == "not_null" for one in column.get("constraints") or []) else "")
        for column in columns
    )
    return [f"create table {name} ({', '.join(declared)})", f"insert into {name} {_selected(node, tables)}"]


def _selected(node: Mapping[str, Any], tables: Path) -> str:
    typed = [column for column in node["columns"].values() if column.get("data_type")]
    columns = ", ".join(f'cast("{one["name"]}" as {one["data_type"]}) as "{one["name"]}"' for one in typed) or "*"
    files = literal(tables / node["schema"] / node["alias"] / "*.parquet")
    return f"select {columns} from read_parquet({files}, hive_partitioning = false)"
