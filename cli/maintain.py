"""Remove files that nothing reads any more."""

import click

from cli.context import now
from cli.options import json_option
from ingestion.home import Home
from operations import maintain
from operations.output import say, show


@click.command("maintain")
@click.option(
    "--keep-days",
    type=click.IntRange(1),
    default=maintain.KEEP_DAYS,
    show_default=True,
    help="How many days the logs and findings of a build stay in its folder.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
@json_option
def maintain_home(keep_days: int, dry_run: bool, as_json: bool) -> None:
    """Remove logs of old builds, and files that killed processes left behind.

    Batches, the state, the published file and everything in `broken/` stay. Runs nightly as the DAG `maintain`.
    """
    found = maintain.maintain(Home.from_environment(), now(), keep_days, dry_run=dry_run, report=say)
    rows = [{"kind": one.kind, "bytes": one.size, "path": str(one.path)} for one in found]
    show(rows, as_json=as_json, title="would be removed" if dry_run else "removed", nothing="nothing to remove")
