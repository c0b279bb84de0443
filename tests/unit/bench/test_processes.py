"""Commands are measured with all their processes; medians and sums are of each measure by itself."""

import subprocess
import sys
from collections.abc import Callable
from threading import Event

import psutil
import pytest

from bench import processes
from bench.processes import Used


def test_a_median_is_of_each_measure_by_itself() -> None:
    assert processes.median([Used(1, 30, 5), Used(2, 10, 9), Used(9, 20, 7)]) == Used(2, 20, 7)
    assert processes.median([Used(1, 2, 3), Used(2, 4, 4)]) == Used(1.5, 3, 3.5)


def test_times_add_up_and_peaks_do_not() -> None:
    assert processes.total([Used(1, 30, 5), Used(2, 10, 9)]) == Used(3, 40, 9)


class _Looks(Event):
    """Ends after some looks; before the second, something may happen."""

    def __init__(self, number: int, before_the_second: Callable[[], object] = int) -> None:
        super().__init__()
        self.number, self.before_the_second, self.looks = number, before_the_second, 0

    def wait(self, timeout: float | None = None) -> bool:
        self.looks += 1
        if self.looks == 2:
            self.before_the_second()
        return self.looks > self.number


def test_memory_of_all_processes_counts_together() -> None:
    """Two children hold 60 MB each; their parent holds little."""
    child = "held = b'x' * 60_000_000; print(flush=True); input()"
    parent = f"""if 1:
        import subprocess, sys
        children = [subprocess.Popen([sys.executable, "-c", {child!r}], stdin=-1, stdout=-1) for _ in range(2)]
        for one in children:
            one.stdout.readline()
        print(flush=True)
        input()
        for one in children:
            one.communicate(b"\\n")
    """
    with subprocess.Popen([sys.executable, "-c", parent], stdin=-1, stdout=-1) as running:
        assert running.stdout and running.stdout.readline()
        most = [0]
        processes.sample([psutil.Process(running.pid)], _Looks(2), most)
        running.communicate(b"\n")
    assert running.returncode == 0 and 120 < most[0] / 1e6 < 240


@pytest.mark.parametrize(("looks", "counts"), [(2, False), (3, True)])
def test_a_process_counts_from_the_second_look_on(looks: int, counts: bool) -> None:
    """A fork that is about to be another program has all of its parent's memory for a moment."""
    child = "held = b'x' * 200_000_000; print(flush=True); input()"
    parent = f"""if 1:
        import subprocess, sys
        print(flush=True)
        input()
        child = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=-1, stdout=-1)
        child.stdout.readline()
        print(flush=True)
        input()
        child.communicate(b"\\n")
    """
    with subprocess.Popen([sys.executable, "-c", parent], stdin=-1, stdout=-1) as running:
        assert running.stdin and running.stdout and running.stdout.readline()

        def start_child() -> None:
            assert running.stdin and running.stdout
            running.stdin.write(b"\n")
            running.stdin.flush()
            running.stdout.readline()

        most = [0]
        processes.sample([psutil.Process(running.pid)], _Looks(looks, start_child), most)
        running.communicate(b"\n")
    assert running.returncode == 0 and (most[0] > 200e6) is counts


def test_a_command_is_measured() -> None:
    used = processes.run([sys.executable, "-c", "held = b'x' * 80_000_000"], processes.environment())
    assert used.peak > 80 and used.cpu > 0 and used.seconds > 0


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(SystemExit, match=r"(?s)no such shop.*exit status 3"):
        processes.run([sys.executable, "-c", "print('no such shop'); exit(3)"], processes.environment())


def test_the_users_settings_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLEARWELL_SOURCES", "SHOP_PRIMARY_URL", "CLICKSTREAM_LANDING", "EXCHANGE_RATES"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("LANG", "C.UTF-8")
    env = processes.environment(CLEARWELL_HOME="here")
    assert "elsewhere" not in env.values() and env["CLEARWELL_HOME"] == "here" and env["LANG"] == "C.UTF-8"
