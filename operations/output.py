"""Show rows: as a table for people, as JSON for programs. Values are never parsed as markup or sent as control codes."""

import csv
import json
import math
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, TextIO

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingestion import log

# Control characters, marks that change the direction of writing or have no width, halves of characters, and line ends.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
# A longer word is no number, date or id, and may be folded anywhere; so may one of half that length that has several parts, such as
# a line of JSON, an address, or the name of a check.
_LONGEST_WORD = 80
_PARTS = re.compile(r"[_/{}\",&?=]")
# The least width of text that is folded at its spaces.
_TEXT_WIDTH = 20
# Spaces between two columns: one, if with two a column would be left out.
_GAP, _CLOSE = 2, 1
# Money has at least two decimals.
_DECIMALS = 2
# The key in a command's context that records that something was printed.
_PRINTED = f"{__name__}.printed"
_COUNT = re.compile(r"\b(\d+) of (\d+)$")
# Return to the start of the terminal's line, and clear it.
_CLEAR = "\r\x1b[K"
# An unfinished line of progress in which the terminal's cursor is.
_counting: list[str] = []


def show(rows: Sequence[dict[str, Any]], *, as_json: bool, title: str = "", nothing: str = "nothing to show") -> None:
    """Print rows of one shape: a list of them as JSON, or a table; a single row as its fields and values.

    Where the width is known, a table fits it: numbers, ids and dates are whole, and columns without room are left out and named.
    """
    if as_json:
        write_json(rows)
    elif not rows:
        tell(nothing)
    elif len(rows) == 1:
        _print_fields(rows[0], title)
    else:
        _print_table(rows, title)


def show_one(thing: Mapping[str, Any], *, as_json: bool, title: str = "") -> None:
    """Print one thing: an object as JSON, or its fields and values."""
    if as_json:
        click.echo(_json(thing, indent=1))
    else:
        _print_fields(thing, title)


def write_json(rows: Iterable[Mapping[str, Any]], file: TextIO | None = None) -> None:
    """Write a JSON array, one element per line, as rows arrive: only one row is in memory at a time."""
    file = file or sys.stdout
    before = "["
    for row in rows:
        file.write(f"{before}\n {_json(row)}")
        before = ","
    file.write("[]\n" if before == "[" else "\n]\n")


def write_csv(names: Sequence[str], rows: Iterable[Sequence[Any]], file: TextIO | None = None) -> None:
    """Write CSV with a header, as rows arrive: only one row is in memory at a time. A missing value is empty."""
    writer = csv.writer(file or sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_plain(value) for value in row] for row in rows)


def pass_on(text: str) -> None:
    """Print text that a program may read: unchanged, but escaped on a terminal, which would act on it."""
    click.echo(escaped(text, keep="\n") if sys.stdout.isatty() else text, nl=False)


