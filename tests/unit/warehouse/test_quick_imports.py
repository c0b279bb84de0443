"""What is imported in less time is the same as what is imported without it."""

from collections.abc import Callable
from typing import Any

import pytest
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
