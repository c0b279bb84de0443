"""A short way through Great Expectations, which asks a rule for its configuration some hundred times. Imports it, which takes a second."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration


@contextmanager
def taken() -> Iterator[None]:
    """Let each rule make its configuration once for the values that it has, and copy it from then on."""
    own: Any = vars(Expectation)["configuration"]
    made: dict[int, tuple[Expectation, dict[str, Any], ExpectationConfiguration]] = {}

    def configuration(self: Expectation) -> ExpectationConfiguration:
        known = made.get(id(self))
        if not known or known[0] is not self or known[1] != vars(self):
            known = made[id(self)] = (self, dict(vars(self)), own.fget(self))
        return _copied(known[2])

    setattr(Expectation, "configuration", property(configuration))  # noqa: B010 - mypy takes it for a method
    try:
        yield
    finally:
        setattr(Expectation, "configuration", own)  # noqa: B010


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
