"""Keep the SQL of dbt's tests once dbt has compiled it: DuckDB then runs it in a tenth of the time that dbt takes.

Only of tests whose SQL is the same in each build: it follows from the project's files and from which tables the state has.
"""

import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from ingestion.home import Home
from warehouse.parsed import keep, kept, project_key

# What the SQL of one build may differ by: the variables of dbt's command line, the environment, the clock, a query's result.
_DIFFERS = re.compile(
    r"\b(run_query|statement|execute_macro|env_var|invocation_id|run_started_at|modules)\b"
    r"|\bvar\(\s*['\"](plan|build_id|model_version|held|from|to)['\"]"
)
# How a test's rows are judged unless it says otherwise: any row is a failure.
_FAILS = {"fail_calc": "count(*)", "error_if": "!= 0", "warn_if": "!= 0"}

Nodes = Mapping[str, Mapping[str, Any]]


def read(home: Home, project: Path, tables: Collection[tuple[str, str]]) -> dict[str, str]:
    """Return the known SQL of tests by name. `tables` are the (schema, name) of the state's tables."""
    with suppress(ValueError):  # a damaged file is written again
        return dict(json.loads(kept(home, project, _name(project, tables)) or b"{}"))
    return {}


def remember(home: Home, project: Path, tables: Collection[tuple[str, str]], sql: Mapping[str, str]) -> None:
    """Keep the SQL of tests by name, beside what is known already."""
    known = read(home, project, tables)
    if sql.items() - known.items():
        keep(home, project, _name(project, tables), json.dumps(known | dict(sql)).encode())


def constant(tests: Nodes, macros: Nodes) -> set[str]:
    """Return the names of the tests whose SQL is the same in each build, going by the text of the test and of its macros.

    A test that fails by another rule than that it finds rows is left out.
    """
    return {
        test["name"]
        for test in tests.values()
        if all(test["config"][name] == value for name, value in _FAILS.items())
        and "finding" in test["config"]["meta"]
        and not _DIFFERS.search(test["raw_code"])
        and not any(_DIFFERS.search(macros[name]["macro_sql"]) for name in _reached(test, macros))
    }


def _reached(node: Mapping[str, Any], macros: Nodes) -> set[str]:
    """Return the ids of the macros that a node uses, also through others."""
    seen: set[str] = set()
    ahead = [*node["depends_on"]["macros"]]
    while ahead:
        name = ahead.pop()
        if name not in seen and name in macros:
            seen.add(name)
            ahead += macros[name]["depends_on"]["macros"]
    return seen


def _name(project: Path, tables: Collection[tuple[str, str]]) -> str:
    there = sha256(json.dumps(sorted(tables)).encode()).hexdigest()[:8]
    return f"{project_key(project)}-{there}.tests"
