"""Import Great Expectations in less time: its classes copy deeply what they inherit."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any


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
