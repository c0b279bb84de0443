"""Run dbt. No other module does."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from ingestion import faults
from ingestion.contract import PROJECT
from ingestion.database import MEMORY, Row, attached, connect, is_small, memory, memory_bytes
from ingestion.errors import ClearwellError, Permanent
from warehouse import compiled, failing_rows, garbage, quick_imports
from warehouse.error_texts import without_values
from warehouse.parsed import keep, kept, kept_last, listed, parsed, project_key
from warehouse.plan import Build, days, entering
from warehouse.version import model_version


@dataclass(frozen=True)
class Result:
    """The result of one dbt node. For a test, `sql` selects the rows that fail it, and `models` are those it checks.

    `on_failure` says what a failed test does: `hold` the batches behind the rows, `alert`, or `stop` the build.
    """

    name: str
    kind: str
    status: str
    message: str
    failures: int
    sql: str
    severity: str
    on_failure: str = "hold"
    models: tuple[str, ...] = ()
    # The first rows that fail it, with all columns, if the build has them as `failures.<name>` already.
    examples: tuple[Row, ...] | None = field(default=None, compare=False, repr=False)
    # When it ran, by dbt's clock; None for a node that did not, or whose SQL was run without dbt.
    began: datetime | None = None
    ended: datetime | None = None

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return (self.ended - self.began).total_seconds() if self.began and self.ended else 0.0


@dataclass(frozen=True)
class Change:
    """How one table of the build changes the state: delete what matches, then insert the build's rows.

    `by` maps columns of `match` to expressions over the table. No `match`: the table is replaced. `description` says what the
    table holds, and `descriptions` what each column does, by its name in lower case.
    """

    model: str
    schema: str
    table: str
    match_schema: str
    match_table: str
    by: dict[str, str]
    columns: tuple[str, ...]
    types: tuple[str, ...]
    view_sql: str
    is_published: bool
    description: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_history(self) -> bool:
        """Say whether the table only grows: a build replaces nothing but its own rows."""
        return self.match_table == self.table and set(self.by) == {"build_id"}


@dataclass(frozen=True)
class Declared:
    """A table as its model declares it: (schema, name), its columns with their types, those that identify a row, and those
    that must not be null. `grain` is the declared unique columns, empty if there are none.

    A table that is made whole has no rows of an earlier build.
    """

    name: tuple[str, str]
    columns: dict[str, str]
    identity: frozenset[str]
    required: frozenset[str]
    grain: tuple[str, ...]
    file: str
    is_view: bool = False
    is_made_whole: bool = False


@dataclass(frozen=True)
class Expectation:
    """One rule about the rows of a gold table, by its name and arguments in Great Expectations."""

    name: str
    arguments: dict[str, Any]


def run_models(
    build: Build,
    project: Path | None = None,
    *,
    choose: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
    built: Callable[[int, int], None] | None = None,
    ended: Callable[[list[Result]], None] | None = None,
) -> list[Result]:
    """Build every model, or those that dbt's options choose, in the build's own file. A failed model is an error.

    `given` has the SQL of models whose rows another engine has made.

    `built` is called after each model with the number of models built, and of all; `ended` at the end with the results of all
    that ran, also if one of them failed.
    """
    results = _invoke(
        build,
        "build",
        "--exclude-resource-type",
        "test",
        "--exclude-resource-type",
        "unit_test",
        *choose,
        project=project,
        given=given,
        built=built,
    )
    if ended:
        ended(results)
    failed = [result for result in results if result.status not in ("success", "skipped")]
    if failed:
        raise _failed(failed, where=str(_log(build)))
    _keep_times(build, results)
    return results


def _columns_of_state(build: Build) -> list[tuple[str, ...]]:
    """Return all columns of the state, each with how the build attaches it, its table and its type.

    Where a model's SQL is the same in each build, it depends on nothing else but the project.
    """
    query = (
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where database_name = current_database() and not internal order by all"
    )
    attached_as = "previous" if build.plan().full else "state"
    with connect(build.state) as connection:
        return [(attached_as, *row) for row in connection.execute(query).fetchall()]


def _keep_times(build: Build, results: Sequence[Result]) -> None:
    """Keep the seconds of each model with the build. Nothing depends on them: a file that cannot be written is left out."""
    with suppress(OSError, ValueError):
        before = json.loads(build.times.read_text()) if build.times.is_file() else {}
        times = {one.name: round(one.seconds, 3) for one in results if one.kind == "model"}
        build.times.write_text(json.dumps(before | times))


def _failed(results: Sequence[Result], *, where: str) -> ClearwellError:
    """Return the error for failed models. A fault of the machine, which may break several, takes precedence."""
    first = results[0]
    return next((fault for one in results if (fault := _fault(one, where))), None) or Permanent(
        f"dbt could not build the model {first.name}: {without_values(first.message)}",
        where=where,
        todo="fix the model and run `clearwell build` again",
    )


def _fault(result: Result, where: str) -> ClearwellError | None:
    """Return the fault of the machine that kept dbt from running a model or test; None if the fault is the model's own."""
    found = faults.fault_in(result.message)
    if not found:
        return None
    where = f"{found.where}; {where}" if found.where else where
    return type(found)(f"dbt could not run {result.name}: {found.what}", where=where, todo=found.todo)


