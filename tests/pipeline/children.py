"""Run work in child processes of its own that need not import what takes seconds to import."""

import multiprocessing

# The libraries of a build. dbt and Great Expectations import several of them only when they run.
LIBRARIES = (
    *("click", "duckdb", "numpy", "psycopg", "pyarrow.dataset", "pyarrow.parquet", "rich.console", "sqlglot", "yaml"),
    *("dbt.cli.main", "dbt.task.build", "dbt.adapters.duckdb", "great_expectations", "babel.dates", "sqlparse"),
)
# One server forks the children of all tests of a process, so there is one list of what it imports.
children = multiprocessing.get_context("forkserver")
children.set_forkserver_preload(
    [
        *("pytest", *LIBRARIES),
        *("cli.main", "demo.simulate", "operations.heal", "operations.ledger", "operations.maintain"),
        *("warehouse.build", "warehouse.dbt_log", "warehouse.dbt_shortcuts", "tests.pipeline.set_aside"),
    ]
)
