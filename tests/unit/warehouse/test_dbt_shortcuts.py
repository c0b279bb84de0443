"""The short ways through dbt against dbt's own: what comes out is the same, and afterwards dbt is as it was."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import parsedatetime
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.events.types import AdapterRegistered
from dbt.artifacts.resources import MacroDependsOn
from dbt.clients.jinja import MacroGenerator, MacroStack, UnitTestMacroGenerator
from dbt.compilation import Compiler
from dbt.context.macros import MacroNamespaceBuilder
from dbt.contracts.graph.nodes import ModelNode
from dbt.contracts.project import Project
from dbt.events.types import LogModelResult
from dbt.exceptions import CompilationError, PackageNotFoundForMacroError
from dbt_common.behavior_flags import Behavior
from dbt_common.clients import agate_helper
from dbt_common.clients.jinja import MacroFuzzEnvironment, MacroReturn, get_template, render_template
from dbt_common.dataclass_schema import ValidationError
from dbt_common.events.base_types import BaseEvent, msg_from_base_event
from dbt_common.events.types import Note
from jinja2.sandbox import SandboxedEnvironment

from warehouse import dbt_shortcuts

TEXTS = (
    "select {{ 1 + n }}",
    "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{{ dbt_macro__twice(n) }}",
    "{% for i in range(n) %}{{ i }},{% endfor %}{# nothing #}",
    "no jinja",
)


def _said(templates: dbt_shortcuts.Templates | None, earlier: dbt_shortcuts.Templates | None = None) -> list[str]:
    """Render each text, by dbt's own way or by the short one."""
    with dbt_shortcuts.taken(templates, earlier) if templates is not None else _nothing():
        return [render_template(get_template(text, {}), {"n": n}) for text in TEXTS for n in (2, 3)]


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def test_the_versions_installed_are_those_compared_here() -> None:
    assert dbt_shortcuts.are_known(), (
        "see in this file whether the short ways fit these versions, and say so in `_KNOWN`"
    )


def test_in_another_version_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbt_shortcuts, "_KNOWN", {"dbt-core": "0."})
    before = vars(BaseEvent)["__init__"]
    with dbt_shortcuts.taken({}):
        assert vars(BaseEvent)["__init__"] is before


def test_afterwards_dbt_is_as_it_was() -> None:
    replaced = [(owner, name) for owner, name, _ in dbt_shortcuts._replaced({}, {})]
    before = [vars(owner).get(name) for owner, name in replaced]

    with pytest.raises(RuntimeError), dbt_shortcuts.taken({}):
        assert all(vars(owner)[name] is not old for (owner, name), old in zip(replaced, before, strict=True))
        raise RuntimeError

    assert [vars(owner).get(name) for owner, name in replaced] == before


def test_kept_templates_say_what_new_ones_say_and_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    templates: dbt_shortcuts.Templates = {}
    own = _said(None)

    assert _said(templates) == own
    assert {text for _, text in templates} == set(TEXTS)

    kept = dbt_shortcuts.unpacked(dbt_shortcuts.packed(templates))

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("made again")

    monkeypatch.setattr(MacroFuzzEnvironment, "_parse", never)
    assert _said(kept) == own


def test_what_an_earlier_project_made_is_not_made_again_and_only_what_is_used_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    earlier: dbt_shortcuts.Templates = {}
    own = _said(earlier)
    earlier["MacroFuzzEnvironment", "gone since then"] = next(iter(earlier.values()))
    monkeypatch.setattr(MacroFuzzEnvironment, "_parse", lambda *_, **__: pytest.fail("made again"))
    templates: dbt_shortcuts.Templates = {}
    assert _said(templates, earlier) == own
    assert {text for _, text in templates} == set(TEXTS)


def test_templates_that_are_damaged_or_of_another_version_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    templates: dbt_shortcuts.Templates = {}
    _said(templates)
    content = dbt_shortcuts.packed(templates)

    for damaged in (None, b"", content[:-9], b"\xff" * 40, b"N"):
        assert dbt_shortcuts.unpacked(damaged) == {}
    monkeypatch.setattr(dbt_shortcuts, "_made_by", lambda: "another Python")
    assert dbt_shortcuts.unpacked(content) == {}


class _Macro(SimpleNamespace):
    """A macro, as far as it is named."""


