"""`dead-letters list` shows the open dead letters by cause, how many are settled, and what a shape is."""

import json
from datetime import datetime

import pytest
from click.testing import CliRunner

from cli.main import main
from operations import listings

ROW = {
    "dataset": "order_items",
    "reasons": "out_of_range:quantity",
    "settled": None,
    "letters": 8869,
    "records": 26607,
    "first_seen": datetime(2026, 11, 1, 10, 30),
    "last_seen": datetime(2026, 11, 3),
    "example": "2c9795d6e25d65ed4cb7:12",
    "shapes": "9",
}
SETTLED = ROW | {"settled": "discarded", "letters": 3, "records": 3, "reasons": "broken_json", "shapes": None}


@pytest.fixture(autouse=True)
def _letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "dead_letters", lambda home, by_file: [ROW, SETTLED])
    monkeypatch.setattr(listings, "held", lambda home: [])
    monkeypatch.setenv("COLUMNS", "80")


def test_the_open_ones_are_listed_and_the_settled_ones_are_counted() -> None:
    shown = CliRunner().invoke(main, ["dead-letters", "list"])
    for line in (
        "letters  8,869",
        "cause    out_of_range:quantity",
        "since    2026-11-01",
        f"example  {ROW['example']}",
    ):
        assert line in shown.stdout.splitlines()
    assert "A shape is a refused value with 9 for each digit and a for each letter.\n" in shown.stdout
    assert "3 more are settled: clearwell dead-letters list --settled\n" in shown.stdout
    assert shown.stderr.startswith("Next: clearwell dead-letters suggest")


def test_the_settled_ones_are_listed_when_they_are_asked_for() -> None:
    shown = CliRunner().invoke(main, ["dead-letters", "list", "--settled"])
    assert "settled  discarded" in shown.stdout.splitlines() and "A shape" not in shown.stdout
    assert shown.stdout.endswith("8,869 more are open\n") and shown.stderr == ""


@pytest.mark.parametrize(("more", "causes"), [([], [ROW["reasons"]]), (["--settled"], ["broken_json"])])
def test_json_is_a_list_and_nothing_else(more: list[str], causes: list[str]) -> None:
    shown = CliRunner().invoke(main, ["dead-letters", "list", "--json", *more])
    assert shown.stderr == "" and [row["reasons"] for row in json.loads(shown.stdout)] == causes


def test_what_is_held_is_told_as_nobody_would_look_for_it_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"dataset": "customers", "batches": 2, "records": 1200}, {"dataset": "orders", "batches": 1, "records": 3}]
    monkeypatch.setattr(listings, "held", lambda home: rows)
    for command in (["dead-letters", "list"], ["ledger"]):
        shown = CliRunner().invoke(main, command).stdout
        assert "Not counted here: 1,200 records of customers in 2 batches that are held: clearwell status\n" in shown
        assert "Not counted here: 3 records of orders in 1 batch that are held: clearwell status\n" in shown
        assert "Not counted" not in CliRunner().invoke(main, [*command, "--json"]).stdout
