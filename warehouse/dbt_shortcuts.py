"""Short ways through dbt, where it does for each model what it did before. Imports dbt, which takes seconds.

Each of them replaces a method of dbt or of its libraries while a build runs, and only in the versions that the tests compare with
the original. In another version dbt goes its own way, and a build takes longer.
"""

import marshal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from importlib.metadata import version
from types import CodeType
from typing import Any

import parsedatetime
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.clients.jinja import MacroGenerator
from dbt.compilation import Compiler, Linker
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.contracts.graph.nodes import Macro, ModelNode
from dbt.exceptions import CompilationError
from dbt.include.global_project import PROJECT_NAME as DBT
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.clients.jinja import CaughtMacroErrorWithNodeError, MacroFuzzEnvironment, MacroReturn
from dbt_common.dataclass_schema import dbtClassMixin
from dbt_common.events.base_types import BaseEvent
from jinja2.exceptions import TemplateRuntimeError
from jinja2.sandbox import SandboxedEnvironment

from warehouse import compiled

_KNOWN = {
    "dbt-core": "1.11.",
    "dbt-common": "1.39.",
    "dbt-duckdb": "1.11.",
    "Jinja2": "3.1.",
    "parsedatetime": "2.6",
}
# How models ask for the values of a column: 107 times in a build of the demo shop, for 57 answers.
_VALUES = "select distinct "

# A template's text and its kind of environment, and the code that Jinja makes of it.
Templates = dict[tuple[str, str], CodeType]


def are_known() -> bool:
    """Say whether the versions installed are those whose methods may be replaced."""
    return all(version(name).startswith(known) for name, known in _KNOWN.items())


@contextmanager
def taken(templates: Templates, earlier: Templates | None = None) -> Iterator[None]:
    """Take the short ways. Code of `templates` is used and not made again; what is made is added, or taken from `earlier`."""
    with ExitStack() as stack:
        if are_known():
            for owner, name, value in _replaced(templates, earlier or {}):
                stack.enter_context(_replacing(owner, name, value))
        yield


@contextmanager
def _replacing(owner: Any, name: str, value: Any) -> Iterator[None]:
    own = vars(owner).get(name)  # None if it is inherited
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def packed(templates: Templates) -> bytes:
    """Return the code of templates as bytes, for this version of Python and of Jinja."""
    return marshal.dumps((_made_by(), templates))


def unpacked(content: bytes | None) -> Templates:
    """Return the code of templates; none if the bytes are damaged, or another version of Python or of Jinja made them."""
    try:
        made_by, templates = marshal.loads(content or b"")
    except (EOFError, ValueError, TypeError):
        return {}
    return templates if made_by == _made_by() else {}


def _made_by() -> str:
    return f"{sys.version} {version('jinja2')} {version('dbt-common')}"


def _replaced(templates: Templates, earlier: Templates) -> list[tuple[Any, str, Any]]:
    """Return what is replaced: an object, the name of its attribute, and what takes its place."""
    return [
        (BaseEvent, "__init__", _keep_values),
        (BaseEvent, "__getattr__", _fill_and_read(BaseEvent.__init__, BaseEvent.__getattr__)),
        (MacroFuzzEnvironment, "compile", _compile_once(MacroFuzzEnvironment.compile, templates, earlier)),
        (Compiler, "_compile_code", _leave_final(Compiler._compile_code)),
        (MacroNamespaceBuilder, "build_namespace", _name_by_package),
        (MacroGenerator, "__init__", _hold),
        (MacroGenerator, "__call__", _call),
        (SandboxedEnvironment, "is_safe_attribute", _judge_once(SandboxedEnvironment.is_safe_attribute)),
        # dbt writes a file about its graph, and lets models wait for tests: a build runs its tests when all models are there
        (Linker, "get_graph_summary", lambda linker, manifest: {}),
        (Linker, "add_test_edges", lambda linker, manifest: None),
        (DuckDBConnectionManager, "execute", _answer_once(DuckDBConnectionManager.execute)),
        # dbt names the module that declares a flag, for which Python reads the source of every module in the process
        (BehaviorFlagRendered, "_default_source", staticmethod(lambda: "dbt")),
        # dbt makes a parser of dates in English for each result of a query, and reads no date by it
        (parsedatetime, "Constants", lru_cache(parsedatetime.Constants)),
        # the project and the profile are validated when they are parsed, and are the same since then
        (dbtClassMixin, "validate", classmethod(lambda cls, data: None)),
    ]


def _keep_values(event: BaseEvent, *values: Any, **named: Any) -> None:
    """Fill an event when something reads it: dbt fills all, 3,000 in a build, of which 200 are read."""
    event.__dict__["given"] = (values, named)


def _fill_and_read(fill: Callable[..., None], read: Callable[..., Any]) -> Callable[[BaseEvent, str], Any]:
    def fill_and_read(event: BaseEvent, name: str) -> Any:
        if "given" in event.__dict__:
            values, named = event.__dict__.pop("given")
            # dozens of values of the model, which nothing reads: its name is in the message
            named.pop("node_info", None)
            fill(event, *values, **named)
            return getattr(event, name)
        return read(event, name)

    return fill_and_read


