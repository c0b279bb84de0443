"""Let no Ctrl-C be lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_IMPORTING = "<frozen importlib._bootstrap>"
_AGAIN_SECONDS = 0.05


@contextmanager
def after_imports() -> Iterator[None]:
    """Interrupt what runs in here by Ctrl-C, but an import only once it has ended.

    C code takes whatever is raised in an import for a missing module: DuckDB imports pandas for the first query with parameters, and
    a Ctrl-C in these 0.4 s would be lost. Where signals are ignored or handled otherwise, they stay so.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    before = signal.signal(signal.SIGALRM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _interrupt(_signal: int, frame: FrameType | None) -> None:
    while frame:
        if frame.f_code.co_filename == _IMPORTING:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
            return
        frame = frame.f_back
    raise KeyboardInterrupt
