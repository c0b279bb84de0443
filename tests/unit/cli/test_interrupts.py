"""Ctrl-C is heard at once, and in an import once that has ended."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from cli.interrupts import after_imports

WAIT_SECONDS = 60


@pytest.fixture
def interrupting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module that is interrupted while it is imported."""
    (tmp_path / "interrupted_module.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor number in range(1000):\n    pass\nis_whole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "interrupted_module", raising=False)
    return "interrupted_module"


def test_in_an_import_it_is_heard_afterwards_whoever_imports(interrupting: str) -> None:
    with pytest.raises(KeyboardInterrupt), after_imports():
        with suppress(BaseException):  # as C code does
            __import__(interrupting)
        assert sys.modules[interrupting].is_whole
        time.sleep(WAIT_SECONDS)


def test_without_it_an_import_loses_it(interrupting: str) -> None:
    """If this fails, nothing of it is needed any more."""
    with suppress(BaseException):
        __import__(interrupting)
    assert interrupting not in sys.modules


def test_otherwise_it_is_heard_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), after_imports():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(WAIT_SECONDS)


def handlers() -> list[object]:
    return [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGALRM)]


def test_afterwards_signals_are_as_they_were(interrupting: str) -> None:
    before = handlers()
    with after_imports():
        assert handlers() != before
        __import__(interrupting)  # and the end comes before it is heard
    assert handlers() == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_who_ignores_it_goes_on_to() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with after_imports():
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_changes_nothing() -> None:
    before, seen = handlers(), []

    def enter() -> None:
        with after_imports():
            seen.append(handlers())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(WAIT_SECONDS)
    assert seen == [before]
