"""The table of a build's planned batches, for macros that are rendered without dbt."""

from collections.abc import Sequence

import duckdb

from ingestion import bronze
from ingestion.home import Home
from ingestion.manifest import Manifest


def plan_batches(connection: duckdb.DuckDBPyConnection, home: Home, manifests: Sequence[Manifest]) -> None:
    """Plan a build in which these batches enter."""
    connection.execute(
        "create table plan_batches (dataset text, batch_id text, source text, window_date date, landed_at timestamp,"
        " records_written bigint, files text[], columns text[], renamed map(text, text), is_entering boolean)"
    )
    for one in manifests:
        connection.execute(
            "insert into plan_batches values (?, ?, ?, ?, ?, ?, ?, ?, map(?::text[], ?::text[]), true)",
            [
                *(one.dataset, one.batch_id, one.source, one.window.date, one.landed_at.replace(tzinfo=None)),
                *(one.records_written, bronze.parquet_files(home, one), list(one.columns)),
                *(list(one.renamed), list(one.renamed.values())),
            ],
        )
