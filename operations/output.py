"""How rows are shown: a table for people, JSON for programs. Values are data: none is markup, and none drives the terminal."""

import json
import math
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Control characters, marks that turn the direction of writing or have no width, halves of characters, and line ends.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_COUNT = re.compile(r"\b(\d+) of (\d+)$")
# Back to the start of the terminal's line, and clear it.
_CLEAR = "\r\x1b[K"
# The line of a count that is not at its end, where the terminal stands in it.
_counting: list[str] = []


def show(rows: Sequence[dict[str, Any]], *, as_json: bool, title: str = "", nothing: str = "nothing to show") -> None:
    """Print rows of one shape."""
    if as_json:
        click.echo(json.dumps([_jsonable(row) for row in rows], default=str, indent=1))
        return
    if not rows:
        tell(nothing)
        return
    table = Table(title=_text(title, "table.title") if title else None, title_justify="left")
    for name, value in rows[0].items():
        table.add_column(_text(name), justify="right" if isinstance(value, int) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(_written(value)) for value in row.values()))
    # A pipe has no width: rows are never cut there.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)


def tell(line: str) -> None:
    """Print a line that may hold data."""
    click.echo(escaped(line, keep="\n"))


def say(line: str) -> None:
    """Report progress where it does not mix with results.

    A line that ends in a count, as `models 34 of 97`, takes the place of the one before on a terminal; elsewhere the last
    of them alone is printed.
    """
    count = _COUNT.search(line)
    is_last = not count or count[1] == count[2]
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


def _text(text: str, style: str = "") -> Text:
    # A Text is no markup: neither [/b] nor :x: means anything in it.
    return Text(escaped(text, keep="\n"), style)


def _written(value: Any) -> str:
    """Write a value; a list of them one a line."""
    if value is None:
        return ""
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return "\n".join(escaped(one) for one in value)
    return escaped(f"{value:,}" if type(value) is int else str(value))


def _jsonable(value: Any) -> Any:
    """Return a value as JSON can hold it: keys are text, and what is no number is text too."""
    if isinstance(value, Mapping):
        return {str(name): _jsonable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
