"""Query the state: by SQL, or for the origin of a record or a number."""

import sys
from dataclasses import asdict
from itertools import islice
from tempfile import TemporaryFile
from typing import Any

import click

from cli.options import TERMINAL_ROWS, json_option
from ingestion.home import Home
from operations import output, query, trace
from operations.output import say, show, show_one, tell

# The characters of an answer that are read at a time.
_AT_ONCE = 1 << 16


@click.command()
@click.argument("question", metavar="QUERY")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"Show the first rows only: {TERMINAL_ROWS} on a terminal, if not given. --csv and --json print all, if not given.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a header.")
@click.option(
    "--build",
    "build_id",
    default="",
    metavar="BUILD",
    help="Ask the state as it was after this build, if it is in a lake.",
)
@json_option
def sql(question: str, limit: int | None, as_csv: bool, build_id: str, as_json: bool) -> None:
    """Run QUERY over the state, read-only. Readers are given the published file: the same gold, ops and some of silver."""
    if as_csv and as_json:
        raise click.UsageError("give --csv or --json, not both")
    home = Home.from_environment()
    if as_csv or as_json:
        _print_all(home, question, limit, as_csv=as_csv, build_id=build_id)
        return
    if limit is None and not output.has_width():
        names, rows = query.run(home, question, build_id=build_id)
    else:
        limit = limit or TERMINAL_ROWS
        names, rows = query.first(home, question, limit + 1, build_id=build_id)
    say(f"asked {home.state}" + (f" as of build {build_id}" if build_id else ""))
    show([dict(zip(names, row, strict=True)) for row in rows[:limit]], as_json=False, nothing="no rows")
    if limit and len(rows) > limit:
        say(f"these are the first {limit:,} rows; --limit N shows more, --csv and --json print all")


def _print_all(home: Home, question: str, limit: int | None, *, as_csv: bool, build_id: str) -> None:
    """Print an answer of any size. It is written to a file first, so that a slow reader does not keep builds from applying."""
    with TemporaryFile("w+", encoding="utf-8", newline="") as file:
        with query.ask(home, question, build_id=build_id) as (names, rows):
            rows = islice(rows, limit)
            if as_csv:
                output.write_csv(names, rows, file)
            else:
                output.write_json((dict(zip(names, row, strict=True)) for row in rows), file)
        file.seek(0)
        while part := file.read(_AT_ONCE):
            output.pass_on(part)


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
        for line in [] if as_json else trace.summary(told):
            tell(line)
        for one in [] if as_json else told:
            fields = {field: _in_a_line(value) for field, value in one.items()}
            show_one(fields, as_json=False, title=f"{one['dataset']} {one['record']}")
        return
    behind = trace.gold(home, str(table), where)
    if as_json:
        show_one(asdict(behind), as_json=True)
    else:
        tell(_told(behind, str(table)))
        show(behind.cells, as_json=False, title=f"gold.{table}", nothing="no such rows")
        show(behind.records, as_json=False, title="made of", nothing="no records")
        show(behind.differences, as_json=False, title="does not add up", nothing="the records add up to the rows")
    sys.exit(1 if behind.differences else 0)


def _told(behind: trace.Behind, table: str) -> str:
    """Return one line: how many records are behind how many rows, and whether they add up."""
    ends = f"measures that do not add up: {len(behind.differences):,}" if behind.differences else "the records add up"
    name = f"gold.{table.removeprefix('gold.')}"
    return f"{name}: rows {len(behind.cells):,}, made of records {len(behind.records):,}; {ends}"


def _in_a_line(value: Any) -> Any:
    return ", ".join(f"{field}: {one}" for field, one in value.items()) if isinstance(value, dict) else value
