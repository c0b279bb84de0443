"""`sources check` says what is wrong, one line each, and exits with 1; as JSON for programs. `ingest --by-day` lands day by day."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from ingestion import sources
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.kinds import Problem
from ingestion.land import Landing
from ingestion.window import Window

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


def test_a_range_lands_as_one_window_or_day_by_day(monkeypatch: pytest.MonkeyPatch) -> None:
    landed: list[Window] = []

    def land(source: str, window: Window, _home: Home, *_: object) -> Landing:
        if window.start.day == 4:
            raise Permanent("the source is gone", todo="look for it")
        landed.append(window)
        return Landing(source, window, (), frozenset())

    monkeypatch.setattr(sources, "ingest", land)
    typed = ["ingest", "exchange_rates", "--from", "2026-11-01T06:00Z", "--to", "2026-11-03"]
    assert CliRunner().invoke(main, typed).exit_code == 0
    assert landed == [Window.parse("2026-11-01T06:00Z", "2026-11-03")]

    landed.clear()
    shown = CliRunner().invoke(main, [*typed[:-1], "2026-11-06", "--by-day"])
    assert landed == [
        Window.parse("2026-11-01T06:00Z", "2026-11-02"),
        Window.parse("2026-11-02", "2026-11-03"),
        Window.parse("2026-11-03", "2026-11-04"),
    ]
    assert "exchange_rates, 2026-11-02: 0 records" in shown.output and "the source is gone" in shown.output
    assert shown.exit_code == 1
