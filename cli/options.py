"""The options that commands share."""

from datetime import date

import click

from ingestion.window import parse_time

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
from_option = click.option(
    "--from",
    "start",
    required=True,
    metavar="T",
    help="Start: a date or an ISO timestamp, UTC unless it says otherwise.",
)
to_option = click.option("--to", "end", required=True, metavar="T", help="End, not included.")
reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; kept with the decision.")
undo_reason_option = click.option(
    "--reason", default="the decision before was wrong", show_default=True, metavar="TEXT", help="Why; kept with it."
)


def parse_date(text: str | None) -> date | None:
    """Return the date of a typed date or time; None if none was typed."""
    return parse_time(text).date() if text else None