def with_first(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Put some columns first, since a narrow terminal shows only the first ones."""
    return [{**{name: row[name] for name in names if name in row}, **row} for row in rows]


def tell(line: str) -> None:
    """Print a line that may hold data."""
    _has_printed()
    click.echo(escaped(line, keep="\n"))


def say(line: str) -> None:
    """Report progress where it does not mix with results.

    On a terminal, a line that ends in a count, such as `models 34 of 97`, replaces the one before; elsewhere only the last
    of them is printed. With CLEARWELL_LOG=json it is an event of the log.
    """
    count = _COUNT.search(line)
    is_last = not count or count[1] == count[2]
    if log.is_structured():
        if is_last:
            log.said(line)
        return
    plain = escaped(line, keep="\n")
    if sys.stderr.isatty():
        begin = _CLEAR if count else "\n" if _counting else ""
        click.echo(begin + plain, err=True, nl=is_last)
        _counting[:] = [] if is_last else [line]
    elif is_last:
        click.echo(plain, err=True)


def escaped(text: str, keep: str = "") -> str:
    """Write each character that a terminal would act on, or not show, as Python escapes it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(one) if one not in keep and unicodedata.category(one) in _UNSEEN else one for one in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


@dataclass(frozen=True)
class _Column:
    """A column to print: its cells as text, and its least and greatest width."""

    name: str
    cells: Sequence[str]
    is_number: bool
    narrowest: int
    widest: int


def _column(name: str, values: Sequence[Any]) -> _Column:
    numbers = [value for value in values if _is_number(value)]
    is_number = bool(numbers) and all(value is None or _is_number(value) for value in values)
    decimals = _decimals(numbers)
    cells = [_written(value, decimals) for value in values]
    widest = max((cell_len(line) for cell in cells for line in cell.split("\n")), default=0)
    parts = _name_parts(escaped(name))
    narrowest = _folded_width(values, cells)
    return _Column(
        escaped(name),
        cells,
        is_number,
        max(narrowest, *map(cell_len, parts)),
        max(widest, cell_len(escaped(name))),
    )


def _folded_width(values: Iterable[Any], cells: Iterable[str]) -> int:
    """Return the least width that folds text only at spaces, and never a number, date or time. Very long words may fold."""
    whole, words, widest = 0, 0, 0
    for value, cell in zip(values, cells, strict=True):
        lengths = [cell_len(line) for line in cell.split("\n")]
        widest = max(widest, *lengths)
        if _is_number(value) or isinstance(value, date):
            whole = max(whole, *lengths)
        elif not _is_nested(value):
            words = max([words, *(cell_len(word) for word in cell.split() if _is_whole(word))])
    return max(whole, min(widest, max(words, _TEXT_WIDTH)))


def _is_whole(word: str) -> bool:
    length = cell_len(word)
    return length <= _LONGEST_WORD / 2 or (length <= _LONGEST_WORD and not _PARTS.search(word))


def _name_parts(name: str) -> list[str]:
    """Split a column's name where it may be folded: after underscores, and at spaces."""
    return re.findall(r"[^_\s]*_+|[^_\s]+", name) or [""]


def _folded_name(name: str, width: int) -> str:
    lines = [""]
    for part in re.findall(r"[^_\s]*_+|[^_\s]+|\s+", name):
        if cell_len(lines[-1] + part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines)


def has_width() -> bool:
    """Say whether the output is a terminal; a pipe has no width."""
    return _width() is not None


def _width() -> int | None:
    """Return the width of a line: the terminal's, or COLUMNS. A pipe has no width."""
    if os.environ.get("COLUMNS", "").isdecimal() or sys.stdout.isatty():
        return max(shutil.get_terminal_size().columns, 1)
    return None


def _print_table(rows: Sequence[dict[str, Any]], title: str) -> None:
    columns = [_column(name, [row.get(name) for row in rows]) for name in rows[0]]
    width, gap = _width(), _GAP
    if width is not None and len(_fitting(columns, width, gap)) < len(columns):
        gap = _CLOSE
    kept = columns if width is None else _fitting(columns, width, gap)
    if not kept:  # show each row by itself
        for number, row in enumerate(rows, 1):
            _print_fields(row, f"{title}, {number} of {len(rows)}" if title else f"{number} of {len(rows)}")
        return
    widths = [one.widest for one in kept] if width is None else _shared(kept, width, gap)
    table = _grid(box.SIMPLE_HEAD, gap)
    for one, own in zip(kept, widths, strict=True):
        justify = "right" if one.is_number else "left"
        table.add_column(_text(_folded_name(one.name, own)), justify=justify, width=own, overflow="fold")  # type: ignore[arg-type]
    for cells in zip(*(one.cells for one in kept), strict=True):
        table.add_row(*map(_text, cells))
    left_out = ", ".join(one.name for one in columns if one not in kept)
    note = f"Columns that do not fit: {left_out}. {_where_all_is()}" if left_out else ""
    _print(table, title, sum(widths) + gap * len(widths), note)


def _where_all_is() -> str:
    context = click.get_current_context(silent=True)
    has_json = context is not None and any("--json" in one.opts for one in context.command.params)
    return "--json shows all of them" if has_json else "A wider window shows them"


def _fitting(columns: Sequence[_Column], width: int, gap: int) -> list[_Column]:
    """Choose the columns that fit at their least width, from the left; none if the first, which names the row, does not."""
    if columns[0].narrowest > width:
        return []
    kept, used = [], 0
    for one in columns:
        if used + one.narrowest <= width:
            kept.append(one)
            used += one.narrowest + gap
    return kept


def _shared(columns: Sequence[_Column], width: int, gap: int) -> list[int]:
    """Share a width among columns: each gets its least, and the narrowest that need more share the rest."""
    widths = [one.narrowest for one in columns]
    left = width - sum(widths) - gap * (len(widths) - 1)
    wanting = [place for place, one in enumerate(columns) if one.widest > one.narrowest]
    while left > 0 and wanting:
        place = min(wanting, key=lambda one: widths[one])
        widths[place] += 1
        left -= 1
        if widths[place] == columns[place].widest:
            wanting.remove(place)
    return widths


def _print_fields(row: Mapping[str, Any], title: str) -> None:
    names = [escaped(name) for name in row]
    cells = [_written(value, _decimals([value] if _is_number(value) else [])) for value in row.values()]
    own = max(map(cell_len, names), default=0)
    widest = max((cell_len(line) for cell in cells for line in cell.split("\n")), default=0)
    width = _width()
    # A value that may not be folded keeps its width: the terminal then breaks the line, and nothing is lost.
    room = widest if width is None else min(widest, max(_folded_width(row.values(), cells), width - own - _GAP))
    table = _grid(None, _GAP)
    table.add_column(width=own, style="bold")
    table.add_column(width=room, overflow="fold")
    for name, cell in zip(names, cells, strict=True):
        table.add_row(_text(name), _text(cell))
    _print(table, title, own + room + 2 * _GAP)


def _grid(rule: box.Box | None, gap: int) -> Table:
    # Two columns are separated by the rule's own space, if there is a rule, and the padding.
    padding = gap - 1 if rule else gap
    return Table(box=rule, show_header=rule is not None, show_edge=False, pad_edge=False, padding=(0, padding, 0, 0))


def _print(table: Table, title: str, width: int, note: str = "") -> None:
    console = Console(width=max(width, 1))
    with console.capture() as printed:
        if title:
            console.print(_text(title, "bold"), soft_wrap=True)
        console.print(table)
    lines = [line.rstrip() for line in printed.get().splitlines()]
    part = [""] if _has_printed() and title else []
    click.echo("\n".join([*part, *lines, *([note] if note else [])]))


def _has_printed() -> bool:
    """Say whether this command has printed a result before, and record that it has: titled results get an empty line between."""
    context = click.get_current_context(silent=True)
    if context is None:
        return False
    before = _PRINTED in context.meta
    context.meta[_PRINTED] = True
    return before


def _text(text: str, style: str = "") -> Text:
    # Text is not parsed as markup: neither [/b] nor :x: has a meaning in it.
    return Text(escaped(text, keep="\n"), style)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _decimals(numbers: Iterable[Any]) -> int:
    """Return the decimals to show of a column's amounts: two, or all of them if two would lose a digit."""
    amounts = [one for one in numbers if isinstance(one, Decimal) and one.is_finite()]
    if all(one == round(one, _DECIMALS) for one in amounts):
        return _DECIMALS
    return max(-int(one.as_tuple().exponent) for one in amounts)


def _written(value: Any, decimals: int = _DECIMALS) -> str:
    """Write a value; a list of texts with one text per line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:,.{decimals}f}"
    if isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return "\n".join(escaped(one) for one in value)
    if _is_nested(value):
        return escaped(_json(value))
    return escaped(str(value))


def _is_nested(value: Any) -> bool:
    """Say whether a value is written as JSON: a mapping or a list, except a list of texts."""
    return isinstance(value, Mapping) or (isinstance(value, list) and not all(isinstance(one, str) for one in value))


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping | list | tuple):
        return _json(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(value: Any, indent: int | None = None) -> str:
    try:
        return json.dumps(value, default=str, indent=indent, allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps(_jsonable(value), default=str, indent=indent)


def _jsonable(value: Any) -> Any:
    """Convert a value for JSON: keys become text, and so do values that JSON has no type for."""
    if isinstance(value, Mapping):
        return {str(name): _jsonable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
