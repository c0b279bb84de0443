"""A company without clicks, whose records ended years ago, is healthy once one setting says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("history")


def type_in(home: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARWELL", "SHOP_", "CLICK"))}
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env={
            **known,
            "PYTHONPATH": str(ROOT),
            "CLEARWELL_HOME": str(home),
            "CLEARWELL_SOURCES": "exchange_rates",
            **env,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_a_history_of_one_source_is_healthy(home: Path) -> None:
    ran = type_in(home, "run", "--from", "2011-12-01", "--to", "2011-12-10")
    assert ran.returncode == 0, ran.stderr
    steps = [line.split(":")[0] for line in ran.stderr.splitlines()]
    told = ("plan", "transform", "audit", "apply", "publish")
    assert list(dict.fromkeys(step for step in steps if step in told)) == list(told)
    assert len([line for line in ran.stderr.splitlines() if line.startswith("transform: models")]) == 1
    status = type_in(home, "status", "--json")
    assert status.returncode == 0, status.stdout + status.stderr
    assert json.loads(status.stdout)["late"] == []
    times = type_in(home, "sql", "--json", "select audited_at > planned_at as is_later from ops.builds")
    assert json.loads(times.stdout) == [{"is_later": True}], "each step has its own time"
    healed = type_in(
        home, "heal", "--to", "2026-11-20", "--dry-run", CLEARWELL_SOURCES="exchange_rates until 2011-12-10"
    )
    assert healed.returncode == 0 and "no window is missing" in healed.stdout


def test_what_is_on_and_not_there_is_named_with_the_way_out(home: Path) -> None:
    ran = type_in(home, "ingest", "clickstream", "--from", "2011-12-01", "--to", "2011-12-02", CLEARWELL_SOURCES="")
    assert ran.returncode == 1 and "CLEARWELL_SOURCES" in ran.stderr


def test_a_word_that_is_wrong_is_one_line_and_no_traceback(home: Path) -> None:
    for command in (["status"], ["run", "--from", "2011-12-01", "--to", "2011-12-02"], ["heal"]):
        ran = type_in(home, *command, CLEARWELL_SOURCES="exchange_rate")
        assert ran.returncode == 1
        assert "did you mean exchange_rates" in ran.stderr and "Traceback" not in ran.stderr
