"""`sources check` says what is wrong, one line each, and exits with 1; as JSON for programs."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from ingestion import sources
from ingestion.kinds import Problem

FOUND = [
    Problem("orders", "products", "has no column x", "database shop on h:5432", "fix it"),
    Problem("orders", "", "hangs"),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    monkeypatch.setattr(sources, "check", lambda name, _home: FOUND if name == "orders" else [])
    return tmp_path


def test_each_problem_is_a_line(home: Path) -> None:
    shown = CliRunner().invoke(main, ["sources", "check"])
    assert shown.stdout.splitlines() == [
        "orders: products: has no column x (database shop on h:5432). Next: fix it",
        "orders: hangs",
    ]
    assert shown.exit_code == 1
    assert list(home.iterdir()) == []


def test_named_sources_alone_are_checked() -> None:
    shown = CliRunner().invoke(main, ["sources", "check", "clickstream", "exchange_rates"])
    assert shown.stdout == "nothing keeps these sources from landing: clickstream, exchange_rates\n"
    assert shown.exit_code == 0


def test_json_is_a_list() -> None:
    shown = CliRunner().invoke(main, ["sources", "check", "--json"])
    assert [row["what"] for row in json.loads(shown.stdout)] == ["has no column x", "hangs"]
    assert shown.exit_code == 1
    nothing = CliRunner().invoke(main, ["sources", "check", "clickstream", "--json"])
    assert (json.loads(nothing.stdout), nothing.exit_code) == ([], 0)
