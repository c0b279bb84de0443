"""Render macros without dbt, with stand-ins for what it provides: contracts, table names, queries and `return`."""

import json
import re
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import duckdb
import jinja2
import yaml

from ingestion.contract import PROJECT

_ENVIRONMENT = jinja2.Environment(extensions=["jinja2.ext.do"])
_MACRO = re.compile(r"\{%-? macro (\w+)\(.*?endmacro -?%\}", re.S)


class _Return(Exception):
    """Raised by `return`, to leave a macro with a value of any type."""


def project(
    connection: duckdb.DuckDBPyConnection, contracts: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Return every macro by name. `contracts` are tables of a source YAML, which take precedence over the project's own."""

    def ask(query: str) -> list[tuple[Any, ...]]:
        found = connection.sql(query)
        return list(zip(*found.fetchall(), strict=True)) or [()] * len(found.columns)

    return project_of("duckdb", ask, contracts)


def project_of(
    engine: str, ask: Callable[[str], list[tuple[Any, ...]]], contracts: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Return every macro by name, for an engine. `ask` answers a query with the values of each column."""
    known = {**_contracts(), **(contracts or {})}

    def leave(value: Any) -> None:
        raise _Return(value)

    def refuse(message: str) -> None:
        raise ValueError(message)

    def contract(dataset: str) -> dict[str, Any]:
        table = known[dataset]
        columns = [{"config": {"meta": {}}, **column} for column in table["columns"]]
        return {"meta": table["config"]["meta"], "columns": columns}

    def run_query(query: str) -> SimpleNamespace:
        return SimpleNamespace(columns=[SimpleNamespace(values=lambda values=values: values) for values in ask(query)])

    names: dict[str, Any] = {"return": leave, "ref": str, "source": lambda _, name: name, "execute": True}
    names |= {"modules": SimpleNamespace(re=re), "exceptions": SimpleNamespace(raise_compiler_error=refuse)}
    names |= {"run_query": run_query, "fromjson": json.loads, "env_var": lambda _, default: default}
    names["adapter"] = SimpleNamespace(dispatch=lambda name: names[f"{engine}__{name}"])
    for path in sorted((PROJECT / "macros").rglob("*.sql")):
        for match in _MACRO.finditer(path.read_text()):
            names[match[1]] = _macro(match[1], match[0], names)
    names["contract"] = contract
    # it would read the decisions of a state, and there is none
    names["retracted_batches"] = lambda _: names["no_values"]()
    return names


@cache
def _contracts() -> dict[str, dict[str, Any]]:
    found = (yaml.safe_load(path.read_text()) for path in (PROJECT / "models" / "staging").glob("*.yml"))
    return {table["name"]: table for body in found for table in body["sources"][0]["tables"]}


def _macro(name: str, text: str, names: dict[str, Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        # render at each call, so that a macro sees all others
        try:
            return getattr(_template(text).make_module(names), name)(*arguments, **named)
        except _Return as found:
            return found.args[0]

    return call


@cache
def _template(text: str) -> jinja2.Template:
    """Compile a macro, once for all tests: all of them together take most of a second."""
    return _ENVIRONMENT.from_string(text)