def _compile_once(make: Callable[..., Any], templates: Templates, earlier: Templates) -> Callable[..., Any]:
    """Keep the code of a template. Jinja takes 3 ms to make that of a macro, and a build uses 300 of them."""

    def compile(environment: Any, source: Any, *more: Any, **named: Any) -> Any:
        if more or named or not isinstance(source, str):
            return make(environment, source, *more, **named)
        key = (type(environment).__name__, source)
        if key not in templates:
            templates[key] = earlier.get(key) or make(environment, source)
        return templates[key]

    return compile


class _Names(dict[str, Any]):
    """What `MacroNamespace` is, as a dictionary: dbt puts all its names into another one, for each model twice."""

    def __init__(
        self,
        packages: Mapping[str, dict[str, MacroGenerator]],
        own: Mapping[str, MacroGenerator],
        of_root: Mapping[str, MacroGenerator],
        internal: Mapping[str, MacroGenerator],
    ) -> None:
        # the last one wins
        super().__init__({**internal, DBT: internal, **packages, **of_root, **own})
        self.packages, self.local_namespace = packages, own
        self.global_namespace, self.global_project_namespace = of_root, internal

    get_from_package = MacroNamespace.get_from_package


def _name_by_package(
    builder: MacroNamespaceBuilder, macros: Mapping[str, Mapping[str, Macro]], context: dict[str, Any]
) -> _Names:
    """Name each macro once, as they are by package already: dbt looks for the place of each of 860 in all packages."""
    packages = {
        package: {
            name: MacroGenerator(macro, context, builder.node, builder.thread_ctx) for name, macro in of_it.items()
        }
        for package, of_it in macros.items()
    }
    internal: dict[str, MacroGenerator] = {}
    for package in reversed(builder.internal_package_names_order):
        internal |= packages.pop(package, {})
    own = packages.get(builder.search_package, {})
    of_root = {} if builder.search_package == builder.root_package else packages.get(builder.root_package, {})
    return _Names(packages, own, of_root, internal)


def _hold(
    generator: MacroGenerator,
    macro: Any,
    context: dict[str, Any] | None = None,
    node: Any = None,
    stack: Any = None,
) -> None:
    """Set what dbt sets through two further calls, 170,000 times in a build."""
    generator.macro, generator.context, generator.node, generator.stack = macro, context, node, stack


def _call(generator: MacroGenerator, *values: Any, **named: Any) -> Any:
    """Call a macro, as `MacroGenerator` does in three further calls, and let Jinja make it for the first one only.

    8,000 macros are called in a build, 3,000 of them for the first time. All that a macro reads besides is in its context, to
    which nothing is added once a model's SQL is rendered.
    """
    stack: Any = generator.stack
    macro: Any = generator.macro
    if stack is not None:
        if not stack.call_stack and generator.node:
            generator.node.depends_on.add_macro(macro.unique_id)
        stack.push(macro.unique_id)
    try:
        made = vars(generator).get("made")
        if made is None:
            made = vars(generator)["made"] = generator.get_macro()
        try:
            return made(*values, **named)
        except MacroReturn as returned:
            return returned.value
        except (TypeError, TemplateRuntimeError) as error:
            raise CaughtMacroErrorWithNodeError(exc=error, node=macro) from error
        except CompilationError as error:
            error.stack.append(macro)
            raise
    finally:
        if stack is not None:
            stack.pop(macro.unique_id)


def _judge_once(is_safe: Callable[..., bool]) -> Callable[..., bool]:
    """Say whether a template may read an attribute, 20,000 times in a build. It follows from its name and the kind of the value."""
    known: dict[tuple[type, str], bool] = {}

    def judge_once(environment: Any, value: Any, name: str, found: Any) -> bool:
        key = (type(value), name)
        if key not in known:
            known[key] = is_safe(environment, value, name, found)
        return known[key]

    return judge_once


def _answer_once(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the values of columns that models ask for: a table is made once in a run of dbt, and asked by what is made after it."""
    known: dict[str, Any] = {}

    def answer_once(
        manager: Any, sql: str, auto_begin: bool = False, fetch: bool = False, limit: int | None = None
    ) -> Any:
        if not fetch or limit is not None or not sql.lstrip().startswith(_VALUES):
            return execute(manager, sql, auto_begin, fetch, limit)
        if sql not in known:
            known[sql] = execute(manager, sql, auto_begin, fetch, limit)
        return known[sql]

    return answer_once


def _leave_final(compile_code: Callable[..., Any]) -> Callable[..., Any]:
    """Do not put together all that the SQL of a model may refer to if it has no Jinja."""

    def leave_final(compiler: Any, node: Any, *more: Any, **named: Any) -> Any:
        is_final = isinstance(node, ModelNode) and node.language == "sql" and compiled.is_final(node.raw_code)
        if not is_final or any(one.to for one in node.all_constraints):
            return compile_code(compiler, node, *more, **named)
        node.compiled_code, node.compiled = node.raw_code, True
        return node

    return leave_final