def run_tests(build: Build, *, without_tag: str = "") -> list[Result]:
    """Run the data tests on the build's tables, except those with a tag and those without rows to check.

    A test that a fault of the machine kept from running is an error.
    """
    results = _tested(build, without_tag)
    for result in results:
        if result.status == "error" and (fault := _fault(result, str(_log(build)))):
            raise fault
    return results


def _tested(build: Build, without_tag: str) -> list[Result]:
    """Run tests by their SQL where it is known, and in dbt those whose SQL is not known yet, differs by build, or fails."""
    manifest = _manifest(build)
    tests = {key: node for key, node in _nodes(build, "test").items() if without_tag not in node["tags"]}
    columns = _columns_of_state(build)
    known = compiled.read(build.home, PROJECT, "tests", columns)
    with connect(build.file, read_only=False) as connection, attached_as_by_dbt(connection, build):
        empty = _without_rows(connection, manifest["nodes"])
        chosen = {node["name"]: node for node in tests.values() if node["name"] not in empty}
        results = [
            result
            for name, node in chosen.items()
            if name in known and (result := _run_known(connection, node, known[name]))
        ]
    left = sorted(chosen.keys() - {one.name for one in results})
    if left:
        ran = _invoke(build, "test", "--exclude", "test_type:unit", "--select", *left)
        constant = compiled.constant(tests, manifest["macros"])
        found = {
            one.name: one.sql
            for one in ran
            if one.sql and one.name in constant and compiled.fails_by_rows(chosen[one.name])
        }
        compiled.remember(build.home, PROJECT, "tests", columns, found)
        results += ran
    # the order of the project's files is the disk's
    return sorted(results, key=lambda one: one.name)


@contextmanager
def attached_as_by_dbt(connection: duckdb.DuckDBPyConnection, build: Build) -> Iterator[None]:
    """Let a test's SQL read what it could read in dbt, besides the build's own file."""
    with attached(connection, build.start_state(), "state"), attached(connection, build.scratch, "scratch"):
        yield


