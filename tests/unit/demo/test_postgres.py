"""The shop's own Postgres outlives the process that started it, and can be started again after a crash."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from demo import postgres
from ingestion.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path, tmp_path / "landing")
    yield home
    postgres.stop(home)


def answers(home: Home) -> bool:
    with psycopg.connect(home.database_url()) as connection:
        return connection.execute("select 1").fetchone() == (1,)


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def kill(home: Home) -> None:
    os.kill(int((home.shop / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    eventually(lambda: not postgres.is_running(home))


def test_starting_and_stopping_twice_is_no_trouble(home: Home) -> None:
    assert not postgres.is_running(home)
    url = postgres.start(home)
    assert postgres.start(home) == url == home.database_url()
    assert postgres.is_running(home) and answers(home)
    postgres.stop(home)
    postgres.stop(home)
    assert not postgres.is_running(home)


def test_data_outlives_a_stop_and_a_kill(home: Home) -> None:
    with psycopg.connect(postgres.start(home)) as connection:
        connection.execute("create table kept as select 7 as n")
    postgres.stop(home)
    postgres.start(home)
    kill(home)
    with psycopg.connect(postgres.start(home)) as connection:
        assert connection.execute("select n from kept").fetchall() == [(7,)]


def test_it_outlives_the_process_that_started_it(home: Home) -> None:
    code = f"from pathlib import Path; from demo import postgres; from ingestion.home import Home; \
postgres.start(Home(Path({str(home.root)!r}), Path('/')))"
    root = str(Path(postgres.__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": root})
    assert postgres.is_running(home) and answers(home)


def test_a_stale_pid_file_that_names_a_stranger_is_not_a_server(home: Home) -> None:
    postgres.start(home)
    postgres.stop(home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        lines = [str(os.getpid()), str(home.shop / "postgres"), "0", str(free.getsockname()[1]), "", "127.0.0.1"]
    (home.shop / "postgres" / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert not postgres.is_running(home)
    postgres.start(home)
    assert answers(home)


def test_what_was_half_made_is_made_again(home: Home) -> None:
    half = home.shop / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("16\n")
    postgres.start(home)
    assert answers(home)