@pytest.mark.parametrize("search", ["clearwell", "extra", "dbt"])
@pytest.mark.parametrize("macro_search", [None, "dbt", "clearwell", "extra"])
def test_names_stand_for_the_same_macros(search: str, macro_search: str | None) -> None:
    of_packages = {
        "dbt": ["a", "b", "c", "extra"],
        "dbt_duckdb": ["b", "duckdb__b"],
        "clearwell": ["a", "own", "dbt"],
        "extra": ["a", "own", "more", "duckdb__b"],
    }
    macros: Any = {
        package: {name: _Macro(name=name, package_name=package) for name in names}
        for package, names in of_packages.items()
    }
    stack, context, node = MacroStack(), {"n": 1}, SimpleNamespace(name="node")

    def named() -> Any:
        builder = MacroNamespaceBuilder("clearwell", search, stack, ["dbt_duckdb", "dbt"], node)
        return builder.build_namespace(macros, context)

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        return value and (value.macro, value.context, value.node, value.stack)

    own = named()
    with dbt_shortcuts.taken({}):
        quick = named()
    assert plain({**quick}) == plain({**own})
    for name in ("a", "b", "c", "duckdb__b", "own", "more", "missing"):
        assert plain(quick.get_from_package(macro_search, name)) == plain(own.get_from_package(macro_search, name))
    for found in (own, quick):
        with pytest.raises(PackageNotFoundForMacroError):
            found.get_from_package("none", "a")


def test_a_macro_holds_the_same() -> None:
    given: tuple[Any, ...] = (_Macro(name="a"), {"n": 1}, SimpleNamespace(name="node"), MacroStack())

    def held() -> list[dict[str, Any]]:
        made = [MacroGenerator(*given[:number]) for number in (1, 2, 3, 4)]
        return [vars(one) for one in (*made, UnitTestMacroGenerator(made[-1], "said"))]

    own = held()
    with dbt_shortcuts.taken({}):
        assert held() == own


MACROS = {
    "twice": "{% macro twice(x) %}{{ x }}{{ x }}{{ of_context }}{% endmacro %}",
    "given": "{% macro given(x) %}{{ return([x, of_context]) }}{% endmacro %}",
    "outer": "{% macro outer(x) %}{{ twice(x) }} and {{ given(x) }}{% endmacro %}",
    "fails": "{% macro fails(x) %}{{ 1 + x }}{% endmacro %}",
    "refuses": "{% macro refuses(x) %}{{ raise(x) }}{% endmacro %}",
}


def _return(value: Any) -> None:
    raise MacroReturn(value)


def _raise(text: str) -> None:
    raise CompilationError(text)


def _called(said: str) -> list[Any]:
    """Call macros, also such that call others and such that fail, and return what comes of it, with what dbt keeps of the calls."""
    stack, node = MacroStack(), SimpleNamespace(depends_on=MacroDependsOn())
    context: dict[str, Any] = {"of_context": said, "return": _return, "raise": _raise}
    for name, sql in MACROS.items():
        macro: Any = _Macro(name=name, macro_sql=sql, unique_id=f"macro.{name}", package_name="clearwell")
        context[name] = MacroGenerator(macro, context, node, stack)
    found: list[Any] = []
    for name, value in [(name, value) for name in MACROS for value in ("1", "2")]:
        try:
            found.append(context[name](value))
        except CompilationError as error:  # also what dbt makes of an error in a macro
            found.append((type(error), str(error), [one.name for one in error.stack]))
    return [*found, node.depends_on.macros, stack.call_stack]


def test_a_macro_says_the_same_and_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [_called(said) for said in ("a", "b")]
    made: list[str] = []
    get_macro = MacroGenerator.get_macro
    monkeypatch.setattr(MacroGenerator, "get_macro", lambda one: (made.append(one.macro.name), get_macro(one))[1])
    with dbt_shortcuts.taken({}):
        assert [_called(said) for said in ("a", "b")] == own
    assert made.count("fails") == made.count("given") == 2  # one for each context
    assert sum(isinstance(one, tuple) for one in own[0]) == 4


def test_a_template_may_read_the_same() -> None:
    def read(*values: Any) -> list[bool]:
        names = ("upper", "append", "mro", "__class__", "_own", "gi_frame", "__code__", "func_code", "tb_next")
        return [SandboxedEnvironment().is_safe_attribute(value, name, None) for value in values for name in names]

    values = ("text", [], {}, str, type, read, "text".upper, (one for one in ()), SimpleNamespace(), read.__code__)
    own = read(*values)
    with dbt_shortcuts.taken({}):
        assert read(*values) == own == read(*values)
    assert {True, False} == {*own}


def test_values_are_asked_for_once_in_a_run_and_all_else_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def execute(manager: object, sql: str, *more: object) -> tuple[str, int]:
        asked.append(sql)
        return sql, len(asked)

    monkeypatch.setattr(DuckDBConnectionManager, "execute", execute)
    manager = DuckDBConnectionManager.__new__(DuckDBConnectionManager)
    values, other = "\n  select distinct a from t order by 1", "select distinct b from t order by 1"
    for _ in range(2):
        asked.clear()
        with dbt_shortcuts.taken({}):
            first = manager.execute(values, fetch=True)
            assert [manager.execute(values, auto_begin=True, fetch=True) for _ in range(3)] == [first] * 3
            assert manager.execute(other, fetch=True)[0] == other
            for sql, named in (
                (values, {}),
                (values, {"fetch": True, "limit": 1}),
                ("select a from t", {"fetch": True}),
            ):
                assert manager.execute(sql, **named) != manager.execute(sql, **named)  # type: ignore[arg-type]
        assert asked == [values, other, values, values, values, values, "select a from t", "select a from t"]


