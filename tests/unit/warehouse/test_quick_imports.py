"""What is imported in less time is the same as what is imported without it."""

import ast
import dataclasses
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dbt_common.dataclass_schema import dbtClassMixin
from mashumaro import DataClassDictMixin
from mashumaro.exceptions import InvalidFieldValue, MissingField
from pydantic.v1 import BaseModel, Field, ValidationError, validator
from pydantic.v1.fields import ModelField

from warehouse import quick_imports


def _models() -> dict[str, type[BaseModel]]:
    class Base(BaseModel):
        size: int = Field(3, description="how large")
        names: list[str] = []
        other: dict[str, list[int]] | None = None
        parent: "Base | None" = None

        @validator("names", each_item=True, allow_reuse=True)
        def lower(cls, name: str) -> str:
            return name.lower()

    class Strict(Base):
        @validator("size", allow_reuse=True)
        def positive(cls, size: int) -> int:
            if size < 1:
                raise ValueError("not positive")
            return size

        class Config:
            extra = "forbid"
            fields = {"size": {"alias": "length"}}  # noqa: RUF012

    class Last(Strict):
        size: float = 1.5
        more: str

    for model in (Base, Strict, Last):
        model.update_forward_refs(Base=Base)
    return {model.__name__: model for model in (Base, Strict, Last)}


def _outcome(make: Callable[[], object]) -> object:
    try:
        return repr(make())
    except ValidationError as error:
        return error.errors()


VALUES: tuple[dict[str, Any], ...] = (
    {},
    {"size": 0, "length": -1},
    {"length": 4, "names": ["A", "b"], "more": "x"},
    {"names": "no list", "other": {"a": [1, "2"]}, "unknown": 1, "more": "x"},
    {"other": {"a": ["x"]}, "parent": {"names": ["C"], "length": 2}, "more": "x"},
)


def test_models_with_inherited_fields_check_and_describe_the_same() -> None:
    own = _models()
    with quick_imports.of_models():
        quick = _models()
    for name, model in own.items():
        assert model.schema_json() == quick[name].schema_json()
        assert repr(model.__fields__) == repr(quick[name].__fields__)
        for values in VALUES:
            assert _outcome(lambda m=model, v=values: m(**v)) == _outcome(lambda m=quick[name], v=values: m(**v))  # type: ignore[misc]


def test_a_model_shares_nothing_with_its_base_that_pydantic_changes() -> None:
    with quick_imports.of_models():
        quick = _models()
    base, strict = quick["Base"].__fields__, quick["Strict"].__fields__
    for name, field in base.items():
        assert field is not strict[name]
        assert field.field_info is not strict[name].field_info
        assert field.class_validators is not strict[name].class_validators
        assert not {id(one) for one in field.sub_fields or []} & {id(one) for one in strict[name].sub_fields or []}
    assert (base["size"].alias, strict["size"].alias) == ("size", "length")


def test_afterwards_fields_are_copied_as_before() -> None:
    with pytest.raises(RuntimeError), quick_imports.of_models():
        assert "__deepcopy__" in vars(ModelField)
        raise RuntimeError
    assert "__deepcopy__" not in vars(ModelField)


def _dataclasses() -> dict[str, Any]:
    @dataclass
    class Part(dbtClassMixin):
        name: str
        at: datetime = dataclasses.field(default_factory=lambda: datetime(2026, 11, 1, tzinfo=UTC))

    @dataclass
    class Whole(Part):
        parts: list[Part] = dataclasses.field(default_factory=list)
        by_name: dict[str, Part] = dataclasses.field(default_factory=dict)
        other: int | None = None
        renamed: str = dataclasses.field(default="x", metadata={"alias": "re-named"})

        def __post_serialize__(self, data: dict[str, Any], context: dict[str, Any] | None) -> dict[str, Any]:
            return {**data, "context": context}

    @dataclass
    class More(Whole):
        name: str = "more"
        size: float = 0.5

    return {one.__name__: one for one in (Part, Whole, More)}


def _read_and_written(classes: dict[str, Any]) -> list[object]:
    part = {"name": "a", "at": "2026-11-02T00:00:00Z"}
    found: list[object] = []
    for values in (
        part,
        {**part, "parts": [part], "by_name": {"b": part}, "other": 3, "re-named": "y"},
        {},
        {"name": "a", "at": 1},
    ):
        for one in classes.values():
            try:
                read = one.from_dict(values)
            except (MissingField, InvalidFieldValue) as error:
                found.append(str(error))
                continue
            packed = read.to_msgpack()
            found += [repr(read), read.to_dict(), read.to_dict(omit_none=True, context={"for": 1}), packed]
            found += [repr(one.from_msgpack(packed)), one.from_msgpack(packed) == read]
    return found


def test_dataclasses_read_and_write_the_same() -> None:
    with quick_imports.of_dataclasses():
        quick = _dataclasses()
    assert _read_and_written(quick) == _read_and_written(_dataclasses())
    assert len([one for one in _read_and_written(quick) if one is True]) >= 5


def test_a_method_is_made_when_it_is_called_first() -> None:
    with quick_imports.of_dataclasses():
        quick = _dataclasses()["Part"]
    left = vars(quick)["to_dict"]
    quick("a").to_dict()
    assert vars(quick)["to_dict"] is not left
    assert vars(quick)["to_msgpack"].__module__ == quick_imports.__name__


def test_other_classes_have_their_methods_at_once() -> None:
    with quick_imports.of_dataclasses():

        @dataclass
        class Other(DataClassDictMixin):
            name: str

    assert vars(Other)["to_dict"].__module__ != quick_imports.__name__
    assert Other("a").to_dict() == {"name": "a"}


def test_afterwards_classes_are_made_as_before() -> None:
    before = vars(DataClassDictMixin)["__init_subclass__"]
    with pytest.raises(RuntimeError), quick_imports.of_dataclasses():
        assert vars(DataClassDictMixin)["__init_subclass__"] is not before
        raise RuntimeError
    assert vars(DataClassDictMixin)["__init_subclass__"] is before


def test_another_version_of_mashumaro_goes_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_imports, "version", lambda name: "4.0")
    before = vars(DataClassDictMixin)["__init_subclass__"]
    with quick_imports.of_dataclasses():
        assert vars(DataClassDictMixin)["__init_subclass__"] is before


def test_dbt_itself_is_imported_so() -> None:
    """Fails where a new version of mashumaro is installed, so that somebody compares it."""
    said = subprocess.run(
        [sys.executable, "-c", _IMPORT_DBT], text=True, capture_output=True, check=True, cwd=Path(__file__).parents[3]
    )
    methods, left = ast.literal_eval(said.stdout.strip().splitlines()[-1])
    assert left == methods


_IMPORT_DBT = """
from warehouse import quick_imports
with quick_imports.of_dataclasses():
    from dbt.contracts.graph.nodes import ModelNode
found = [vars(ModelNode)[name] for name in ("to_dict", "to_msgpack")]
found += [vars(ModelNode)[name].__func__ for name in ("from_dict", "from_msgpack")]
print((len(found), sum(one.__module__ == quick_imports.__name__ for one in found)))
"""
