"""Build, and the builds there were."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import NoReturn

import click

from cli.context import NEXT, by, now, tell_held
from cli.options import json_option, named_date, parse_date, reason_option
from ingestion.home import Home
from operations import decide, listings
from operations.output import say, show, tell, with_first
from warehouse.build import Outcome, Request
from warehouse.engines import DUCKDB, SPARK, default_engine

_DRY_RUN_ROWS = 40
# The columns for which a narrow terminal has room.
_FINDING = ("result", "failed_rows", "check_name", "consequence", "message")


@click.command()
@click.option("--from", "start", metavar="D", callback=named_date, help="First date to rebuild from bronze.")
@click.option("--to", "end", metavar="D", callback=named_date, help="End of the range, not included.")
@click.option("--full", is_flag=True, help="Rebuild everything from bronze.")
@click.option("--reason", default="", help="Why; kept with the build, and shown by `builds list`.")
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would change.")
@click.option(
    "--engine",
    type=click.Choice([DUCKDB, SPARK]),
    default=default_engine,
    help="What runs the models; CLEARWELL_ENGINE, or duckdb, if not given. Spark needs `make spark`.",
)
@json_option
def build(
    start: str | None, end: str | None, full: bool, reason: str, dry_run: bool, engine: str, as_json: bool
) -> None:
    """Build what is new, audit it and publish it; or rebuild a range, or everything, from bronze.

    It ends with writing control-room.html in the home, which shows how everything is.
    """
    from operations import control_room
    from warehouse.build import build as run_build

    home = Home.from_environment()
    request = Request(parse_date(start), parse_date(end), full, reason, dry_run, engine=engine)
    with nullcontext() if dry_run else control_room.rewritten(home, now, say):
        outcome = run_build(home, request, now(), say, now)
    if dry_run and outcome.plan:
        _show_dry_run(outcome, as_json=as_json)
    elif outcome.plan:
        done = "published" if outcome.is_published else "applied but not published: readers see a pinned state"
        tell(f"build {outcome.plan.build_id}: {done}")
        tell_held(home)


def build_and_exit(ctx: click.Context, left: Sequence[str], undone: str) -> NoReturn:
    """Build, list what is left `undone`, and exit with 1 if anything is."""
    ctx.invoke(build)
    for line in left:
        say(f"{undone}: {line}")
    sys.exit(1 if left else 0)


def _show_dry_run(outcome: Outcome, *, as_json: bool) -> None:
    rows = [{"table": one.table, **row} for one in outcome.differences for row in one.rows]
    if as_json:
        show(rows, as_json=True)
        return
    plan = outcome.plan
    if plan:
        tell(f"batches that would enter: {', '.join(plan.entering) or 'none'}")
        tell(f"batches that would leave: {', '.join(plan.leaving) or 'none'}")
    show(outcome.dates, as_json=False, title="dates that would differ", nothing="no date would differ")
    for one in outcome.differences:
        title = f"{one.table}: {one.gone} rows would be removed, {one.new} added"
        show(one.rows[:_DRY_RUN_ROWS], as_json=False, title=title)
    if not outcome.differences:
        tell("gold would not change")
    tell("dry run: nothing was changed")


@click.group()
def builds() -> None:
    """List, restore or drop builds, and accept their findings."""


@builds.command("list")
@json_option
def list_builds(as_json: bool) -> None:
    """List the published builds, newest first."""
    show(listings.builds(Home.from_environment()), as_json=as_json, nothing="no builds yet. Next: clearwell build")


@builds.command("show")
@click.argument("build_id")
@json_option
def show_build(build_id: str, as_json: bool) -> None:
    """Show what the checks of a build found, also of a refused one."""
    found = listings.build(Home.from_environment(), build_id)
    show(found if as_json else with_first(found, _FINDING), as_json=as_json)


@builds.command("accept")
@click.argument("finding", required=False, default="")
@click.option("--dataset", default="", help="All open findings of this dataset.")
@click.option("--from", "start", metavar="D", callback=named_date, help="First date of the findings.")
@click.option("--to", "end", metavar="D", callback=named_date, help="The end of the range, not included.")
@reason_option
def accept_finding(finding: str, dataset: str, start: str | None, end: str | None, reason: str) -> None:
    """Accept a FINDING that `clearwell status` lists, or all findings of a dataset and range.

    held:<batch> lets a held batch enter with the next build, including its refused records. difference:<dataset>:<date>
    accepts the difference between a source's count and what landed; if it changes, it is a new finding.
    """
    if bool(finding) == bool(dataset or start or end):
        raise click.UsageError("name a FINDING, or give --dataset, or --from and --to")
    home = Home.from_environment()
    chosen = decide.select_findings(home, finding, dataset, parse_date(start), parse_date(end))
    for name in decide.accept(home, chosen, by(reason)):
        tell(f"{name} is accepted")
    tell(NEXT)


@builds.command("drop")
@click.argument("build_id")
def drop_build(build_id: str) -> None:
    """Drop a refused build. Nothing else changes, and `status` no longer lists it."""
    decide.drop_build(Home.from_environment(), build_id)
    tell(f"build {build_id} is dropped")


@builds.command("restore")
@click.argument("build_id")
@reason_option
def restore_build(build_id: str, reason: str) -> None:
    """Publish an older build and pin it. Builds go on, but readers keep this one until `unpin`."""
    from warehouse import publish

    publish.pin(Home.from_environment(), build_id, reason, by(reason).name, now())
    tell(f"build {build_id} is published and pinned. Undo: clearwell builds unpin")


@builds.command("unpin")
def unpin_builds() -> None:
    """Publish the current state again."""
    from warehouse import publish

    publish.unpin(Home.from_environment())
    tell("the current state is published")