def _model(sql: str, constraints: tuple[Any, ...] = ()) -> Any:
    model = ModelNode.__new__(ModelNode)
    vars(model).update(raw_code=sql, language="sql", compiled_code=None, compiled=False)
    vars(model).update(columns={}, constraints=list(constraints))
    return model


@pytest.mark.parametrize(
    ("sql", "is_final"),
    [("select 1", True), ("select '}'", True), ("select {{ n }}", False), ("select 1 {# of #}", False)],
)
def test_a_model_without_jinja_is_its_own_sql(monkeypatch: pytest.MonkeyPatch, sql: str, is_final: bool) -> None:
    monkeypatch.setattr(Compiler, "_compile_code", lambda *_: "compiled by dbt")
    compiler, model = Compiler.__new__(Compiler), _model(sql)
    with dbt_shortcuts.taken({}):
        outcome: Any = compiler._compile_code(model, SimpleNamespace())  # type: ignore[arg-type]
    if is_final:
        assert (outcome.compiled_code, outcome.compiled) == (sql, True)
    else:
        assert outcome == "compiled by dbt"


def test_a_flag_is_set_as_dbt_sets_it_and_nobody_looks_for_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    flags: Any = [{"name": name, "default": name == "on", "description": "x"} for name in ("on", "off", "said")]

    def seen() -> list[bool]:
        behavior = Behavior(flags, {"said": True})
        return [bool(getattr(behavior, flag["name"]).setting) for flag in flags]

    own = seen()
    monkeypatch.setattr(inspect, "stack", lambda: pytest.fail("the stack was read"))
    with dbt_shortcuts.taken({}):
        assert seen() == own == [True, False, True]


def test_a_foreign_key_is_left_to_dbt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compiler, "_compile_code", lambda *_: "compiled by dbt")
    with dbt_shortcuts.taken({}):
        model = _model("select 1", (SimpleNamespace(to="ref('other')"),))
        assert Compiler.__new__(Compiler)._compile_code(model, SimpleNamespace()) == "compiled by dbt"  # type: ignore[arg-type, comparison-overlap]


def test_results_of_queries_are_the_same() -> None:
    rows = [
        {
            "n": 1,
            "amount": Decimal("1.50"),
            "day": date(2026, 1, 2),
            "at": datetime(2026, 1, 2, 3),
            "text": "2026-01-02",
        },
        {"n": None, "amount": None, "day": None, "at": None, "text": ""},
    ]

    def seen() -> list[tuple[Any, ...]]:
        tables = [agate_helper.empty_table(), agate_helper.table_from_data_flat(rows, list(rows[0]))]
        return [
            (table.column_names, [type(one) for one in table.column_types], [tuple(row) for row in table.rows])
            for table in tables
        ]

    own, constants = seen(), parsedatetime.Constants
    with dbt_shortcuts.taken({}):
        assert seen() == own
        assert parsedatetime.Constants("en_US", False) is parsedatetime.Constants("en_US", False)
    assert parsedatetime.Constants is constants


def test_a_project_is_validated_outside_only() -> None:
    with dbt_shortcuts.taken({}):
        Project.validate({"name": 1})
    with pytest.raises(ValidationError):
        Project.validate({"name": 1})


def _events() -> list[BaseEvent]:
    info = {"node_name": "gold_daily_revenue", "meta": {"publish": "true"}}
    return [
        AdapterRegistered(adapter_name="duckdb", adapter_version="=1"),
        LogModelResult(description="a model", status="ok", index=1, total=2, execution_time=0.5, node_info=info),
        Note(msg="a step"),
    ]


def _data(event: BaseEvent) -> dict[str, Any]:
    """Return the values of an event but those of its node, which nothing of ours reads."""
    return {name: value for name, value in event.to_dict().items() if name != "node_info"}


def test_an_event_says_the_same_if_it_is_filled_only_when_it_is_read() -> None:
    filled = _events()
    with dbt_shortcuts.taken({}):
        late = _events()
        assert not any("pb_msg" in vars(event) for event in late)
        for one, other in zip(late, filled, strict=True):
            assert (one.message(), one.code(), _data(one)) == (other.message(), other.code(), _data(other))
            said = msg_from_base_event(other).data
            if "node_info" in said.DESCRIPTOR.fields_by_name:
                said.ClearField("node_info")
            assert msg_from_base_event(one).data == said
    assert [event.to_json() for event in _events()] == [event.to_json() for event in filled]
