"""Waiting for a lock names its holder; a dead process holds no lock; readers do not starve a writer."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import pytest

from ingestion import database, locks
from ingestion.errors import Transient

WAIT_SECONDS = 60
children = multiprocessing.get_context("forkserver")


def holding(path: Path, pipe: Connection) -> None:
    with locks.hold(path, "builds", pipe.send):
        pipe.send("held")
        pipe.recv()


def reading(path: Path, pipe: Connection) -> None:
    with database.connect(path):
        pipe.send("read")
        pipe.recv()


def writing(path: Path, pipe: Connection) -> None:
    pipe.send("here")
    with database.writing(path) as connection:
        connection.execute("create or replace table found as select 2 as value")
    pipe.send("written")


@contextmanager
def process(work, path: Path) -> Iterator[tuple[multiprocessing.process.BaseProcess, Connection]]:
    ours, theirs = children.Pipe()
    child = children.Process(target=work, args=(path, theirs))
    child.start()
    try:
        yield child, ours
    finally:
        child.kill()
        child.join()


def said(pipe: Connection) -> str:
    assert pipe.poll(WAIT_SECONDS)
    return pipe.recv()


def test_who_waits_is_told_for_whom_and_how_long(tmp_path: Path) -> None:
    lock = tmp_path / "new" / "build.lock"
    told: list[str] = []
    with process(holding, lock) as (child, pipe):
        assert said(pipe) == "held"
        named = rf"waited 0 seconds for `.*` \(process {child.pid}\), which builds"
        with pytest.raises(Transient, match=named), locks.hold(lock, "builds", told.append, patience=0.2):
            pass
    (line,) = told
    assert line.startswith("waiting for `") and str(child.pid) in line and "seconds more" in line


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        (["forget", "c-0000007", "--reason", "asked"], "`clearwell forget …`"),
        (["build"], "`clearwell build`"),
        (["--debug", "build", "--from", "2026-11-01"], "`clearwell build …`"),
        (["Ann.Lee@shop.example"], "`clearwell …`"),
        ([], "`clearwell`"),
    ],
)
def test_a_lock_names_the_command_and_nothing_that_may_be_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str], named: str
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/clearwell", *typed])
    with locks.hold(tmp_path / "a.lock", "builds", print):
        assert str(locks.holder(tmp_path / "a.lock")) == f"{named} (process {os.getpid()}), which builds"


def test_the_next_goes_on_when_the_holder_ends_or_dies(tmp_path: Path) -> None:
    lock = tmp_path / "build.lock"
    for kill in (False, True):
        with process(holding, lock) as (child, pipe):
            assert said(pipe) == "held"
            with process(holding, lock) as (_, waiting):
                assert said(waiting).startswith("waiting for")
                if kill:
                    os.kill(child.pid or 0, signal.SIGKILL)
                else:
                    pipe.send("go")
                assert said(waiting) == "held"


def test_a_writer_comes_before_those_who_read_later(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    with database.writing(file) as connection:
        connection.execute("create table found as select 1 as value")
    with process(reading, file) as (_, first):
        assert said(first) == "read"
        with process(writing, file) as (_, writer):
            assert said(writer) == "here"
            _until_the_turn_is_taken(file)
            with process(reading, file) as (_, second):
                assert not second.poll(0.5), "it waits for the writer"
                first.send("go")
                assert said(writer) == "written"
                assert said(second) == "read"
                second.send("go")
    with database.connect(file) as connection:
        assert connection.sql("from found").fetchall() == [(2,)]


def _until_the_turn_is_taken(file: Path) -> None:
    for _ in range(WAIT_SECONDS * 10):
        try:
            locks.turn_to_read(file, patience=0.1)
        except Transient:
            return
        time.sleep(0.1)
    raise AssertionError("nobody waits to write")


def test_a_process_that_reads_a_file_may_open_it_twice(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    with database.writing(file) as connection:
        connection.execute("create table found as select 1 as value")
    with database.connect(file) as outer, process(writing, file) as (_, writer):
        assert said(writer) == "here"
        _until_the_turn_is_taken(file)
        with database.connect(file) as inner:
            assert inner.sql("from found").fetchall() == outer.sql("from found").fetchall()
        outer.close()
        assert said(writer) == "written"


def test_a_file_without_writers_needs_no_turn(tmp_path: Path) -> None:
    file = tmp_path / "other.duckdb"
    duckdb.connect(str(file)).close()
    with database.connect(file):
        assert [path.name for path in tmp_path.iterdir()] == ["other.duckdb"]


def test_a_folder_is_waited_for_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_FOLDER_PATIENCE_SECONDS", 0.2)
    with locks.locked(tmp_path):
        with (
            pytest.raises(Transient, match=f"waited 0 seconds for another process that holds {tmp_path}"),
            locks.locked(tmp_path),
        ):
            pass
        with pytest.raises(BlockingIOError), locks.locked(tmp_path, wait=False):
            pass
    with locks.locked(tmp_path):
        pass
