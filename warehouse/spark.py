"""Let Spark make tables of a build. The engines take turns, and hand their tables to each other as Parquet.

Spark and dbt-spark are in an environment of their own (`make spark`), so that nobody needs them who does not use them.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ingestion.contract import PROJECT
from ingestion.database import attached
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.land import Report
from ingestion.sql import literal
from warehouse import dbt, java, plan, spark_session, state
from warehouse.applied import is_on
from warehouse.dbt import Result, replaced_by
from warehouse.engines import DUCKDB, SPARK
from warehouse.plan import Build
from warehouse.shape import CHANGED

if TYPE_CHECKING:  # it takes a tenth of a second to import, and every command that may build knows this module
    from warehouse.exchange import Exchange

# The address of a Spark Connect server, such as sc://host:15002; without it, Spark runs on this machine, or at the master that
# its own settings name.
SERVER = "CLEARWELL_SPARK"
# The folder of the environment that has Spark.
FOLDER = "CLEARWELL_SPARK_VENV"
# Tags of dbt_project.yml: what DuckDB counts over Spark's tables; of that, what Spark's models read, so that both make it; and what
# DuckDB makes in a build that is not whole, because it reads more of the state than the dates that the build touches.
ACCOUNTING, BOTH, BESIDE_STATE = "accounting", "both_engines", "beside_state"
# How long Spark may take to stop.
_PATIENCE_SECONDS = 60.0
# How a model names the tables of the state that it reads.
_TABLE = re.compile(r"\b(?:before|whole)\(['\"](\w+)['\"]\)")
_RECORDS = re.compile(r"\b(?:current_after|current_in_view|contest)\(['\"](\w+)['\"](\s*,\s*only=)?")
_IN_MACRO = {"touched_sessions(": "silver_sessions", "stale_dates(": "ops_dates"}
# The columns by which `current_after` chooses records, besides their keys.
_STANDING = {"fate", "is_deleted"}
# What every model of a build is handed.
EVERY_MODEL = "every_model"
# The materialization of dated tables of which a build makes only the rows that change.
CHANGES = "changes"
# What Parquet does not have, or Spark does not read.
_WRITTEN_AS = {"HUGEINT": "decimal(38, 0)", "JSON": "varchar"}

Node = Mapping[str, Any]
Nodes = Mapping[str, Node]
# By model, then by table: the file with the rows of the state that it reads; none if the state has no such table.
Handed = Mapping[str, Mapping[str, Path | None]]
Run = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Turn:
    """Models that one engine makes before the other has its turn."""

    engine: str
    models: tuple[str, ...]


def run_models(build: Build, report: Report, ended: Callable[[list[Result]], None] | None = None) -> None:
    """Build every model, on Spark what it can build. A failed model is an error. `ended` is as for `dbt.run_models`."""
    from warehouse import exchange

    nodes = {one["name"]: one for one in dbt.read_nodes(build).values() if one["resource_type"] in ("model", "seed")}
    is_whole = build.plan().is_whole
    makers = engines(nodes, is_whole=is_whole)
    made: dict[str, set[str]] = {DUCKDB: set(), SPARK: set()}
    handed: dict[str, set[str]] = {DUCKDB: set(), SPARK: set()}
    report(f"transform: Spark runs at {os.environ.get(SERVER) or 'its master, on this machine unless set'}")
    with exchange.opened(build.home, build.build_id, report) as place, _session(build, place) as run:
        for turn in turns(nodes, makers, first=SPARK if is_whole else DUCKDB):
            report(f"transform: {'Spark' if turn.engine == SPARK else 'DuckDB'} makes {len(turn.models)} models")
            if turn.engine == SPARK:
                needed = {name for model in turn.models for name in _reads(nodes[model], nodes)}
                new = sorted(needed - makers[SPARK] - handed[SPARK])
                tables = {name: _write_table(build, nodes[name]) for name in new}
                files = _write_state(build, turn, nodes)
                of_state = [file for by_table in files.values() for file in by_table.values() if file]
                place.put([build.batches, *plan.files(build), *tables.values(), *of_state], report)
                run(_told(build, place, turn, tables, files))
            else:
                place.fetch(_tables(build), report)
                new = sorted(made[SPARK] - makers[DUCKDB] - handed[DUCKDB])
                given = {name: selected(nodes[name], _tables(build)) for name in new}
                dbt.run_models(build, choose=["--select", *given, *turn.models], given=given, ended=ended)
            made[turn.engine] |= {*turn.models}
            handed[turn.engine] |= {*new}


def engines(nodes: Nodes, *, is_whole: bool) -> dict[str, frozenset[str]]:
    """Return which models each engine makes; some are made by both."""
    not_on_spark = {ACCOUNTING} if is_whole else {ACCOUNTING, BESIDE_STATE}
    found: dict[str, set[str]] = {DUCKDB: set(), SPARK: set()}
    for name, node in nodes.items():
        tags, kind = {*node["config"]["tags"]}, node["config"]["materialized"]
        is_for_both, is_view = BOTH in tags, kind == "view"
        # a model in Python is given DuckDB's relations
        is_sql = node.get("language") != "python"
        is_on_spark = (
            is_sql and (not is_view or is_for_both) and (not tags & not_on_spark or (is_whole and is_for_both))
        )
        if is_on_spark:
            found[SPARK].add(name)
        if not is_on_spark or is_view or kind == "seed" or ACCOUNTING in tags:
            found[DUCKDB].add(name)
    return {engine: frozenset(names) for engine, names in found.items()}


def turns(nodes: Nodes, makers: Mapping[str, Set[str]], *, first: str) -> list[Turn]:
    """Return the turns in which the engines make their models. Each makes all that it can before the other goes on."""
    found: list[Turn] = []
    made: dict[str, set[str]] = {DUCKDB: set(), SPARK: set()}
    engine, other = first, DUCKDB if first == SPARK else SPARK
    while any(made[one] != makers[one] for one in made):
        ready: set[str] = set()
        while more := {
            name
            for name in makers[engine] - made[engine] - ready
            if all(one in made[engine] | ready | (made[other] - makers[engine]) for one in _reads(nodes[name], nodes))
        }:
            ready |= more
        assert ready or not found or found[-1].engine != other, "the models form a circle"
        if ready:
            made[engine] |= ready
            found.append(Turn(engine, tuple(sorted(ready))))
        engine, other = other, engine
    if found and found[-1].engine == SPARK:
        found.append(Turn(DUCKDB, ()))  # takes over what Spark made
    return found


def _reads(node: Node, nodes: Nodes) -> set[str]:
    """Return the models and seeds that a model refers to."""
    return {name for one in node["depends_on"].get("nodes", []) if (name := one.split(".")[-1]) in nodes}


def made_in(build: Build) -> Path:
    """Return the folder of what Spark makes, which is not needed once the build is published."""
    return build.folder / "spark"


def _tables(build: Build) -> Path:
    return made_in(build) / "tables"


def selected(node: Node, tables: Path) -> str:
    """Return DuckDB's SQL for the rows that Spark made of a model; of those whose dates have other rows as well, what changed."""
    typed = [column for column in node["columns"].values() if column.get("data_type")]
    columns = ", ".join(f'cast("{one["name"]}" as {one["data_type"]}) as "{one["name"]}"' for one in typed) or "*"
    folder = tables / CHANGED / node["name"]
    if not folder.is_dir():
        folder = tables / node["schema"] / node["alias"]
    return f"select {columns} from read_parquet({literal(folder / '*.parquet')}, hive_partitioning = false)"