def _run_known(connection: duckdb.DuckDBPyConnection, test: Mapping[str, Any], sql: str) -> Result | None:
    """Run a test, as dbt's manifest has it, by its SQL. None if the query fails: dbt then runs it, and says why.

    Most builds have rows that warn, and few have others: rows that warn are kept as they are counted.
    """
    name, config = test["name"], test["config"]
    severity, limit = config["severity"].lower(), config["limit"]
    warns, examples = severity == "warn", None
    try:
        if not warns:
            rows = failing_rows.count(connection, sql, limit)
        elif rows := failing_rows.count_and_keep(connection, name, sql, limit):
            examples = tuple(failing_rows.first(connection, name))
    except duckdb.Error:
        return None
    return Result(
        name=name,
        kind="test",
        status=("warn" if warns else "fail") if rows else "pass",
        message=str(config["meta"]["finding"]) if rows else "",
        failures=rows,
        sql=sql,
        severity=severity,
        on_failure=str(config["meta"].get("on_failure", "hold")),
        models=_checked(test["depends_on"]["nodes"]),
        examples=examples,
    )


# Generic tests that judge one row, or the rows of one key: on a table without rows they cannot fail.
_BY_ROW = ("accepted_values", "complete", "one_content_per_version", "one_current", "unique_grain")


def _without_rows(connection: duckdb.DuckDBPyConnection, nodes: Mapping[str, Any]) -> set[str]:
    """Return the names of the row-wise tests of empty tables. Each costs a statement; most builds touch few tables."""
    query = "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
    empty = {
        (schema, name)
        for schema, name in connection.execute(query).fetchall()
        if not connection.execute(f"select count(*) from (from {schema}.{name} limit 1)").fetchall()[0][0]
    }
    return {
        node["name"]
        for node in nodes.values()
        if (node.get("test_metadata") or {}).get("name") in _BY_ROW
        and (tested := nodes.get(node["attached_node"]))
        and (tested["schema"], tested["alias"]) in empty
    }


def arguments(
    build: Build, command: str, *more: str, project: Path | None = None, told: Mapping[str, Any] | None = None
) -> list[str]:
    """Return dbt's command line for a build. The models are told its variables, or those given."""
    folder = str(project or PROJECT)
    return [
        *command.split(),
        *("--project-dir", folder, "--profiles-dir", folder, "--target", "build"),
        *("--target-path", str(build.target)),
        # dbt formats each of its thousands of debug lines before it drops it: `kept_log` keeps the useful ones instead
        *("--log-path", str(build.folder / "logs"), "--log-level-file", "none"),
        *(
            "--vars",
            json.dumps(told or variables(build, project or PROJECT)),
            "--log-level",
            "none",
            "--no-use-colors",
            "--no-version-check",
            "--no-write-json",
        ),
        *more,
    ]


def variables(build: Build, project: Path = PROJECT) -> dict[str, Any]:
    """Return what a build tells the models."""
    return {
        "plan": str(build.batches),
        "build_id": build.build_id,
        "model_version": model_version(project),
        "held": build.plan().held,
        "has_many_dates": days(build) > _A_WEEK,
    }


# The same names, without a build.
_TOLD_AT_PARSING = {"plan": "", "build_id": "", "model_version": "", "held": False, "has_many_dates": False}
# A build of more dates writes its tables by date: see `by_date` in macros/table.sql.
_A_WEEK = 7


def changes(build: Build) -> list[Change]:
    """Read from dbt's manifest how each table of the build changes the state; views last, as they name tables."""
    models = _models(build)
    found = (_change(build, node, models) for _, node in sorted(models.items()))
    return sorted((change for change in found if change), key=lambda change: bool(change.view_sql))


def declared(build: Build) -> list[Declared]:
    """Read the models' declarations of the tables that are applied: today's, or those from when the build was made."""
    nodes = nodes_of(build) if build.made_by.is_file() else read_nodes(build)
    models = [node for _, node in sorted(nodes.items()) if node["resource_type"] == "model"]
    for node in models:
        if node["schema"] in ("gold", "ops") and not node["config"].get("meta", {}).get("apply"):
            raise Permanent(
                f"the model {node['name']} does not say how its rows are applied to the state",
                where=_file(node),
                todo="add `apply` to its config: {meta: …}, as docs/new-dataset.md shows",
            )
    return [_declared(node) for node in models if node["config"].get("meta", {}).get("apply")]


