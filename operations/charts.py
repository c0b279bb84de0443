"""Draw rows in the terminal: each measure as a number and a bar, beside the row's other columns."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rich.bar import Bar
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from operations.output import escaped

_BAR_LEAST, _BAR_MOST = 6, 40
_FOLDED = 24
_COLORS = ("cyan", "yellow", "green", "magenta")


def draw(rows: Sequence[dict[str, Any]], measures: Sequence[str], *, width: int, title: str = "") -> Table:
    """Return a table with a bar beside each number of `measures`, to fit `width` characters.

    The bars of a measure share one scale from 0, or from its least value if that is below 0. A value that is missing has no
    bar. Bars are left out where there is no room for 6 characters each.
    """
    names = list(rows[0])
    others = [name for name in names if name not in measures]
    table = Table(title=_text(title, "table.title") if title else None, title_justify="left", box=None, pad_edge=False)
    texts = {name: [escaped(_written(row[name])) for row in rows] for name in names}
    heads = {name: _folded(name, max(map(cell_len, texts[name]))) for name in names}
    # Numbers, ids and dates are never folded. Text with spaces may be, and then needs no more than this width.
    can_fold = {name for name in others if any(" " in text for text in texts[name])}
    widths = {name: max(map(cell_len, [*heads[name].split("\n"), *texts[name]])) for name in names}
    taken = sum(2 + (min(widths[name], _FOLDED) if name in can_fold else widths[name]) for name in names)
    size = min((width - taken) // max(len(measures), 1) - 2, _BAR_MOST)
    has_bars = size >= _BAR_LEAST
    for name in others:
        table.add_column(_text(heads[name]), no_wrap=name not in can_fold, vertical="top")
    for name in measures:
        table.add_column(_text(heads[name]), justify="right", no_wrap=True)
        if has_bars:
            table.add_column("", width=size)
    scales = {name: _scale([row[name] for row in rows]) for name in measures}
    for number, row in enumerate(rows):
        cells: list[Any] = [_text(texts[name][number]) for name in others]
        for place, name in enumerate(measures):
            cells.append(_text(texts[name][number]))
            if has_bars:
                cells.append(_bar(row[name], *scales[name], _COLORS[place % len(_COLORS)]))
        table.add_row(*cells)
    return table


def _text(text: str, style: str = "") -> Text:
    # Text is not parsed as markup, and cannot send control codes to the terminal.
    return Text(escaped(text, keep="\n"), style)


def _scale(values: Sequence[Any]) -> tuple[float, float]:
    """Return where the bars of a measure begin and end: 0 is always among them."""
    numbers = [float(value) for value in values if value is not None]
    return min([0.0, *numbers]), max([0.0, *numbers])


def _bar(value: Any, least: float, most: float, color: str) -> Bar | str:
    if value is None or most == least:
        return ""
    number = float(value)
    return Bar(most - least, min(0.0, number) - least, max(0.0, number) - least, color=color)


def _folded(name: str, width: int) -> str:
    """Write a column's name in lines that end at an underscore, where it is wider than its values."""
    lines = [""]
    for part in name.replace("_", "_ ").split():
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _written(value: Any) -> str:
    """Write a value: numbers with separators, money with two decimals, a list on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Decimal | float):
        return f"{value:,.2f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value) or "(empty)"
