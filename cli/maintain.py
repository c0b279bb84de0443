"""Keep a home in order."""

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
    help="How many days the logs and findings of builds and runs stay.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be removed or rewritten.")
@click.option("--layers", is_flag=True, help="Only list what is kept, how large it is, for how long, and why.")
@json_option
def maintain_home(keep_days: int, dry_run: bool, layers: bool, as_json: bool) -> None:
    """Remove logs of old builds and runs, and what killed processes left. Put the small batches of a day into one file.

    Records, ids, manifests, the state's tables, the published files and everything in `broken/` stay: raw records are kept for
    ever. A state that is half empty is rewritten. Runs nightly as the DAG `maintain`.
    """
    home = Home.from_environment()
    if layers:
        kept = [
            {"layer": one.layer, "bytes": one.bytes, "kept": one.kept, "read by": one.why}
            for one in maintain.layers(home, keep_days)
        ]
        show(kept, as_json=as_json, title="layers")
        return
    found = maintain.maintain(home, now(), keep_days, dry_run=dry_run, report=say)
    rows = [{"does": one.does, "kind": one.kind, "bytes": one.size, "path": str(one.path)} for one in found]
    show(rows, as_json=as_json, title="would be done" if dry_run else "done", nothing="nothing to remove or to rewrite")
