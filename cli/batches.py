"""The batches of bronze."""

import click

from cli.context import NEXT, by
from cli.options import TERMINAL_ROWS, json_option, named_date, parse_date, reason_option, undo_reason_option
from ingestion.home import Home
from operations import decide, listings
from operations.output import has_width, say, show, show_one, tell

_NOTHING = "no batches yet. Next: clearwell ingest SOURCE --from DATE --to DATE"


@click.group()
def batches() -> None:
    """What was landed."""


@batches.command("list")
@click.option("--dataset", help="One dataset only.")
@click.option("--from", "start", metavar="D", callback=named_date, help="First date of the windows.")
@click.option("--to", "end", metavar="D", callback=named_date, help="The end of the range, not included.")
@json_option
def list_batches(dataset: str | None, start: str | None, end: str | None, as_json: bool) -> None:
    """List the batches of bronze. A terminal shows the latest windows only; --json and a pipe get all."""
    found = listings.batches(Home.from_environment(), dataset, parse_date(start), parse_date(end))
    shown = found if as_json or not has_width() else listings.latest(found, TERMINAL_ROWS)
    show(shown, as_json=as_json, nothing=_NOTHING if not (dataset or start or end) else "no such batches")
    if len(shown) < len(found):
        say(f"these are the latest {len(shown):,} of {len(found):,}; --dataset, --from and --to choose others")


@batches.command("show")
@click.argument("batch_id")
@json_option
def show_batch(batch_id: str, as_json: bool) -> None:
    """Show one batch: its manifest, and what became of its records."""
    show_one(listings.batch(Home.from_environment(), batch_id), as_json=as_json)


@batches.command("retract")
@click.argument("batch_id")
@reason_option
def retract_batch(batch_id: str, reason: str) -> None:
    """Withdraw a batch's records. Records that lost to them become current again."""
    decide.retract(Home.from_environment(), batch_id, by(reason))
    tell(f"batch {batch_id} is retracted. {NEXT}; undo: clearwell batches restore {batch_id}")


@batches.command("restore")
@click.argument("batch_id")
@undo_reason_option
def restore_batch(batch_id: str, reason: str) -> None:
    """Undo a retraction."""
    decide.restore(Home.from_environment(), batch_id, by(reason))
    tell(f"batch {batch_id} counts again. {NEXT}")
