"""Kill a landing at one of its writes, in this process."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest

from ingestion import bronze
from ingestion.parquet import PartWriter

# Each of these is about to write, or to force to disk, or to rename.
WRITES: tuple[tuple[Any, str], ...] = (
    (PartWriter, "add"),
    (PartWriter, "keep"),
    (PartWriter, "finish"),
    (bronze, "force_to_disk"),
    (bronze, "make_durable_folder"),
    (bronze, "_rename"),
)


class Killed(BaseException):
    """No code of Clearwell catches this, as none catches SIGKILL."""


@contextmanager
def killed_at(number: int | None) -> Iterator[None]:
    """Kill what is run inside at its write of this number, from 0, if it makes as many: what it staged stays, without its lock."""
    if number is None:
        yield
        return
    writes = count()

    def counted(write: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*given: Any, **more: Any) -> Any:
            if next(writes) == number:
                patch.setattr(shutil, "rmtree", lambda *_given, **_more: None)
                raise Killed
            return write(*given, **more)

        return instead

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in WRITES:
            patch.setattr(owner, name, counted(getattr(owner, name)))
        with suppress(Killed):
            yield
