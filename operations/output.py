"""How rows are shown: a table for people, JSON for programs."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table


def show(rows: Sequence[dict[str, Any]], *, as_json: bool, title: str = "", nothing: str = "nothing to show") -> None:
    """Print rows of one shape."""
    if as_json:
        click.echo(json.dumps(list(rows), default=str, indent=1))
        return
    if not rows:
        click.echo(nothing)
        return
    table = Table(title=title or None, title_justify="left")
    for name, value in rows[0].items():
        table.add_column(name, justify="right" if isinstance(value, int) else "left", overflow="fold")
    for row in rows:
        table.add_row(
            *("" if value is None else f"{value:,}" if type(value) is int else str(value) for value in row.values())
        )
    # A pipe has no width: rows are never cut there.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
