"""Questions about the state: SQL, and where a record or a number comes from."""

import sys
from dataclasses import asdict
from typing import Any

import click

from cli.options import json_option
from ingestion.home import Home
from operations import query, trace
from operations.output import show


@click.command()
@click.argument("question", metavar="QUERY")
@json_option
def sql(question: str, as_json: bool) -> None:
    """Run QUERY over the state, read-only."""
    names, rows = query.run(Home.from_environment(), question)
    show([dict(zip(names, row, strict=True)) for row in rows], as_json=as_json, nothing="no rows")


@click.command("trace")
@click.argument("name", required=False, metavar="[ID]")
@click.option("--gold", "table", metavar="TABLE", help="Go the other way: from rows of a gold table to their records.")
@click.option("--where", metavar="SQL", default="true", help="Which rows, as \"order_date = '2026-11-01'\".")
@json_option
def show_trace(name: str | None, table: str | None, where: str, as_json: bool) -> None:
    """Tell where a record came from and what became of it. ID: an order id, an event id, or batch:record_no."""
    if bool(name) == bool(table):
        raise click.UsageError("give an ID, or --gold TABLE")
    home = Home.from_environment()
    if name:
        told = trace.record(home, name)
        if as_json:
            show(told, as_json=True)
        for one in [] if as_json else told:
            fields = [{"field": field, "value": _in_a_line(value)} for field, value in one.items()]
            show(fields, as_json=False, title=f"{one['dataset']} {one['record']}")
        return
    behind = trace.gold(home, str(table), where)
    if as_json:
        show([asdict(behind)], as_json=True)
    else:
        show(behind.cells, as_json=False, title=f"gold.{table}", nothing="no such rows")
        show(behind.records, as_json=False, title="made of", nothing="no records")
        show(behind.differences, as_json=False, title="does not add up", nothing="the records add up to the rows")
    sys.exit(1 if behind.differences else 0)


def _in_a_line(value: Any) -> Any:
    return ", ".join(f"{field}: {one}" for field, one in value.items()) if isinstance(value, dict) else value