def _write_table(build: Build, node: Node) -> Path:
    """Write a table that DuckDB made, for Spark."""
    file = _handed(build) / f"{node['name']}.parquet"
    with state.connect(build.file) as connection, attached(connection, build.scratch, "scratch"):
        database = "scratch." if node["schema"] == "staging" else ""
        _write(connection, f"select * from {database}{node['schema']}.{node['alias']}", file)
    return file


def _write_state(build: Build, turn: Turn, nodes: Nodes) -> Handed:
    """Write what the models of a turn read of the state, and return the files.

    A whole build reads nothing of the state but the list of its batches.
    """
    if build.plan().is_whole:
        queries = {(EVERY_MODEL, "previous.ops.batches"): "select batch_id from state.ops.batches"}
    else:
        with state.connect(build.file) as connection:
            queries = {
                (name, f"state.{table['schema']}.{table['alias']}"): _touched(connection, nodes[name], table, nodes)
                for name in turn.models
                for table in (nodes[one] for one in sorted(state_read(nodes[name])))
            }
    files: dict[str, dict[str, Path | None]] = {name: {} for name, _ in queries}
    with (
        state.connect(build.empty) as connection,
        attached(connection, build.state, "state"),
        attached(connection, build.file, "build") if build.file.exists() else nullcontext(),
    ):
        for (name, table), query in queries.items():
            _, schema, alias = table.split(".")
            files[name][table] = None
            if state.has_table(connection, schema, alias, "state"):
                file = _handed(build) / f"{name}.{table}.parquet"
                _write(connection, query, file)
                files[name][table] = file
    return files


