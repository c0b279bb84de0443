"""A second thread runs iterators ahead: the items are the same, what is ahead is bounded, and nothing is left behind."""

import threading
from collections.abc import Generator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.sources.read_ahead import ReadAhead


def threads() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name.startswith("read-ahead")}


class Numbers:
    """Counts up to a number and then fails or ends; knows how far it was asked, and whether it was closed."""

    def __init__(self, until: int, error: Exception | None = None) -> None:
        self.until, self.error = until, error
        self.asked = 0
        self.is_closed = threading.Event()

    def run(self) -> Generator[int, None, None]:
        try:
            for number in range(self.until):
                self.asked += 1
                yield number
            if self.error:
                raise self.error
        finally:
            self.is_closed.set()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 6)), max_size=6),
    st.integers(1, 4),
)
def test_the_items_are_those_of_the_iterators_in_any_order_of_taking_and_dropping(
    plan: list[tuple[int, bool, int]], most: int
) -> None:
    with ReadAhead(most) as reader:
        failed = [ValueError(str(place)) if fails else None for place, (_, fails, _) in enumerate(plan)]
        started = [reader.start(Numbers(until, error).run()) for (until, _, _), error in zip(plan, failed, strict=True)]
        for ahead, error, (until, _, take) in zip(started, failed, plan, strict=True):
            found: list[int] = []
            try:
                while len(found) < take:
                    found.append(next(ahead))
            except StopIteration:
                assert error is None and len(found) == until
            except ValueError as raised:
                assert raised is error and len(found) == until
            assert found == list(range(min(take, until)))
            ahead.drop()
    assert not threads()


def test_no_more_is_ready_than_allowed_also_of_later_iterators() -> None:
    first, second = Numbers(2), Numbers(100)
    with ReadAhead(3) as reader:
        one, two = reader.start(first.run()), reader.start(second.run())
        assert list(one) == [0, 1]
        assert next(two) == 0
        assert second.asked <= 1 + 3 + 1  # taken, ready, and one that waits for room
        assert list(two) == list(range(1, 100))
    assert not threads()


def test_what_is_dropped_makes_room_and_is_closed() -> None:
    first, second = Numbers(100), Numbers(3)
    with ReadAhead(2) as reader:
        one, two = reader.start(first.run()), reader.start(second.run())
        assert next(one) == 0
        one.drop()
        assert list(two) == [0, 1, 2]
        assert first.is_closed.is_set() and first.asked < 10
        assert list(one) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_whatever_ends_it_no_thread_is_left_and_all_is_closed(error: type[BaseException]) -> None:
    numbers, never = Numbers(100), Numbers(100)

    def run() -> None:
        with ReadAhead(1) as reader:
            ahead = reader.start(numbers.run())
            reader.start(never.run())
            next(ahead)
            raise error

    with pytest.raises(error):
        run()
    assert numbers.is_closed.is_set() and never.asked == 0
    assert not threads()
