"""Every command answers a full disk, a missing permission or a busy database with one line that says what to do."""

import errno
import io
import itertools
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
from click.testing import CliRunner

from cli.main import main
from demo import postgres
from ingestion import database
from ingestion.home import Home
from tests.pipeline.delivery import ORDER, land_rows
from tests.unit.cli.commands import COMMANDS

# Airflow's own command line, and a command that never ends.
LEFT_OUT = ("airflow", "shop live")
VALUES = {"start": "2026-11-01", "end": "2026-11-02", "reason": "test", "question": "select 1", "name": "o-1"}
LOCK = 'IO Error: Could not set lock on file "x": Conflicting lock is held in bin/python3 (PID 4711).'


def line(path: tuple[str, ...], command: click.Command) -> list[str]:
    """Return a command line with a value for each argument and required option."""
    words = list(path)
    for one in command.params:
        value = VALUES.get(str(one.name), "x")
        if isinstance(one, click.Argument) and not isinstance(one.type, click.Path):
            words.append("clickstream" if one.name == "source" else value)
        elif isinstance(one, click.Argument):
            words.append(__file__)
        elif one.required:
            words += [one.opts[0], value]
    return words


LINES = {" ".join(path): line(path, one) for path, one in COMMANDS.items() if " ".join(path) not in LEFT_OUT}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """Yield a home with a batch in bronze and a state; stop any server that a command started despite the fault."""
    home = Home(tmp_path, tmp_path / "landing" / "clickstream")
    home.landing.mkdir(parents=True)
    land_rows(home, "orders", ORDER, [dict.fromkeys(ORDER, "x")], datetime(2026, 11, 1, tzinfo=UTC))
    home.published.parent.mkdir()
    for path in (home.state, home.published):
        with duckdb.connect(str(path)) as file:
            file.execute("create schema ops")
            file.execute("create table ops.builds (build_id varchar, build_number bigint)")
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/shop")
    yield home
    monkeypatch.undo()
    postgres.stop(home)


def break_files(monkeypatch: pytest.MonkeyPatch, home: Home, error: OSError | duckdb.Error) -> list[str]:
    """Make every attempt to open or create something in the home fail; return the list of paths that were tried."""
    tried: list[str] = []

    def breaking(function: Any) -> Any:
        def broken(path: Any = ":memory:", *arguments: Any, **named: Any) -> Any:
            if not isinstance(path, int) and os.fspath(path).startswith(str(home.root)):
                tried.append(os.fspath(path))
                raise type(error)(*error.args, *([str(path)] if isinstance(error, OSError) else []))
            return function(path, *arguments, **named)

        return broken

    targets: list[tuple[Any, str]] = [(duckdb, "connect")]
    if isinstance(error, OSError):
        targets += [(io, "open"), (os, "open"), (os, "mkdir")]
        monkeypatch.setattr("builtins.open", breaking(open))
    for module, name in targets:
        monkeypatch.setattr(module, name, breaking(getattr(module, name)))
    return tried


@pytest.mark.parametrize("fault", ["full", "forbidden", "busy"])
@pytest.mark.parametrize("name", LINES)
def test_every_command_says_a_fault_in_one_line(
    name: str, fault: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, said = {
        "full": (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        "forbidden": (PermissionError(errno.EACCES, "Permission denied"), "permission denied"),
        "busy": (duckdb.IOException(LOCK), "PID 4711"),
    }[fault]
    # do not wait for a busy file
    clock = itertools.count(step=1000)
    monkeypatch.setattr(database.time, "monotonic", lambda: next(clock))
    tried = break_files(monkeypatch, home, error)
    shown = CliRunner().invoke(main, LINES[name])
    assert shown.exception is None or isinstance(shown.exception, SystemExit), repr(shown.exception)
    assert "Traceback" not in shown.output
    errors = [line for line in shown.output.splitlines() if line.startswith("error: ")]
    if tried and shown.exit_code:
        # to the watchdog, a fault is an alert
        told = shown.output if name == "watch" else "".join(errors)
        assert all(". Next: " in line for line in errors) and said in told
    elif shown.exit_code:
        assert shown.exit_code == 1 and (errors or "error" not in shown.output.lower())


def test_the_walk_meets_the_faults(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above would also pass if nothing failed; these commands must fail."""
    tried = break_files(monkeypatch, home, PermissionError(errno.EACCES, "Permission denied"))
    for name in ("status", "build", "ledger", "hash", "trace", "batches list", "heal", "ingest", "sql"):
        tried.clear()
        shown = CliRunner().invoke(main, LINES[name])
        assert tried and shown.exit_code == 1 and "permission denied" in shown.output, name