def state_read(node: Node) -> set[str]:
    """Return the models whose tables in the state a model reads: the SQL of the models names them, or is of one pattern by layer."""
    sql = node.get("raw_code") or ""
    found = {*_TABLE.findall(sql), *(f"records_{dataset}" for dataset, _ in _RECORDS.findall(sql))}
    found |= {model for macro, model in _IN_MACRO.items() if macro in sql}
    if node["config"]["materialized"] == CHANGES:
        found.add(node["name"])
    if node["schema"] == "staging":
        found.add("records_decisions")
    return found


def _touched(connection: duckdb.DuckDBPyConnection, reader: Node, table: Node, nodes: Nodes) -> str:
    """Return the query for the rows of the state's table that a model may read. The plan is in the connected file."""
    apply = reader["config"]["meta"].get("apply")
    match = nodes[apply["match"]] if apply else None
    dates: list[date] = []
    if match and (named := date_of(reader)):
        found = connection.execute(
            f"select distinct {named} from {match['schema']}.{match['alias']} where {named} is not null"
        )
        dates = looked_back([day for (day,) in found.fetchall()], reader["config"]["meta"].get("reach") or [0, 0])
    return touched_rows(reader, table, match, dates)


def looked_back(dates: Collection[date], reach: Sequence[int]) -> list[date]:
    """Return the dates that must be read to make some dates of a model. See macros/reach.sql."""
    first, last = (int(days) for days in reach)
    return sorted({day - timedelta(days) for day in dates for days in range(first, last + 1)})


def date_of(node: Node) -> str:
    """Return the date among the columns by which a model's rows are replaced; empty if there is none."""
    return next((name for name in replaced_by(node) if name.endswith("_date")), "")


def touched_rows(reader: Node, table: Node, match: Node | None, dates: Sequence[date]) -> str:
    """Return the query for the rows of the state's table that a model may read: those on some dates, and with touched keys.

    Of a dataset that a model reads in every build, such as all known customers, it is the columns that the model names.
    """
    name = f"state.{table['schema']}.{table['alias']}"
    sql = reader.get("raw_code") or ""
    if not match:
        return f"select * from {name}"
    if (table["name"].removeprefix("records_"), True) in {(one, bool(only)) for one, only in _RECORDS.findall(sql)}:
        columns = [
            column
            for column in table["columns"]
            if column in {*replaced_by(table), *_STANDING} or re.search(rf"\b{column}\b", sql)
        ]
        return f"select {', '.join(columns)} from {name}"
    if not date_of(reader) or not date_of(table):
        raise Permanent(
            f"{reader['name']} cannot be built on Spark: it reads more of {table['name']} than the dates that a build touches",
            where=str(reader["original_file_path"]),
            todo=f"add the tag {BESIDE_STATE} to {reader['name']} in dbt_project.yml",
        )
    on = replaced_by(table)[date_of(table)]
    query = f"select * from {name} as had"
    keys = [key for key in replaced_by(reader) if key in table["columns"] and not key.endswith("_date")]
    # of a model that makes the changed rows of a date, the date's other rows are read
    if keys and not (reader is table and reader["config"]["materialized"] == CHANGES):
        same = " and ".join(f"had.{key} is not distinct from touched.{key}" for key in keys)
        query += f" semi join (select distinct {', '.join(keys)} from build.{match['schema']}.{match['alias']}) as touched on {same}"
    return f"{query} where {is_on(on, [*dates, None])}"


def _handed(build: Build) -> Path:
    return made_in(build) / "handed"


def _write(connection: duckdb.DuckDBPyConnection, query: str, file: Path) -> None:
    """Write the rows of a query as Parquet."""
    described = connection.execute(f"describe {query}").fetchall()
    casts = [
        f'cast("{name}" as {_WRITTEN_AS[kind]}) as "{name}"' for name, kind, *_ in described if kind in _WRITTEN_AS
    ]
    columns = f"* replace ({', '.join(casts)})" if casts else "*"
    file.parent.mkdir(parents=True, exist_ok=True)
    connection.execute(f"copy (select {columns} from ({query})) to {literal(file)} (format parquet)")


