"""The options that commands share."""

import re
from datetime import date, timedelta

import click

from cli.context import now
from ingestion.window import parse_time

# The rows that a terminal shows of a long list.
TERMINAL_ROWS = 200
_AGO = re.compile(r"(\d{1,5})-days?-ago")


def named_date(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """Write `today`, `yesterday` and `3-days-ago` as UTC dates; leave other texts unchanged."""
    name = (text or "").strip().lower()
    days = {"today": 0, "yesterday": 1}.get(name)
    if found := _AGO.fullmatch(name):
        days = int(found[1])
    return text if days is None else (now().date() - timedelta(days=days)).isoformat()


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
from_option = click.option(
    "--from",
    "start",
    required=True,
    metavar="T",
    callback=named_date,
    help="Start: a date, an ISO timestamp (UTC unless it says otherwise), or today, yesterday, 3-days-ago.",
)
to_option = click.option("--to", "end", required=True, metavar="T", callback=named_date, help="End, not included.")
reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; kept with the decision.")
undo_reason_option = click.option(
    "--reason", default="the decision before was wrong", show_default=True, metavar="TEXT", help="Why; kept with it."
)


def parse_date(text: str | None) -> date | None:
    """Return the date of a typed date or time; None if none was typed."""
    return parse_time(text).date() if text else None
