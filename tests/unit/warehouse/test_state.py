"""A DuckDB database is two files: what a killed process left in the write-ahead file belongs to no other database."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from warehouse import state

children = multiprocessing.get_context("forkserver")


def commit_and_die(path: Path, value: int) -> None:
    connection = duckdb.connect(str(path))
    connection.execute("set checkpoint_threshold = '1GB'")
    connection.execute(f"create or replace table found as select {value} as value")
    os.kill(os.getpid(), signal.SIGKILL)


def killed(path: Path, value: int) -> Path:
    """Make a database whose last transaction is only in its write-ahead file."""
    child = children.Process(target=commit_and_die, args=(path, value))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert path.with_name(path.name + ".wal").stat().st_size
    return path


def value(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.sql("from found").fetchall()[0][0]


def test_recovery_leaves_one_file_with_all_that_was_committed(tmp_path: Path) -> None:
    path = killed(tmp_path / "warehouse.duckdb", 1)
    state.recover(path)
    assert not [one for one in tmp_path.iterdir() if one.suffix == ".wal"]
    assert value(path) == 1
    state.recover(path)
    state.recover(tmp_path / "none.duckdb")


@pytest.mark.parametrize("which", ["the new", "the old", "both"])
def test_a_rename_takes_nothing_of_another_database_along(tmp_path: Path, which: str) -> None:
    aside, name = tmp_path / "aside.duckdb", tmp_path / "warehouse.duckdb"
    for number, path in enumerate((aside, name)):
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"create table found as select {10 + number} as value")
    if which != "the old":
        killed(aside, 1)
    if which != "the new":
        killed(name, 2)
    state.durable_rename(aside, name)
    assert value(name) == (10 if which == "the old" else 1)
    with duckdb.connect(str(name)) as connection:  # as the next build opens it
        connection.execute("checkpoint")
    assert value(name) == (10 if which == "the old" else 1)


def test_a_look_at_a_state_imports_no_pandas(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "a.duckdb")) as database:
        database.execute("create schema ops; create table ops.builds as select 'b' as build_id, 1 as build_number")
    script = f"import sys; from pathlib import Path; from warehouse import state; print(state.last_build(Path({str(tmp_path / 'a.duckdb')!r})), 'pandas' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["b", "False"]


def test_a_write_ahead_file_without_its_database_is_replayed_into_none(tmp_path: Path) -> None:
    aside, name = tmp_path / "aside.duckdb", killed(tmp_path / "warehouse.duckdb", 2)
    name.unlink()
    with duckdb.connect(str(aside)) as connection:
        connection.execute("create table found as select 1 as value")
    state.durable_rename(aside, name)
    with duckdb.connect(str(name)) as connection:
        connection.execute("checkpoint")
    assert value(name) == 1
