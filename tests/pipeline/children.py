"""Run work in child processes of its own that need not import what takes seconds to import."""

import multiprocessing

# One server forks the children of all tests of a process, so there is one list of what it imports.
children = multiprocessing.get_context("forkserver")
children.set_forkserver_preload(
    [
        *(
            "pytest",
            "duckdb",
            "pyarrow.parquet",
            "psycopg",
            "dbt.cli.main",
            "dbt.adapters.duckdb",
            "great_expectations",
        ),
        *(
            "cli.main",
            "demo.simulate",
            "operations.heal",
            "operations.ledger",
            "operations.maintain",
            "warehouse.build",
        ),
    ]
)
