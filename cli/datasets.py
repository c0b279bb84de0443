"""Datasets: propose the contract of a new one, check one against its source, list all."""

import sys
from typing import Any

import click

from cli.context import now
from cli.options import json_option, named_date
from cli.shop import wake_shop
from ingestion.home import Home
from ingestion.window import Window
from operations import datasets
from operations.datasets import Checked
from operations.output import show, show_one, tell
from operations.propose import Asked, Proposal

_PREVIEW_ROWS = 5


@click.group("datasets")
def dataset_group() -> None:
    """Add a dataset, check one against its source, or list all."""


@dataset_group.command("add")
@click.argument("name")
@click.option(
    "--from",
    "place",
    required=True,
    metavar="PLACE",
    help="A path, s3://bucket/key, a pattern such as 'exports/{date}.csv', an http address, or CONNECTION.schema.table.",
)
@click.option("--source", default="", metavar="SOURCE", help="Name of the source; the dataset's own if not given.")
@click.option("--owner", default="", metavar="OWNER", help="The team that answers for the data.")
@click.option(
    "--key", default="", metavar="COL[,COL]", help="The columns that identify a record; row, if each row is one."
)
@click.option("--event-time", default="", metavar="COL", help="The column that says when a record happened.")
@click.option("--version", default="", metavar="COL", help="The column that says when a record last changed.")
@click.option(
    "--each", default="", metavar="PATH", help="In lines of JSON, the list of which each element is a record."
)
@click.option("--dry-run", is_flag=True, help="Show the proposal, and write nothing.")
@click.option("--yes", is_flag=True, help="Write without asking, as if no terminal is there.")
@json_option
def add_dataset(dry_run: bool, yes: bool, as_json: bool, **asked: Any) -> None:
    """Look at a sample of PLACE, propose a contract for it, and write it with the models of the dataset NAME."""
    key = tuple(part.strip() for part in asked.pop("key").split(",") if part.strip())
    proposal = datasets.propose_dataset(Asked(**asked, key=key), now())
    if not as_json:
        _show(proposal)
    written: tuple[str, ...] = ()
    is_wanted = not dry_run and (yes or as_json or not _is_terminal() or click.confirm("Write the files?"))
    if is_wanted:
        written = tuple(map(str, datasets.write(proposal)))
    if as_json:
        show_one(_as_one(proposal, written), as_json=True)
    elif is_wanted:
        name = proposal.asked.name
        tell(f"{name}: version 1 of its contract is released, in {len(written)} files, such as {written[0]}")
        tell(f"Next: clearwell datasets check {name}")
        tell(f"Then: clearwell ingest {proposal.source} --from DATE --to DATE; clearwell build")
    else:
        tell("nothing was written. Next: decide what is open, and run it again without --dry-run")


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _show(proposal: Proposal) -> None:
    sample = proposal.sample
    part = "all" if sample.is_whole else "a part"
    tell(f"sample: {len(sample.rows):,} rows of {', '.join(sample.files)}, which is {part} of the source")
    show(proposal.rows(_PREVIEW_ROWS), as_json=False, title="first rows")
    show(_columns(proposal), as_json=False, title="columns")
    show(list(proposal.refused), as_json=False, title="rows it would refuse", nothing="no row of the sample is refused")
    for title, lines in (("decided", proposal.decided), ("to decide", proposal.to_decide)):
        tell(f"\n{title}")
        for line in lines:
            tell(f"  {line}")


def _columns(proposal: Proposal) -> list[dict[str, object]]:
    return [
        {
            "column": one.name,
            "type": one.type,
            "at_source": one.header,
            "missing": one.missing,
            "distinct": one.distinct,
            "required": one.required,
            "personal": bool(one.personal),
            "why": one.why,
        }
        for one in proposal.columns
    ]


def _as_one(proposal: Proposal, written: tuple[str, ...]) -> dict[str, object]:
    return {
        "dataset": proposal.asked.name,
        "source": proposal.source,
        "owner": proposal.owner,
        "format": proposal.sample.format,
        "files": list(proposal.sample.files),
        "rows": len(proposal.sample.rows),
        "is_whole": proposal.sample.is_whole,
        "key": list(proposal.key),
        "event_time": proposal.event_time,
        "version": proposal.version,
        "money": list(proposal.money) if proposal.money else None,
        "columns": _columns(proposal),
        "preview": proposal.rows(_PREVIEW_ROWS),
        "refused": list(proposal.refused),
        "decided": list(proposal.decided),
        "to_decide": list(proposal.to_decide),
        "written": list(written),
    }


@dataset_group.command("check")
@click.argument("dataset")
@click.option("--from", "start", metavar="T", callback=named_date, help="Start; without it, the source's newest day.")
@click.option("--to", "end", metavar="T", callback=named_date, help="End, not included.")
@json_option
def check_dataset(dataset: str, start: str | None, end: str | None, as_json: bool) -> None:
    """Land one window of DATASET aside, and say what becomes of its records. Exits with 1 if none is accepted.

    Nothing is changed.
    """
    if (start is None) != (end is None):
        raise click.UsageError("--from and --to belong together: give both or none")
    home = Home.from_environment()
    window = Window.parse(start, end) if start and end else None
    wake_shop(home)
    found = datasets.check(home, dataset, window, now())
    if as_json:
        show_one({**vars(found), "window": str(found.window)}, as_json=True)
    else:
        _show_checked(found)
    sys.exit(0 if found.is_usable else 1)


def _show_checked(found: Checked) -> None:
    tell(f"{found.dataset} {found.window}: {found.records:,} records")
    for line in () if found.records else found.messages:
        tell(line)
    show(list(found.fates), as_json=False, title="fates", nothing="the window has no record")
    show(list(found.refused), as_json=False, title="refused", nothing="no record is refused")
    show(list(found.colliding), as_json=False, title="keys with several contents", nothing="no key has two contents")
    if found.unknown:
        tell(f"the contract does not read: {', '.join(found.unknown)}")
    if found.lacking:
        tell(f"the source does not have: {', '.join(found.lacking)}")
    if held := found.count("held"):
        tell(
            f"{held:,} records can be read, but would be held with the refused ones of their batch, which are too many."
            " Next: correct the contract, or say in it how many may be refused: `breaker: {share: 1}`"
        )
    elif not found.is_usable and found.count("withdrawn"):
        tell("no record that can be read meets `where` of the contract. Next: correct the contract")
    elif not found.is_usable:
        tell("every record is refused. Next: correct the contract")
    tell("nothing was changed")


@dataset_group.command("list")
@json_option
def list_datasets(as_json: bool) -> None:
    """List the datasets: source, kind, format, key, event time, cadence and owner."""
    show(datasets.list_datasets(), as_json=as_json)
