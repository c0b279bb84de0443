"""Lineage events of builds: of each stage, and of each model with its inputs, its columns and where they come from.

What follows from the models alone is computed once for each version of them, and kept beside the parsed project.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion import dataset_names, lineage, log
from ingestion.contract import PROJECT
from ingestion.home import Home
from warehouse import dbt, garbage, parsed, state
from warehouse.audit import Refused, Verdict, read_verdict
from warehouse.column_lineage import AGGREGATION, INDIRECT, Origin, column_lineage
from warehouse.dbt import Result
from warehouse.plan import Build
from warehouse.shape import CHANGED

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, RunEvent

# Stands for a home's namespace in what is kept for all homes.
_ANY_HOME = "duckdb://*"
# A build's own tables, which say what it touches: nobody reads them later, and what they come from depends on the state.
_PLAN = "plan"
_JOB = "build"
# The kinds of dbt's and DuckDB's errors, without their words: they may hold a value.
_KIND_OF_ERROR = re.compile(r"\b(?:[A-Z]\w+ )+Error\b")
_MEANINGS = {INDIRECT: ("INDIRECT", None), AGGREGATION: ("DIRECT", "AGGREGATION")}


@contextmanager
def stage_events(build: Build, stage: str) -> Iterator[None]:
    """Emit that a stage of a build began, and how it ended. The build's run lasts from its first stage to its publishing.

    A build that is refused has failed. A stage that fails otherwise may be repeated, so the build goes on.
    """
    if not lineage.is_on():
        yield
        return
    began, at = time.monotonic(), log.moment(datetime.fromisoformat(build.plan().planned_at))
    _emit_stage(build, stage, at)
    try:
        yield
    except BaseException as error:
        _emit_stage(build, stage, at + timedelta(seconds=time.monotonic() - began), error=error)
        raise
    _emit_stage(build, stage, at + timedelta(seconds=time.monotonic() - began), is_over=True)


def model_events(build: Build, results: Sequence[Result]) -> None:
    """Emit that each model that ran began, and how it ended; of the build's own tables only those that failed.

    The columns of a table go with the first build of a month and of each version of the models: they are most of an event.
    """
    if lineage.is_on():
        with lineage.never_failing():
            from ingestion import lineage_events as events

            known = _known(build)["models"]
            ended = max((result.ended for result in results if result.ended), default=None)
            marker, version = (
                _described(build.home),
                f"{ended and ended.strftime('%Y-%m')} {parsed.project_key(PROJECT)}",
            )
            with_facets = not marker.is_file() or marker.read_text() != version
            rows = _rows(build, known)
            found = [
                one for result in results for one in _model_events(build, result, known, rows, with_facets=with_facets)
            ]
            if found:
                events.emit(build.home, found)
                marker.parent.mkdir(exist_ok=True)
                marker.write_text(version)


def _described(home: Home) -> Path:
    """Return the file that says in which month, and for which version of the models, the columns were told last."""
    return home.root / "lineage" / "described"


def _emit_stage(
    build: Build, stage: str, at: datetime, *, error: BaseException | None = None, is_over: bool = False
) -> None:
    with lineage.never_failing():
        from ingestion import lineage_events as events

        run_id = log.run_id(build.home.root, build.build_id)
        tags = {**events.parent_facets(), **events.run_tags({"build_id": build.build_id})}
        failed = events.error_facets(error) if error is not None else {}
        state = events.COMPLETE if is_over else events.START if error is None else events.ended_by(error)
        verdict = error.verdict if isinstance(error, Refused) else None
        if stage == "audit" and is_over:
            verdict = read_verdict(build)
        of_build = partial(events.run_event, job=_JOB, run_id=run_id, job_type="BUILD")
        of_stage = events.run_event(
            state,
            at,
            f"{_JOB}.{stage}",
            log.ids()["run_id"],
            job_type="STAGE",
            run_facets={**events.parent_facets(_JOB, run_id), **failed},
            inputs=_checked(build, verdict) if verdict else (),
        )
        found = [of_stage]
        if stage == "transform" and state == events.START:
            found.insert(0, of_build(state, at, run_facets=tags))
        elif isinstance(error, Refused) or (stage == "publish" and is_over):
            found.append(of_build(state, at, run_facets={**tags, **failed}))
        events.emit(build.home, found)


def _rows(build: Build, models: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """Count the rows of each table that the build has made: those of the dates that it touches; and those behind a view."""
    found: dict[tuple[str, str], int] = {}
    for path in (build.file, build.scratch):
        if path.exists():
            with state.connect(path) as connection:
                tables = connection.execute("select schema_name, table_name from duckdb_tables()").fetchall()
                counts = ", ".join(f'(select count(*) from "{schema}"."{table}")' for schema, table in tables)
                if tables:
                    found |= zip(tables, connection.execute(f"select {counts}").fetchone() or (), strict=True)
                for name, model in models.items():
                    if (sql := model.get("rows_sql")) and state.has_table(connection, *model["table"]):
                        found[CHANGED, name] = connection.execute(f"select count(*) from ({sql})").fetchall()[0][0]
    return found


def _model_events(
    build: Build,
    result: Result,
    known: Mapping[str, Any],
    rows: Mapping[tuple[str, str], int],
    *,
    with_facets: bool,
) -> Iterator["RunEvent"]:
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset as read
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    from ingestion import lineage_events as events

    model = known.get(result.name)
    is_made = result.status == "success"
    if not model or not result.began or not result.ended or (is_made and model["table"][0] == _PLAN):
        return
    of_model = partial(
        events.run_event,
        job=f"{_JOB}.{result.name}",
        run_id=log.run_id(build.home.root, build.build_id, result.name, result.began),
        job_type="MODEL",
    )
    facets = events.parent_facets(f"{_JOB}.{log.ids()['stage']}", log.ids()["run_id"])
    inputs = [
        *(
            InputDataset(
                *dataset_names.of_table(schema, table, build.home),
                # of a table that the build made; what is read of the state, DuckDB does not say
                inputFacets={}
                if (count := rows.get((schema, table))) is None
                else {"inputStatistics": read.InputStatisticsInputDatasetFacet(rowCount=count)},
            )
            for schema, table in model["inputs"]
        ),
        *(InputDataset(*dataset_names.of_bronze(dataset, build.home)) for dataset in model["datasets"]),
    ]
    schema, table = model["table"]
    output = dataset_names.of_table(schema, table, build.home)
    # where the table is a view of changed rows and others of the state, those that changed; any other view has none
    written = rows.get((CHANGED, result.name), rows.get((schema, table))) if is_made else None
    counts = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=written)
    yield of_model(events.START, result.began.replace(tzinfo=UTC), run_facets=facets)
    yield of_model(
        events.COMPLETE if is_made else events.FAIL,
        result.ended.replace(tzinfo=UTC),
        run_facets=facets if is_made else {**facets, **events.message_facets(_kind(result.message))},
        inputs=inputs,
        outputs=[
            OutputDataset(
                *output,
                facets=model["facets"] if with_facets else {},
                outputFacets={} if written is None else {"outputStatistics": counts},
            )
        ],
    )


def _kind(message: str) -> str:
    return ": ".join(dict.fromkeys(_KIND_OF_ERROR.findall(message))) or "Error"


def _checked(build: Build, verdict: Verdict) -> list["InputDataset"]:
    """Return the tables that checks looked at, each with what they found, in numbers alone."""
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    tests = _known(build)["tests"]
    found: dict[tuple[str, str], list[quality.Assertion]] = {}
    for finding in verdict.findings:
        if test := tests.get(finding.check_name):
            one = quality.Assertion(
                assertion=test["kind"],
                success=finding.result == "pass",
                column=test["column"],
                severity=test["severity"],
                name=finding.check_name,
                actual=str(finding.failed_rows),
                params=None,
            )
            for schema, table in test["tables"]:
                found.setdefault((schema, table), []).append(one)
    return [
        InputDataset(
            *dataset_names.of_table(schema, table, build.home),
            inputFacets={"dataQualityAssertions": quality.DataQualityAssertionsDatasetFacet(assertions)},
        )
        for (schema, table), assertions in sorted(found.items())
    ]


# --- what follows from the models alone ------------------------------------------------------------------------------


def _known(build: Build) -> dict[str, Any]:
    """Return what is known of the models by their names, and of the tests by theirs."""
    name = f"{parsed.project_key(PROJECT)}.lineage"
    content = parsed.kept(build.home, PROJECT, name)
    if content is None:
        with garbage.not_collected():
            content = _describe(build)
        parsed.keep(build.home, PROJECT, name, content)
    namespace = json.dumps(dataset_names.of_table("", "", build.home)[0])
    return dict(json.loads(content.decode().replace(json.dumps(_ANY_HOME), namespace)))


def _describe(build: Build) -> bytes:
    """Describe the models and tests of a build, with the lineage of columns by the SQL that dbt compiled for it."""
    nodes = dbt.nodes_of(build)
    tables = {key: _table(node) for key, node in nodes.items() if node["resource_type"] in ("model", "seed")}
    columns = {tables[key]: _columns(nodes[key]) for key in tables}
    models, tests = {}, {}
    for key, node in sorted(nodes.items()):
        if node["resource_type"] == "model":
            origins = column_lineage(dbt.compiled_sql(build, node), tables[key], columns)
            models[node["name"]] = _model(build.home, node, tables, tables[key], origins)
            if "match" in (node["config"]["meta"].get("apply") or {}):
                models[node["name"]]["rows_sql"] = dbt.view_sql(build, node)
        elif node["resource_type"] == "test":
            about = [node["attached_node"]] if node.get("attached_node") else node["depends_on"]["nodes"]
            tests[node["name"]] = {
                "tables": [tables[one] for one in about if one in tables],
                "column": node.get("column_name"),
                "kind": (node.get("test_metadata") or {}).get("name") or node["name"],
                "severity": str(node["config"]["severity"]).lower(),
            }
    return json.dumps({"models": models, "tests": tests}).encode()


def _table(node: Mapping[str, Any]) -> tuple[str, str]:
    return node["schema"], node["alias"]


def _columns(node: Mapping[str, Any]) -> list[str]:
    """List the columns of a model, or of a seed, whose file has them in its first line."""
    if node["resource_type"] == "model":
        return list(node["columns"])
    with (PROJECT / node["original_file_path"]).open(encoding="utf-8") as file:
        return file.readline().strip().split(",")


def _model(
    home: Home,
    node: Mapping[str, Any],
    tables: Mapping[str, tuple[str, str]],
    own: tuple[str, str],
    origins: Mapping[str, Sequence[Origin]],
) -> dict[str, Any]:
    from openlineage.client.facet_v2 import documentation_dataset
    from openlineage.client.serde import Serde

    from ingestion import lineage_events as events

    origins = {column: [one for one in found if one.schema != _PLAN] for column, found in origins.items()}
    named = {tables[one] for one in node["depends_on"]["nodes"] if one in tables}
    read = {(one.schema, one.table) for found in origins.values() for one in found}
    columns = [
        (name, str(one.get("data_type") or ""), str(one["description"]).strip())
        for name, one in node["columns"].items()
    ]
    facets: dict[str, Any] = events.schema_facets(columns)
    if description := str(node["description"]).strip():
        facets["documentation"] = documentation_dataset.DocumentationDatasetFacet(description)
    if node["schema"] != _PLAN and (found := _column_facet(home, origins)):
        facets["columnLineage"] = found
    return {
        "table": own,
        "inputs": sorted(one for one in named | read if one != own and one[0] != _PLAN),
        "datasets": [node["alias"]] if node["schema"] == "staging" else [],
        "facets": {name: Serde.to_dict(facet) for name, facet in facets.items()},
    }


def _column_facet(home: Home, origins: Mapping[str, Sequence[Origin]]) -> Any:
    from openlineage.client.facet_v2 import column_lineage_dataset as facet

    fields = {
        column: facet.Fields(
            [
                facet.InputField(
                    _ANY_HOME,
                    dataset_names.of_table(one.schema, one.table, home)[1],
                    one.column,
                    [facet.Transformation(*_MEANINGS.get(one.how, ("DIRECT", one.how)))],
                )
                for one in found
            ]
        )
        for column, found in origins.items()
        if found
    }
    return facet.ColumnLineageDatasetFacet(fields) if fields else None
