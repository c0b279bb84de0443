"""Keep the SQL of dbt's tests and models once dbt has compiled it.

DuckDB runs a test in a tenth of the time that dbt takes, and dbt runs a model without compiling it again. Only SQL that is the
same in each build is kept: it follows from the project's files, and from the tables and columns of the state.
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
    r"|\bvar\(\s*['\"](plan|build_id|model_version|held|has_many_dates|from|to)['\"]"
)
# What dbt would compile once more.
_TEMPLATE = re.compile(r"\{[{%#]|[}%#]\}")
# How a test's rows are judged unless it says otherwise: any row is a failure.
_FAILS = {"fail_calc": "count(*)", "error_if": "!= 0", "warn_if": "!= 0"}

Nodes = Mapping[str, Mapping[str, Any]]


def read(home: Home, project: Path, kind: str, columns: Collection[tuple[str, ...]]) -> dict[str, str]:
    """Return the known SQL of `tests` or `models` by name. `columns` are all columns of the state."""
    with suppress(ValueError):  # a damaged file is written again
        return dict(json.loads(kept(home, project, _name(project, kind, columns)) or b"{}"))
    return {}


def remember(
    home: Home, project: Path, kind: str, columns: Collection[tuple[str, ...]], sql: Mapping[str, str]
) -> None:
    """Keep the SQL of tests or models by name, beside what is known already."""
    known = read(home, project, kind, columns)
    if sql.items() - known.items():
        keep(home, project, _name(project, kind, columns), json.dumps(known | dict(sql)).encode())


def is_final(sql: str) -> bool:
    """Say whether dbt leaves this text as it is when it compiles it."""
    return not _TEMPLATE.search(sql)


def constant(nodes: Nodes, macros: Nodes) -> set[str]:
    """Return the names of the nodes whose SQL is the same in each build, going by the text of the node and of its macros."""
    return {
        node["name"]
        for node in nodes.values()
        if not _DIFFERS.search(node["raw_code"])
        and not any(_DIFFERS.search(macros[name]["macro_sql"]) for name in _reached(node, macros))
    }


def fails_by_rows(test: Mapping[str, Any]) -> bool:
    """Say whether a test fails if it finds rows, and says what they mean: then its SQL is all there is to run."""
    config = test["config"]
    return all(config[name] == value for name, value in _FAILS.items()) and "finding" in config["meta"]


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


def _name(project: Path, kind: str, columns: Collection[tuple[str, ...]]) -> str:
    there = sha256(json.dumps(sorted(columns)).encode()).hexdigest()[:8]
    return f"{project_key(project)}-{there}.{kind}"
