"""What gold must look like, said to Great Expectations. Its Data Docs are the page to show when someone asks."""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warehouse import state
from warehouse.plan import Build

Rule = tuple[str, dict[str, Any]]


def _complete(*columns: str) -> list[Rule]:
    return [("ExpectColumnValuesToNotBeNull", {"column": column}) for column in columns]


def _at_least(column: str, least: int) -> Rule:
    return ("ExpectColumnValuesToBeBetween", {"column": column, "min_value": least})


_CURRENCY: Rule = ("ExpectColumnValueLengthsToEqual", {"column": "currency", "value": 3})
_REVENUE = [
    *_complete("country", "currency", "net_amount"),
    _CURRENCY,
    _at_least("orders", 1),
]

RULES: Mapping[str, list[Rule]] = {
    "daily_revenue": [*_complete("order_date"), *_REVENUE],
    "hourly_revenue": [*_complete("order_hour"), *_REVENUE],
    "daily_products": [*_complete("activity_date", "product_id"), _at_least("views", 0)],
    "daily_traffic": [
        *_complete("event_date", "event_type"),
        _at_least("visitors", 1),
        ("ExpectColumnPairValuesAToBeGreaterThanB", {"column_A": "events", "column_B": "visitors", "or_equal": True}),
    ],
}


@dataclass(frozen=True)
class Outcome:
    """What one expectation found on the touched rows of a gold table."""

    name: str
    success: bool
    failed_rows: int
    message: str
    examples: str


def check(build: Build) -> list[Outcome]:
    """Check the gold rows of a build, and write the Data Docs. Tables without touched rows have nothing to show."""
    with state.connect(build.file) as connection:
        # DECIMAL reaches pandas as objects, which numeric expectations cannot compare: they look at doubles.
        frames = {
            table: connection.execute(f"select * replace ({_as_doubles(connection, table)}) from gold.{table}").df()
            for table in RULES
        }
    filled = {table: frame for table, frame in frames.items() if len(frame)}
    return _validate(build, filled) if filled else []


def _as_doubles(connection: Any, table: str) -> str:
    names = connection.execute(
        "select column_name from information_schema.columns where table_schema = 'gold' and table_name = $1 "
        "and (data_type like 'DECIMAL%' or data_type = 'BIGINT')",
        [table],
    ).fetchall()
    return ", ".join(f"cast({name} as double) as {name}" for (name,) in names)


def _validate(build: Build, frames: Mapping[str, Any]) -> list[Outcome]:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    logging.getLogger("great_expectations._docs_decorators").setLevel(logging.WARNING)
    # Importing Great Expectations costs seconds: only an audit pays.
    import great_expectations as gx

    # Its import turns this one up again.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    context.add_data_docs_site(
        site_name="gold",
        site_config={
            "class_name": "SiteBuilder",
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(build.home.docs)},
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    source = context.data_sources.add_pandas("gold")
    definitions = []
    for table in frames:
        batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("touched")
        suite = context.suites.add(gx.ExpectationSuite(name=table))
        for kind, arguments in RULES[table]:
            suite.add_expectation(getattr(gx.expectations, kind)(**arguments))
        definitions.append(gx.ValidationDefinition(name=table, data=batch, suite=suite))
    outcomes = []
    for definition in definitions:
        context.validation_definitions.add(definition)
        result = definition.run(
            batch_parameters={"dataframe": frames[definition.name]},
            result_format={"result_format": "SUMMARY", "partial_unexpected_count": 5},
        )
        outcomes += [_outcome(definition.name, one) for one in result.results]
    context.build_data_docs()
    return outcomes


def _outcome(table: str, result: Any) -> Outcome:
    config, found = result.expectation_config, result.result or {}
    columns = "_".join(str(config.kwargs[key]) for key in ("column", "column_A", "column_B") if key in config.kwargs)
    return Outcome(
        name=f"{table}.{columns}.{config.type.removeprefix('expect_')}",
        success=bool(result.success),
        failed_rows=int(found.get("unexpected_count") or 0),
        message=str((result.exception_info or {}).get("exception_message") or ""),
        examples=json.dumps(found.get("partial_unexpected_list", []), default=str),
    )