def _declared(node: dict[str, Any]) -> Declared:
    meta = node["config"]["meta"]
    apply, grain = meta["apply"], meta.get("grain") or []
    columns = node["columns"]
    named = {word for expression in replaced_by(node).values() for word in re.findall(r"\w+", expression)}
    reads_itself = re.search(rf"(before|whole)\(['\"]{node['name']}['\"]\)", node["raw_code"])
    return Declared(
        name=(node["schema"], node["alias"]),
        columns={name: str(column.get("data_type") or "") for name, column in columns.items()},
        identity=frozenset({*grain, *named} & set(columns)),
        required=frozenset(
            name
            for name, column in columns.items()
            if any(one.get("type") == "not_null" for one in column.get("constraints") or [])
        ),
        grain=tuple(grain),
        file=_file(node),
        is_view=bool(apply.get("view")),
        is_made_whole="match" not in apply and not reads_itself,
    )


def _file(node: dict[str, Any]) -> str:
    """Return the path of a model's YAML, or of its SQL if it has no YAML."""
    return str(node.get("patch_path") or node["original_file_path"]).split("://")[-1]


def expectations(build: Build) -> dict[str, list[Expectation]]:
    """Read each gold table's expectations from dbt's manifest: `expectations` in the YAML beside its model."""
    return {
        model["alias"]: [
            Expectation(name, arguments)
            for one in model["config"]["meta"]["expectations"]
            for name, arguments in one.items()
        ]
        for _, model in sorted(_models(build).items())
        if model["schema"] == "gold" and model["config"].get("meta", {}).get("expectations")
    }


