"""The garbage collector is left as it was found."""

import gc
from collections.abc import Iterator

import pytest

from warehouse import garbage


@pytest.fixture(autouse=True)
def _enabled() -> Iterator[None]:
    gc.enable()
    gc.unfreeze()
    yield
    gc.enable()
    gc.unfreeze()


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


def test_only_what_is_made_in_the_context_is_collected() -> None:
    class Link:
        def __init__(self) -> None:
            self.itself = self

    before = Link()
    with garbage.set_aside():
        assert gc.get_freeze_count() > 0
        assert not any(one is before for one in gc.get_objects())
        Link()
        assert gc.collect() > 0
    assert gc.get_freeze_count() == 0
    assert any(one is before for one in gc.get_objects())
