import io
from decimal import Decimal
from typing import Any

from rich.console import Console

from operations import charts


def drawn(rows: list[dict[str, Any]], measures: list[str], width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(charts.draw(rows, measures, width=width))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_bars_are_as_long_as_their_numbers() -> None:
    rows = [
        {"day": "mon", "net": Decimal("1000.5")},
        {"day": "tue", "net": Decimal("500.25")},
        {"day": "wed", "net": None},
    ]
    _, mon, tue, wed = drawn(rows, ["net"], 60)
    assert mon.startswith("mon") and "1,000.50" in mon and "500.25" in tue
    assert mon.count("█") == 2 * tue.count("█") == 40
    assert wed == "wed"


def test_below_nothing_is_left_of_it() -> None:
    _, lost, won = drawn([{"day": "mon", "net": -10}, {"day": "tue", "net": 10}], ["net"], 60)
    assert won.index("█") > lost.rindex("█") and lost.count("█") == won.count("█")


def test_without_room_the_numbers_stay_and_the_bars_go() -> None:
    rows = [{"name": "x" * 20, "a": 1_000_000, "b": 2_000_000}]
    assert "█" not in "".join(drawn(rows, ["a", "b"], 45))
    assert "1,000,000" in drawn(rows, ["a", "b"], 45)[1] and "2,000,000" in drawn(rows, ["a", "b"], 45)[1]


def test_all_zero_or_markup_or_control_characters_break_nothing() -> None:
    line = drawn([{"name": "[red]\x1b[31m", "n": 0, "why": ["a", "b"]}], ["n"], 60)[1]
    assert line.startswith("[red]\\x1b[31m") and "a, b" in line and "█" not in line
