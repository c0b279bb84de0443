"""Import Great Expectations and dbt in less time: while their classes are made, much is done that no build asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from importlib.metadata import version
from typing import Any

# The version whose classes the tests compare with those that are made in its own way.
_KNOWN_MASHUMARO = "3.14"


@contextmanager
def of_models() -> Iterator[None]:
    """Let classes of pydantic v1 inherit fields as shallow copies. It copies the fields of the base deeply, with all their defaults."""
    from pydantic.v1.fields import ModelField

    ModelField.__deepcopy__ = _copied  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del ModelField.__deepcopy__  # type: ignore[attr-defined]


def _copied(field: Any, memo: dict[int, Any]) -> Any:
    """Copy a field, with what pydantic changes in the copy: it replaces all else."""
    made = copy(field)
    made.field_info = copy(field.field_info)
    made.class_validators = dict(field.class_validators)
    made.sub_fields = field.sub_fields and [_copied(one, memo) for one in field.sub_fields]
    return made


@contextmanager
def of_dataclasses() -> Iterator[None]:
    """Let dbt's classes make their methods to and from dictionaries when these are called.

    Mashumaro generates and compiles four for each of 250 classes, even where it leaves their contents for the first call.
    """
    from mashumaro.mixins.dict import DataClassDictMixin

    own = vars(DataClassDictMixin)["__init_subclass__"]

    def make(cls: Any, **named: Any) -> None:
        if not getattr(getattr(cls, "Config", None), "lazy_compilation", False):
            own.__func__(cls, **named)
            return
        super(DataClassDictMixin, cls).__init_subclass__(**named)
        for base in reversed(cls.__mro__[1:]):
            settings = getattr(base, f"_{base.__name__}__mashumaro_builder_params", None)
            if settings:
                _leave_method(cls, f"from_{_format(settings['unpacker'])}", "add_unpack_method", settings["unpacker"])
                _leave_method(cls, f"to_{_format(settings['packer'])}", "add_pack_method", settings["packer"])

    if version("mashumaro").startswith(_KNOWN_MASHUMARO):
        DataClassDictMixin.__init_subclass__ = classmethod(make)  # type: ignore[assignment]
    try:
        yield
    finally:
        DataClassDictMixin.__init_subclass__ = own  # type: ignore[method-assign]


def _format(settings: dict[str, Any]) -> str:
    return str(settings.get("format_name", "dict"))


def _leave_method(cls: type, name: str, add: str, settings: dict[str, Any]) -> None:
    """Give a class a method that has mashumaro make the real one in its place, and calls that."""
    from mashumaro.core.meta.code.builder import CodeBuilder

    known_as = f"__mashumaro_{name}__"
    given = {"default_dialect" if key == "dialect" else key: value for key, value in settings.items()}

    def made(of: Any, *values: Any, **named: Any) -> Any:
        owner = of if isinstance(of, type) else type(of)
        getattr(CodeBuilder(owner, first_method=known_as, allow_postponed_evaluation=False, **given), add)()
        return getattr(of, known_as)(*values, **named)

    method = classmethod(made) if name.startswith("from_") else made
    setattr(cls, known_as, method)
    setattr(cls, name, method)
