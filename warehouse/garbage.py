"""Python's garbage collector goes through all objects again and again: without this, a tenth of the time of a small build."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def not_collected() -> Iterator[None]:
    """Collect nothing in here: for imports, and for loading what is then used, as nearly all that they make stays."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
