"""Records that were refused."""

from pathlib import Path

import click

from cli.context import NEXT, by
from cli.options import json_option, reason_option, undo_reason_option
from ingestion.home import Home
from operations import decide, listings, suggest
from operations.output import show, tell


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that were refused."""


@dead_letters.command("list")
@json_option
def list_dead_letters(as_json: bool) -> None:
    """Group them by reasons, contract version and source file."""
    show(listings.dead_letters(Home.from_environment()), as_json=as_json, nothing="no dead letters")


@dead_letters.command("show")
@click.option("--dataset", help="Of one dataset only.")
@click.option("--cause", "--reason", "cause", help="With this reason only, as `missing:visitor_id`.")
@click.option("--limit", default=20, show_default=True)
@json_option
def show_dead_letters(dataset: str | None, cause: str | None, limit: int, as_json: bool) -> None:
    """Show them raw. With --json, what `resubmit` takes back once `raw` is fixed."""
    show(
        listings.dead_letter_records(Home.from_environment(), dataset, cause, limit),
        as_json=as_json,
        nothing="no dead letters",
    )


@dead_letters.command("suggest")
@json_option
def suggest_rescue(as_json: bool) -> None:
    """Cluster them by cause, and say what would rescue each, and how much it would bring back. Nothing is changed."""
    show(suggest.suggestions(Home.from_environment()), as_json=as_json, nothing="no dead letters")


@dead_letters.command("resubmit")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the decision. The file's name if not given.")
def resubmit_dead_letters(file: Path, reason: str) -> None:
    """Land the corrected records of FILE: what `show --json` prints, with `raw` fixed. Undo: retract their batch."""
    manifests = decide.resubmit(Home.from_environment(), file, by(reason or f"corrected in {file.name}"))
    for manifest in manifests[:-1]:
        tell(f"{manifest.dataset} batch {manifest.batch_id}: {manifest.records_written} corrected records")
    tell(NEXT)


@dead_letters.command("discard")
@click.argument("records", nargs=-1, metavar="[RECORD]...")
@click.option("--dataset", help="Every one of a dataset, with --cause.")
@click.option("--cause", help="Every one with this reason, as `missing:visitor_id`.")
@reason_option
def discard_dead_letters(records: tuple[str, ...], dataset: str | None, cause: str | None, reason: str) -> None:
    """Withdraw dead letters: RECORDs, each named batch:record_no, or all with a cause."""
    home = Home.from_environment()
    if bool(records) == bool(cause):
        raise click.UsageError("name records, or give --cause")
    if cause:
        found = listings.dead_letter_records(home, dataset, cause, limit=1_000_000)
        records = tuple(row["record"] for row in found)
    count = decide.discard(home, records, by(reason)) if records else 0
    tell(f"{count} dead letters are discarded. {NEXT}; undo: clearwell dead-letters restore RECORD")


@dead_letters.command("restore")
@click.argument("records", nargs=-1, required=True, metavar="RECORD...")
@undo_reason_option
def restore_dead_letters(records: tuple[str, ...], reason: str) -> None:
    """Undo a discard."""
    count = decide.undiscard(Home.from_environment(), records, by(reason))
    tell(f"{count} records are dead letters again. {NEXT}")
