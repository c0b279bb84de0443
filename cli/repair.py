"""Find and repair damage."""

import click

from cli.builds import build_and_exit
from cli.context import now
from cli.options import json_option
from cli.shop import wake_shop
from ingestion.home import Home
from operations import damage, repair
from operations.output import say, show


@click.command("repair")
@click.option("--dry-run", is_flag=True, help="Only list what is damaged and what would be done.")
@json_option
@click.pass_context
def repair_home(ctx: click.Context, dry_run: bool, as_json: bool) -> None:
    """Check all files, move damaged ones aside, restore them from intact ones, and build.

    Nothing is deleted: damaged files are moved to `broken/` in the home, with the reason. Exits with 1 if damage remains.
    """
    home = Home.from_environment()
    say("reading all batches, the state and the published file")
    found = damage.search(home)
    rows = [
        {"kind": one.kind, "name": one.name, "what": one.what, "repair": repair.WAYS[one.kind], "path": str(one.path)}
        for one in found
    ]
    show(rows, as_json=as_json, title="damaged", nothing="nothing is damaged")
    if dry_run or not found:
        return
    wake_shop(home)
    build_and_exit(ctx, repair.repair(home, found, now(), say), "not repaired")
