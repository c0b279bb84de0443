"""Run iterators in a second thread before their items are asked for, one iterator after the other, in bounded memory."""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")


class ReadAhead:
    """Run iterators in the order in which they are started, with at most `most` items ready. Leaving it ends the thread.

    An iterator gets no further than that until its items, and those of the iterators before it, are taken or dropped.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._ready = 0
        self._changed = threading.Condition()
        self._second = ThreadPoolExecutor(1, "read-ahead")
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._second.shutdown(cancel_futures=True)

    def start(self, items: Generator[Item, None, None]) -> "Ahead[Item]":
        """Run a generator when those before it are through. It begins, fails and is closed in the second thread."""
        ahead = Ahead[Item](self)
        self._second.submit(self._run, items, ahead)
        return ahead

    def _run(self, items: Generator[Item, None, None], ahead: "Ahead[Item]") -> None:
        try:
            while not self._is_unwanted(ahead):
                item = next(items)
                with self._changed:
                    self._changed.wait_for(lambda: self._is_unwanted(ahead) or self._ready < self._most)
                    if not self._is_unwanted(ahead):
                        ahead.items.append(item)
                        self._ready += 1
                        self._changed.notify_all()
        except StopIteration:
            pass
        except BaseException as error:  # it is raised where the items are taken
            ahead.error = error
        finally:
            items.close()
            with self._changed:
                ahead.has_ended = True
                self._changed.notify_all()

    def _is_unwanted(self, ahead: "Ahead[Item]") -> bool:
        return self._is_over or ahead.is_dropped

    def _take(self, ahead: "Ahead[Item]") -> Item:
        with self._changed:
            self._changed.wait_for(lambda: ahead.items or ahead.has_ended)
            if ahead.items:
                self._ready -= 1
                self._changed.notify_all()
                return ahead.items.popleft()
        if ahead.error:
            raise ahead.error
        raise StopIteration

    def _drop(self, ahead: "Ahead[Item]") -> None:
        with self._changed:
            ahead.is_dropped = True
            self._ready -= len(ahead.items)
            ahead.items.clear()
            self._changed.notify_all()


class Ahead(Iterator[Item], Generic[Item]):
    """The items of one iterator, as far as it has run. What it raises is raised after them."""

    def __init__(self, reader: ReadAhead) -> None:
        self.items = deque[Item]()
        self.error: BaseException | None = None
        self.has_ended = self.is_dropped = False
        self._reader = reader

    def __next__(self) -> Item:
        return self._reader._take(self)

    def drop(self) -> None:
        """Do without the rest. The iterator is closed soon, in the other thread."""
        self._reader._drop(self)
