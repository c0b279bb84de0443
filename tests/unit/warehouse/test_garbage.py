"""The garbage collector is left as it was found."""

import gc
from collections.abc import Iterator

import pytest

from warehouse import garbage


@pytest.fixture(autouse=True)
def _enabled() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_nothing_is_collected_in_the_context_also_if_it_fails() -> None:
    with pytest.raises(ValueError), garbage.not_collected():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled()


def test_who_has_disabled_it_finds_it_disabled() -> None:
    gc.disable()
    with garbage.not_collected():
        pass
    assert not gc.isenabled()
