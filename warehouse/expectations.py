"""Check gold with Great Expectations, by the `expectations` in each model's YAML."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from typing import TYPE_CHECKING, Any

import duckdb

from ingestion.errors import Permanent
from warehouse import dbt, garbage, quick_imports, state
from warehouse.dbt import Expectation
from warehouse.personal import not_in_findings
from warehouse.plan import Build

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Outcome:
    """The result of one expectation on the touched rows of a gold table."""

    name: str
    success: bool
    failed_rows: int
    message: str
    examples: str


def check(build: Build) -> list[Outcome]:
    """Check the gold rows of a build; tables without touched rows are skipped."""
    rules = dbt.expectations(build)
    with state.connect(build.file) as connection:
        frames = {table: _frame(connection, table, mine) for table, mine in rules.items()}
    filled = {table: frame for table, frame in frames.items() if len(frame)}
    with garbage.not_collected():
        return _validate(rules, filled) if filled else []


def _frame(connection: duckdb.DuckDBPyConnection, table: str, rules: list[Expectation]) -> pd.DataFrame:
    """Read the columns that the rules name, DECIMAL as doubles: pandas reads it as objects, which rules cannot compare."""
    columns = [
        (name, kind.startswith("DECIMAL") or kind == "BIGINT")
        for name, kind, *_ in connection.execute(f"describe gold.{table}").fetchall()
    ]
    named = {name for rule in rules for value in rule.arguments.values() for name in _listed(value)}
    chosen = [f"cast({name} as double) as {name}" if number else name for name, number in columns if name in named]
    return connection.execute(f"select {', '.join(chosen) or '*'} from gold.{table}").df()


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _validate(rules: Mapping[str, list[Expectation]], frames: Mapping[str, pd.DataFrame]) -> list[Outcome]:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    logging.getLogger("great_expectations._docs_decorators").setLevel(logging.WARNING)
    # Importing Great Expectations costs seconds: import it only in an audit.
    with _fewer_imports(), quick_imports.of_models():
        import great_expectations as gx
        from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

        from warehouse import expectation_shortcuts

    # Importing it raises this logger's level again.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    touched = context.data_sources.add_pandas("gold").add_dataframe_asset("touched")
    whole = touched.add_batch_definition_whole_dataframe("whole")
    outcomes = []
    for table, frame in frames.items():
        try:
            expected = [
                ExpectationConfiguration(type=one.name, kwargs=one.arguments).to_domain_obj() for one in rules[table]
            ]
        except (gx.exceptions.GreatExpectationsError, ValueError) as error:
            raise Permanent(
                f"Great Expectations does not accept an expectation of gold.{table}: {error}",
                where=f"dbt_project/models/gold/gold_{table}.yml",
                todo="fix the expectation's name or arguments",
            ) from error
        # neither the suite nor its run is added to the context, which would write its whole configuration each time
        with expectation_shortcuts.taken():
            result = whole.get_batch({"dataframe": frame}).validate(
                gx.ExpectationSuite(name=table, expectations=expected),
                result_format={"result_format": "SUMMARY", "partial_unexpected_count": 5},
            )
        outcomes += [_outcome(table, one) for one in result.results]
    return outcomes


# What Great Expectations imports for its pages and for a few rules that nothing here uses: a third of its import.
_SELDOM_USED = frozenset({"altair", "scipy.stats"})
# What it does without if it is not installed: it would import SQLAlchemy to define rules for databases.
_NOT_USED = frozenset({"sqlalchemy"})


@contextmanager
def _fewer_imports() -> Iterator[None]:
    """Load seldom used modules only when something of them is used; unused ones, unless loaded already, seem not to be installed."""

    class Finder(MetaPathFinder):
        def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
            if name in _NOT_USED:
                raise ModuleNotFoundError(f"{name} is not loaded here", name=name)
            spec = PathFinder.find_spec(name, path) if name in _SELDOM_USED else None
            if spec and spec.loader:
                spec.loader = LazyLoader(spec.loader)
            return spec

    finder = Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _outcome(table: str, result: Any) -> Outcome:
    config, found = result.expectation_config, result.result or {}
    named = [str(config.kwargs[key]) for key in ("column", "column_A", "column_B") if key in config.kwargs]
    values = found.get("partial_unexpected_list", [])
    if values and {name.lower() for name in named} & not_in_findings():
        values = []
    return Outcome(
        name=f"{table}.{'_'.join(named)}.{config.type.removeprefix('expect_')}",
        success=bool(result.success),
        failed_rows=int(found.get("unexpected_count") or 0),
        message=_why(result.exception_info or {}),
        examples=json.dumps(values, default=str),
    )


def _why(info: Mapping[str, Any]) -> str:
    """Return why a rule could not be checked: Great Expectations reports it for the rule or for each of its metrics."""
    told = [info, *(one for one in info.values() if isinstance(one, dict))]
    return "; ".join(dict.fromkeys(str(one["exception_message"]) for one in told if one.get("exception_message")))
