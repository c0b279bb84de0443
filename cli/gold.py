"""Describe the published tables, and draw their dashboard queries."""

import sys
from dataclasses import asdict

import click
from rich.console import Console

from cli.options import json_option
from ingestion.home import Home
from operations import charts
from operations import describe as described
from operations.output import escaped, show, tell


@click.command()
@click.argument("table", required=False)
@json_option
def describe(table: str | None, as_json: bool) -> None:
    """Describe the published tables, or one of them: grain, owner, definition, columns, dashboard query."""
    home = Home.from_environment()
    if not table:
        tables = described.read_tables(home)
        if as_json:
            show([asdict(one) for one in tables], as_json=True)
            return
        rows = [{"table": one.name, "rows": one.rows, "one row per": ", ".join(one.grain)} for one in tables]
        show(rows, as_json=False)
        tell("Next: clearwell describe TABLE, or clearwell show TABLE for a gold table")
        return
    found, columns = described.read_table(home, table)
    if as_json:
        show([asdict(found) | {"columns": [asdict(one) for one in columns]}], as_json=True)
        return
    tell(f"{found.name}: {found.rows:,} rows")
    tell(found.description)
    if found.grain:
        tell(f"grain: {', '.join(found.grain)}\nowner: {found.owner}")
    show([asdict(one) for one in columns], as_json=False)
    if found.dashboard:
        tell(f"dashboard: {found.dashboard}\nNext: clearwell show {found.name.removeprefix('gold.')}")


@click.command("show")
@click.argument("table", metavar="GOLD_TABLE")
@json_option
def draw(table: str, as_json: bool) -> None:
    """Run the dashboard query of GOLD_TABLE over the published file, and draw the result."""
    found, rows, measures = described.ask_dashboard(Home.from_environment(), table)
    if as_json or not rows:
        show(rows, as_json=as_json, nothing=f"{found.name} has no rows")
        return
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(charts.draw(rows, measures, width=console.width, title=found.name))
    tell(escaped(found.description))
