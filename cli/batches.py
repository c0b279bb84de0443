"""The batches of bronze."""

import click

from cli.context import NEXT, by
from cli.options import json_option, reason_option, undo_reason_option
from ingestion.home import Home
from operations import decide, listings
from operations.output import show, show_one, tell


@click.group()
def batches() -> None:
    """What was landed."""


@batches.command("list")
@json_option
def list_batches(as_json: bool) -> None:
    """List the batches of bronze."""
    show(
        listings.batches(Home.from_environment()),
        as_json=as_json,
        nothing="no batches yet. Next: clearwell ingest SOURCE --from DATE --to DATE",
    )


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