def datasets_behind(build: Build, names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the datasets whose batches may be behind bad rows of some models: first the main ones, then all they read.

    A model names its main dataset in its YAML (`dataset`, or the table that `trace` is from), or has its name.
    """
    models = _models(build)
    main: set[str] = set()
    every: set[str] = set()
    seen: set[str] = set()
    ahead = [name for name in names if name in models]
    for name in ahead:
        meta = models[name]["config"].get("meta", {})
        said = str(meta.get("dataset") or meta.get("trace", {}).get("from") or name)
        main |= {said.removeprefix("silver_").removeprefix(f"{models[name]['schema']}_")}
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            if name == "records_decisions":
                continue  # batches of decisions are never held
            if name.startswith("records_"):
                every.add(name.removeprefix("records_"))
            else:
                ahead += [one.split(".")[-1] for one in models[name]["depends_on"]["nodes"] if one.startswith("model.")]
    mainly = tuple(sorted(main & {one.removeprefix("records_") for one in models if one.startswith("records_")}))
    return [part for part in (mainly, tuple(sorted(every))) if part]


def _models(build: Build) -> dict[str, dict[str, Any]]:
    return {node["name"]: node for node in _nodes(build, "model").values()}


def _nodes(build: Build, kind: str) -> dict[str, dict[str, Any]]:
    return {key: node for key, node in nodes_of(build).items() if node["resource_type"] == kind}


def read_nodes(build: Build) -> Mapping[str, dict[str, Any]]:
    """Return the nodes of the project as it is now, by their unique ids."""
    with _surroundings(build):
        return dict(_decoded(listed(build.home, PROJECT, partial(_parse, build, PROJECT)))["nodes"])


def nodes_of(build: Build) -> Mapping[str, dict[str, Any]]:
    """Return the nodes of dbt's manifest that a build is made by, by their unique ids."""
    return dict(_manifest(build)["nodes"])


def _manifest(build: Build) -> dict[str, Any]:
    """Return dbt's manifest of a build, which is not to be changed."""
    return _loaded(build.made_by, build.made_by.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _loaded(path: Path, changed: int) -> dict[str, Any]:
    """Read a manifest; again when it has `changed`."""
    return _decoded(path.read_bytes())


@lru_cache(maxsize=1)
def _decoded(content: bytes) -> dict[str, Any]:
    """Decode a manifest: once, though a build writes the same one for the plan, the models and the tests. It takes 50 ms."""
    return dict(json.loads(content))


def replaced_by(node: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns by which a model's rows are replaced, each with its expression over the table."""
    by = node["config"]["meta"].get("apply", {}).get("by", {})
    return dict(by) if isinstance(by, Mapping) else {name: name for name in by}


def _change(build: Build, node: dict[str, Any], models: dict[str, Any]) -> Change | None:
    meta = node["config"].get("meta", {})
    apply = meta.get("apply")
    if not apply:
        return None
    match = models[apply["match"]] if "match" in apply else {"schema": "", "alias": ""}
    return Change(
        model=node["name"],
        schema=node["schema"],
        table=node["alias"],
        match_schema=match["schema"],
        match_table=match["alias"],
        by=replaced_by(node),
        columns=tuple(node["columns"]),
        types=tuple(column["data_type"] for column in node["columns"].values()),
        view_sql=view_sql(build, node),
        is_published=bool(meta.get("publish")),
        description=str(node["description"]).strip(),
        descriptions={name.lower(): str(one["description"]).strip() for name, one in node["columns"].items()},
    )


def document(build: Build) -> str:
    """Return dbt's documentation of the project as one page of HTML: from its files alone, without a query."""
    _run(build, "docs generate", "--static", "--no-compile", "--empty-catalog")
    page = (build.target / "static_index.html").read_text(encoding="utf-8")
    return page.replace(json.dumps(str(PROJECT))[1:-1], PROJECT.name)  # a path may have a person's name


def _invoke(
    build: Build,
    command: str,
    *more: str,
    project: Path | None = None,
    given: Mapping[str, str] | None = None,
    built: Callable[[int, int], None] | None = None,
) -> list[Result]:
    results = [_result(one) for one in _run(build, command, *more, project=project, given=given, built=built)]
    # dbt_project.yml has a hook, which precedes models and tests
    return [one for one in results if one.kind != "operation"]


@garbage.not_collected()
def _run(
    build: Build,
    command: str,
    *more: str,
    project: Path | None = None,
    given: Mapping[str, str] | None = None,
    built: Callable[[int, int], None] | None = None,
) -> Any:
    # Importing dbt costs seconds: import it only to run it.
    with quick_imports.of_dataclasses():
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        from warehouse.dbt_log import kept_log

    with _surroundings(build):
        try:
            of_project = project or PROJECT
            manifest, nodes = parsed(build.home, of_project, partial(_parse, build, of_project))
            if command == "build":  # dbt would look for a place in its graph for each test
                manifest.nodes = {key: node for key, node in manifest.nodes.items() if node.resource_type != "test"}
            build.target.mkdir(parents=True, exist_ok=True)
            build.made_by.write_bytes(nodes)
            with (
                _models_compiled_once(build, manifest, given or {})
                if command == "build" and not project
                else nullcontext(),
                _short_ways(build, of_project),
                kept_log(_log(build)) as write,
                _nothing_left_of_models_in_python(manifest),
            ):
                counting = [partial(_count_models, built)] if built else []
                runner = dbtRunner(manifest=manifest, callbacks=[write, *counting])
                outcome = runner.invoke(arguments(build, command, *more, project=project))
        finally:
            # dbt keeps its connection for the life of the process; the apply needs the state to itself.
            DuckDBConnectionManager.close_all_connections()
    if outcome.exception:
        raise _fault_of(outcome.exception, build) or Permanent(
            f"dbt {command} failed: {without_values(str(outcome.exception))}",
            where=str(PROJECT),
            todo=f"read {_log(build)} and fix the cause; then run the same command again",
        )
    return outcome.result


@contextmanager
def _nothing_left_of_models_in_python(manifest: Any) -> Iterator[None]:
    """Let Python keep no compiled code: dbt imports a model from a temporary file, and deletes only that."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode |= any(getattr(node, "language", "") == "python" for node in manifest.nodes.values())
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


@contextmanager
def _short_ways(build: Build, project: Path) -> Iterator[None]:
    """Let dbt take short ways, with the code of templates that an earlier build made, also if the project has changed since."""
    from warehouse import dbt_shortcuts

    name = f"{project_key(project)}.templates"
    templates = dbt_shortcuts.unpacked(kept(build.home, project, name))
    earlier = {} if templates else dbt_shortcuts.unpacked(kept_last(build.home, project, "templates"))
    before = len(templates)
    with dbt_shortcuts.taken(templates, earlier):
        yield
    if len(templates) > before:
        keep(build.home, project, name, dbt_shortcuts.packed(templates))


@contextmanager
def _models_compiled_once(build: Build, manifest: Any, given: Mapping[str, str]) -> Iterator[None]:
    """Give dbt the models whose SQL is known in that form, as it leaves SQL without Jinja as it is; keep the others' SQL.

    Of `given` models, the rows are there already: those of staging are only looked at.
    """
    columns = _columns_of_state(build)
    known = compiled.read(build.home, PROJECT, "models", columns)
    models = [node for node in manifest.nodes.values() if node.resource_type == "model"]
    for node in models:
        node.raw_code = given.get(node.name) or known.get(node.name, node.raw_code)
        if node.name in given and node.schema == "staging":
            node.config.materialized = "view"
    yield
    if not known:
        constant = compiled.constant(_nodes(build, "model"), _manifest(build)["macros"])
        sql = {
            node.name: node.compiled_code
            for node in models
            if node.name in constant - given.keys() and node.compiled_code
        }
        found = {name: one for name, one in sql.items() if compiled.is_final(one)}
        compiled.remember(build.home, PROJECT, "models", columns, found)


def _count_models(built: Callable[[int, int], None], event: Any) -> None:
    if event.info.name == "LogModelResult":
        built(event.data.index, event.data.total)


@contextmanager
def _surroundings(build: Build) -> Iterator[None]:
    """Set the environment of a build for dbt, and restore this process's environment and folder afterwards."""
    untracked = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1"}
    with _environment(_settings(build) | untracked), _folder(Path.cwd()):
        yield


def _settings(build: Build) -> dict[str, str]:
    """Return the environment that dbt's profile and the models read."""
    threads = threads_of(build)
    return {
        "CLEARWELL_HOME": str(build.home.root),
        "CLEARWELL_BUILD": str(build.file),
        "CLEARWELL_SCRATCH": str(build.scratch),
        "CLEARWELL_STATE": str(build.start_state()),
        MEMORY: memory(),
        "CLEARWELL_MODELS_AT_ONCE": str(threads.models),
        "CLEARWELL_THREADS": str(threads.duckdb),
        "CLEARWELL_PREVIOUS": str(build.state if build.plan().full else build.empty),
    }


_FEW_RECORDS, _MANY_RECORDS = 100_000, 3_000_000


class Threads(NamedTuple):
    """How a build uses the machine's cores."""

    models: int  # how many models dbt makes at once
    duckdb: int  # DuckDB's setting `threads`, which counts one thread of a caller


def threads_of(build: Build) -> Threads:
    """Return how many models a build makes at once, and DuckDB's threads, so that together they keep all cores busy.

    Two models on two cores take less time than one model with two threads, which wait for each other, unless the tables are large
    for the memory, which two models share. In a small build, most of the time is dbt's own Python, and a second thread of either
    kind only costs CPU time.
    """
    records = entering(build).records
    has_small_state = not build.home.state.exists() or is_small(build.home.state)
    if records < _FEW_RECORDS and has_small_state:
        return Threads(1, 1)
    with duckdb.connect() as connection:
        (cores,) = connection.execute("select current_setting('threads')").fetchall()[0]
    has_room = records < _MANY_RECORDS * min(1.0, memory_bytes() / 1e9)
    return Threads(2, cores - 1) if cores > 1 and has_room else Threads(1, cores)


def _fault_of(error: BaseException, build: Build) -> ClearwellError | None:
    where = str(build.folder)
    return faults.fault_of(error, where=where) or faults.fault_in(str(error), where=where)


def _parse(build: Build, project: Path, start: Path | None) -> Any:
    """Let dbt parse its project; the result does not depend on the build.

    dbt parses only what has changed since the manifest in `start`. If that fails it parses everything, and says what is wrong.
    """
    from dbt.cli.main import dbtRunner

    from warehouse.dbt_log import kept_log

    from_start = [["--partial-parse", "--partial-parse-file-path", str(start)]] if start else []
    # dbt would parse everything again for other variables or another connection
    with garbage.not_collected(), kept_log(_log(build)) as write, _environment(dict.fromkeys(_settings(build))):
        for options in (*from_start, ["--no-partial-parse"]):
            given = arguments(build, "parse", *options, project=project, told=_TOLD_AT_PARSING)
            outcome = dbtRunner(callbacks=[write]).invoke(given)
            if not outcome.exception:
                break
    if outcome.exception:
        raise _fault_of(outcome.exception, build) or Permanent(
            f"dbt cannot read its project: {outcome.exception}",
            where=str(project),
            todo="fix the file that the message names",
        )
    manifest: Any = outcome.result
    for node in manifest.nodes.values():
        if node.resource_type == "seed":  # the start may be another project's
            node.root_path = str(project)
    return manifest


def _log(build: Build) -> Path:
    return build.folder / "logs" / "dbt.log"


def _message(one: Any) -> str:
    """Return what a node's result says: for a failed test the `finding` of its config, else dbt's own message."""
    finding = (getattr(one.node.config, "meta", None) or {}).get("finding")
    return str((finding if str(one.status) in ("fail", "warn") else "") or one.message or "")


def _result(one: Any) -> Result:
    return Result(
        name=one.node.name,
        kind=str(one.node.resource_type),
        status=str(one.status),
        message=_message(one),
        failures=int(one.failures or 0),
        sql=getattr(one.node, "compiled_code", None) or "",
        severity=str(getattr(one.node.config, "severity", "")).lower(),
        on_failure=str((getattr(one.node.config, "meta", None) or {}).get("on_failure", "hold")),
        models=_checked(one.node.depends_on.nodes) if str(one.node.resource_type) == "test" else (),
        began=min((part.started_at for part in one.timing if part.started_at), default=None),
        ended=max((part.completed_at for part in one.timing if part.completed_at), default=None),
    )


def _checked(nodes: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the models among the nodes that a test depends on."""
    return tuple(name.split(".")[-1] for name in nodes if name.startswith("model."))


def compiled_sql(build: Build, node: dict[str, Any]) -> str:
    """Return the SQL of a model as dbt compiled it for a build."""
    return (build.target / "compiled" / node["package_name"] / node["original_file_path"]).read_text()


# What a view reads in a build, and what it reads in the state: see the macro `current_in_view`.
_IN_A_BUILD = re.compile(r"/\* in a build \*/.*?/\* in the state: (.*?) \*/", re.DOTALL)


def view_sql(build: Build, node: dict[str, Any]) -> str:
    """Return the SQL of a model that is a view of the state, as it is there; empty if it is a table.

    Over the tables of a build, it selects the rows that the build has made.
    """
    apply = node["config"].get("meta", {}).get("apply") or {}
    return _IN_A_BUILD.sub(r"\1", compiled_sql(build, node)) if apply.get("view") else ""


@contextmanager
def _environment(values: Mapping[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    _set_environment(values)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Return to this folder afterwards: dbt changes into its project."""
    try:
        yield
    finally:
        os.chdir(folder)
