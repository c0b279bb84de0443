"""A server is recognised among other processes, and gets a free port. For a running one: test_postgres.py."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import server
from demo.server import Server
from ingestion.errors import Permanent


@pytest.fixture
def stopped(tmp_path: Path) -> Server:
    (tmp_path / "postgres").mkdir()
    return Server(tmp_path, "the shop's database", "clearwell shop start")


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def write_pid(one: Server, pid: object, port: object) -> None:
    one._pid_file.write_text(f"{pid}\n{one.data}\n0\n{port}\n\n127.0.0.1\n")


@pytest.fixture
def ours(stopped: Server) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process whose command line has the mark of this folder's server."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()", stopped._mark], stdin=subprocess.PIPE
    )
    yield process
    process.communicate()


def test_a_server_runs_if_its_process_lives_and_its_port_answers(
    stopped: Server, ours: subprocess.Popen[bytes], listening: int, tmp_path: Path
) -> None:
    write_pid(stopped, ours.pid, listening)
    assert stopped.is_running() and stopped._lives()
    assert stopped.url == f"postgresql://postgres@127.0.0.1:{listening}/postgres"
    (tmp_path / "other" / "postgres").mkdir(parents=True)
    other = Server(tmp_path / "other", "another", "")
    write_pid(other, ours.pid, listening)
    assert not other.is_running() and not other._lives() and other._is_given_out()


def test_a_port_that_nobody_listens_on_is_no_server(stopped: Server, ours: subprocess.Popen[bytes]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        write_pid(stopped, ours.pid, bound.getsockname()[1])
        assert stopped._lives() and not stopped.is_running()


def test_the_process_id_of_a_stranger_is_no_server(stopped: Server, listening: int) -> None:
    write_pid(stopped, os.getpid(), listening)
    assert not stopped.is_running() and stopped._is_given_out()


@pytest.mark.parametrize("text", [None, "", "1\n", "x\n/\n0\n7\n", "99999999\n/\n0\nx\n"])
def test_a_pid_file_that_is_missing_or_cut_is_no_server(stopped: Server, text: str | None) -> None:
    if text is not None:
        stopped._pid_file.write_text(text)
    assert not stopped.is_running() and not stopped._lives()
    with pytest.raises(Permanent, match="the shop's database is not running") as caught:
        assert stopped.url
    assert caught.value.todo == "clearwell shop start"
    stopped.stop()


def test_a_port_is_the_same_each_time_unless_it_is_taken() -> None:
    port = server.free_port("a test of ports")
    assert server.free_port("a test of ports") == port and port in range(20_000, 30_000)
    with socket.create_server(("127.0.0.1", port)):
        another = server.free_port("a test of ports")
    assert another != port and another in range(20_000, 30_000)


def test_without_a_free_port_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, listening: int) -> None:
    monkeypatch.setattr(server, "_PORTS", [listening])
    with pytest.raises(Permanent, match="no port from"):
        server.free_port()


@pytest.mark.parametrize(
    ("user", "has_name", "has_namespaces", "program", "first"),
    [
        (1000, True, True, "setpriv", None),
        (1000, False, True, "setpriv", "unshare"),
        (0, True, True, "setpriv", "unshare"),
        (0, True, False, "setpriv", "setpriv"),
        (0, True, False, None, "refused"),
        (1000, False, False, "setpriv", "refused"),
    ],
)
def test_postgres_runs_as_a_user_that_it_accepts(
    monkeypatch: pytest.MonkeyPatch,
    user: int,
    has_name: bool,
    has_namespaces: bool,
    program: str | None,
    first: str | None,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(server, "_has_name", lambda: has_name)
    monkeypatch.setattr(server, "_has_namespaces", lambda: has_namespaces)
    monkeypatch.setattr(server.shutil, "which", lambda _: program)
    if first == "refused":
        with pytest.raises(Permanent, match="cannot become another user"):
            server._unprivileged()
    else:
        assert server._unprivileged()[:1] == ([first] if first else [])


def test_a_program_that_fails_is_told_with_its_output_and_the_log(
    stopped: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "no room")
    monkeypatch.setattr(server, "call", lambda *_: failed)
    with pytest.raises(Permanent, match=r"failed to run `pg_ctl stop`: no room") as caught:
        stopped._run(["pg_ctl", "stop", "-D", "postgres"])
    assert caught.value.where == str(stopped.folder / "postgres.log") and "clearwell shop start" in caught.value.todo
