"""Measure how long parsing a DAG file takes beyond importing Airflow: prints seconds and CPU seconds.

python -m bench.parsing dags/build.py

What the files of `dags/` import of Airflow is imported first, and a DAG with one task is made, as that loads more of it.
"""

import ast
import os
import runpy
import sys
import time
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory


def main() -> None:
    """Load Airflow with a home of its own; then parse the file."""
    path = Path(sys.argv[1])
    with TemporaryDirectory(prefix="clearwell-bench-") as folder:
        os.environ |= {"AIRFLOW_HOME": folder, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        load_airflow(path.parent)
        start, cpu = time.perf_counter(), time.process_time()
        runpy.run_path(str(path))
        print(time.perf_counter() - start, time.process_time() - cpu)


def load_airflow(dags: Path) -> None:
    """Import every name of Airflow that a folder's files import, and make a DAG."""
    for module, name in sorted(
        {found for path in dags.glob("*.py") for found in imported_from_airflow(path.read_text())}
    ):
        getattr(import_module(module), name)
    from airflow.sdk import DAG, task

    with DAG("bare"):
        task(load_airflow)(dags)


def imported_from_airflow(source: str) -> set[tuple[str, str]]:
    """Return the modules and names that a file imports from Airflow at its top level."""
    return {
        (node.module, alias.name)
        for node in ast.parse(source).body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "airflow"
        for alias in node.names
    }


if __name__ == "__main__":
    main()
