"""Short ways through Great Expectations, for what it does some thousand times in an audit. Imports it, which takes a second."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from great_expectations.core import id_dict
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration


@contextmanager
def taken() -> Iterator[None]:
    """Let each rule make its configuration once for the values that it has, and copy it from then on.

    Take plain values for keys as they are.
    """
    to_json = id_dict.convert_to_json_serializable
    own: Any = vars(Expectation)["configuration"]
    made: dict[int, tuple[Expectation, dict[str, Any], ExpectationConfiguration]] = {}

    def configuration(self: Expectation) -> ExpectationConfiguration:
        known = made.get(id(self))
        if not known or known[0] is not self or known[1] != vars(self):
            known = made[id(self)] = (self, dict(vars(self)), own.fget(self))
        return _copied(known[2])

    setattr(Expectation, "configuration", property(configuration))  # noqa: B010 - mypy takes it for a method
    setattr(id_dict, "convert_to_json_serializable", _plain_as_it_is(to_json))  # noqa: B010
    try:
        yield
    finally:
        id_dict.convert_to_json_serializable = to_json
        setattr(Expectation, "configuration", own)  # noqa: B010


def _plain_as_it_is(to_json: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Convert values for JSON, but ask only of those that JSON may not have whether NumPy, pandas or Spark made them."""

    def convert(data: Any) -> Any:
        kind = type(data)
        if data is None or kind in (str, int, bool):
            return data
        if kind is dict:
            return {str(name): convert(value) for name, value in data.items()}
        if kind in (list, tuple):
            return [convert(value) for value in data]
        return to_json(data)

    return convert


def _copied(made: ExpectationConfiguration) -> ExpectationConfiguration:
    return ExpectationConfiguration(
        type=made.type,
        kwargs=dict(made.kwargs),
        meta=made.meta,
        notes=made.notes,
        description=made.description,
        severity=made.severity,
        id=made.id,
        rendered_content=made.rendered_content,
    )