@contextmanager
def _session(build: Build, place: "Exchange") -> Iterator[Run]:
    """Start the process that runs dbt on Spark, and yield what gives it a turn. At the end it and Spark are gone."""
    folder, log = made_in(build), build.folder / "logs" / "spark.log"
    command = python()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "temporary").mkdir(parents=True)
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [command, "-P", spark_session.__file__, *arguments(folder)],
            cwd=folder,
            env=_environment(build, place),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
        is_waiting = False
        try:
            yield lambda told: _run(process, told, log)
            is_waiting = True
        except ClearwellError:
            is_waiting = True
            raise
        finally:
            _end(process, is_waiting=is_waiting)
    shutil.rmtree(folder / "temporary", ignore_errors=True)


def _end(process: "subprocess.Popen[str]", *, is_waiting: bool) -> None:
    """Let the process end, or kill it if it does not wait for a turn: without it, its Java process ends by itself."""
    if is_waiting:
        with suppress(subprocess.TimeoutExpired, BrokenPipeError):  # it may have ended by itself
            process.communicate("\n", timeout=_PATIENCE_SECONDS)
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):
            pipe.close() if pipe else None


def _told(build: Build, place: "Exchange", turn: Turn, tables: Mapping[str, Path], files: Handed) -> dict[str, Any]:
    """Return what Spark is told in a turn, with the addresses of files as it sees them."""
    handed = {
        name: {table: place.seen(file) if file else "" for table, file in by_table.items()}
        for name, by_table in files.items()
    }
    rows = "select {{ typed_columns(model.columns) }} from parquet.`%s`"
    return {
        "models": turn.models,
        "given": {name: rows % place.seen(file) for name, file in tables.items()},
        "vars": {**dbt.variables(build), "plan": place.seen(build.batches), "handed": handed},
    }


def _run(process: "subprocess.Popen[str]", told: Mapping[str, Any], log: Path) -> None:
    """Give Spark a turn. A model that fails is Permanent, a process that ends Transient."""
    assert process.stdin and process.stdout
    try:
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline() or "{}")
    except (BrokenPipeError, ValueError):
        answer = {}
    if not answer.get("is_alive"):
        raise Transient(
            "Spark ended in the middle of a build",
            where=str(log),
            todo="run the same command again; if it ends again, read the log: Spark may need more memory",
        )
    if answer["failed"]:
        raise Permanent(
            f"Spark could not build {answer['failed'][0]}",
            where=str(log),
            todo="read the log and fix the cause; or run the same build without --engine spark",
        )


def arguments(folder: Path) -> list[str]:
    """Return the part of dbt's command line that is the same in each turn."""
    return [
        *("--target", "spark"),
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
        *("--target-path", str(folder / "target"), "--log-path", str(folder), "--log-level-file", "none"),
        *("--no-use-colors", "--no-version-check", "--no-partial-parse"),
    ]


def python() -> Path:
    """Return the Python of the environment that has Spark. If there is none, that is Permanent."""
    folder = Path(os.environ.get(FOLDER) or PROJECT.parent / ".venv-spark") / "bin"
    if not (folder / "dbt").is_file():
        raise Permanent(
            "Spark is not installed", where=str(folder / "dbt"), todo=f"run `make spark`, or choose the engine {DUCKDB}"
        )
    return folder / "python"


def _environment(build: Build, place: "Exchange") -> dict[str, str]:
    server, temporary = os.environ.get(SERVER), made_in(build) / "temporary"
    return {
        **os.environ,
        **({"SPARK_REMOTE": server} if server else java.settings(python().parent.parent, temporary / "java")),
        "CLEARWELL_HOME": str(build.home.root),
        "CLEARWELL_SPARK_HOME": place.address,
        "CLEARWELL_SPARK_TABLES": place.seen(_tables(build)),
        # a killed process leaves its temporary files, which go with the build
        "TMPDIR": str(temporary),
        "SPARK_LOCAL_DIRS": str(temporary),
        "SPARK_SUBMIT_OPTS": f"-Djava.io.tmpdir={shlex.quote(str(temporary))} -XX:-UsePerfData {os.environ.get('SPARK_SUBMIT_OPTS', '')}",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }
