"""Records that were refused."""

from pathlib import Path
from typing import Any

import click

from cli.context import NEXT, by, tell_held
from cli.options import json_option, reason_option, undo_reason_option
from ingestion.home import Home
from operations import decide, listings, suggest
from operations.output import say, show, show_one, tell, with_first


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that were refused."""


# The columns of suggestions for which a narrow terminal has room.
_FIRST = ("records", "reasons", "suggestion", "example")
settled_option = click.option(
    "--settled", is_flag=True, help="Those that are settled: discarded, corrected, or replaced by a valid record."
)


@dead_letters.command("list")
@click.option("--by-file", is_flag=True, help="Count by source file as well.")
@settled_option
@json_option
def list_dead_letters(by_file: bool, settled: bool, as_json: bool) -> None:
    """Count the open ones by cause. A line is one letter, however often it was landed.

    An open letter leaves this list when a person discards or corrects it, or when a valid record of the same key lands.
    """
    home = Home.from_environment()
    found = listings.dead_letters(home, by_file=by_file)
    chosen = [row for row in found if (row["settled"] is not None) is settled]
    if as_json:
        show(chosen, as_json=True)
        return
    show([_told(row) for row in chosen], as_json=False, nothing=f"no {'settled' if settled else 'open'} dead letters")
    if any(row["shapes"] for row in chosen):
        tell("A shape is a refused value with 9 for each digit and a for each letter.")
    other = sum(row["letters"] for row in found if (row["settled"] is not None) is not settled)
    if other:
        tell(
            f"{other:,} more are open"
            if settled
            else f"{other:,} more are settled: clearwell dead-letters list --settled"
        )
    tell_held(home)
    if chosen and not settled:
        say("Next: clearwell dead-letters suggest says what would rescue them; clearwell dead-letters show prints them")


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """Put the columns first for which a narrow terminal has room."""
    return {
        "letters": row["letters"],
        "cause": row["reasons"],
        "dataset": row["dataset"],
        **({"settled": row["settled"]} if row["settled"] else {}),
        **({"source_file": row["source_file"]} if "source_file" in row else {}),
        "since": row["first_seen"].date() if row["first_seen"] else None,
        "example": row["example"],
        "shapes": row["shapes"],
        "records": row["records"],
    }


@dead_letters.command("show")
@click.option("--dataset", help="One dataset only.")
@click.option("--cause", "--reason", "cause", help="One reason only, such as `missing:visitor_id`.")
@click.option("--limit", default=20, show_default=True)
@settled_option
@json_option
def show_dead_letters(dataset: str | None, cause: str | None, limit: int, settled: bool, as_json: bool) -> None:
    """Show refused records raw. With --json, this is what `resubmit` takes once you have fixed `raw`."""
    found = listings.dead_letter_records(Home.from_environment(), dataset, cause, limit, settled=settled)
    if as_json or not found:
        show(found, as_json=as_json, nothing="no dead letters")
        return
    for row in found:
        show_one({**row, "raw": row["raw"].rstrip("\n")}, as_json=False)
        tell("")
    if len(found) == limit:
        say(f"the first {limit:,}; --limit shows more")


@dead_letters.command("suggest")
@json_option
def suggest_rescue(as_json: bool) -> None:
    """Group refused records by cause; show what would rescue each group, and how many records. Nothing is changed."""
    found = suggest.suggestions(Home.from_environment())
    show(found if as_json else with_first(found, _FIRST), as_json=as_json, nothing="no open dead letters")


@dead_letters.command("resubmit")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the decision. The file's name if not given.")
def resubmit_dead_letters(file: Path, reason: str) -> None:
    """Land the corrected records of FILE: the output of `show --json` with `raw` fixed. To undo, retract their batch."""
    manifests = decide.resubmit(Home.from_environment(), file, by(reason or f"corrected in {file.name}"))
    for manifest in manifests[:-1]:
        tell(f"{manifest.dataset} batch {manifest.batch_id}: {manifest.records_written} corrected records")
    tell(NEXT)


@dead_letters.command("discard")
@click.argument("records", nargs=-1, metavar="[RECORD]...")
@click.option("--dataset", help="All of this dataset, with --cause.")
@click.option("--cause", help="All with this reason, such as `missing:visitor_id`.")
@reason_option
def discard_dead_letters(records: tuple[str, ...], dataset: str | None, cause: str | None, reason: str) -> None:
    """Discard refused records: RECORDs, each as batch:record_no, or all with a cause."""
    home = Home.from_environment()
    if bool(records) == bool(cause):
        raise click.UsageError("name records, or give --cause")
    chosen = decide.letters_of(home, dataset, cause) if cause else records
    count = decide.discard(home, chosen, by(reason)) if chosen else 0
    tell(f"{count} dead letters are discarded. {NEXT}; undo: clearwell dead-letters restore RECORD")


@dead_letters.command("restore")
@click.argument("records", nargs=-1, required=True, metavar="RECORD...")
@undo_reason_option
def restore_dead_letters(records: tuple[str, ...], reason: str) -> None:
    """Undo a discard."""
    count = decide.undiscard(Home.from_environment(), records, by(reason))
    tell(f"{count} records are dead letters again. {NEXT}")
