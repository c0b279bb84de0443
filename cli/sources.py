"""Commands that land the windows of sources."""

import sys
from contextlib import nullcontext
from dataclasses import asdict

import click

from cli.builds import build, build_and_exit
from cli.context import NEXT, now
from cli.options import from_option, json_option, named_date, to_option
from cli.shop import wake_shop
from ingestion import sources
from ingestion.errors import ClearwellError
from ingestion.home import Home
from ingestion.window import Window, parse_time
from operations import heal, windows
from operations.output import say, show, tell


@click.group("sources")
def source_group() -> None:
    """Check the sources."""


@source_group.command("check")
@click.argument("names", metavar="[SOURCE]...", nargs=-1)
@json_option
def check_sources(names: tuple[str, ...], as_json: bool) -> None:
    """Check that every source that is on could land, or those named: its connection, tables and columns, folder or address.

    Nothing is landed. Exits with 1 if something is wrong.
    """
    home = Home.from_environment()
    wake_shop(home)
    names = names or sources.SOURCES
    found = [one for name in names for one in sources.check(name, home)]
    if as_json:
        show([asdict(one) for one in found], as_json=True)
    elif found:
        tell("\n".join(map(str, found)))
    else:
        tell(f"nothing keeps these sources from landing: {', '.join(names)}")
    sys.exit(1 if found else 0)


@click.command()
@click.argument("source")
@from_option
@to_option
@click.option(
    "--by-day",
    is_flag=True,
    help="Land each day on its own: it is then replayed, held or retracted without the others.",
)
def ingest(source: str, start: str, end: str, by_day: bool) -> None:
    """Land one window of SOURCE in bronze: orders, clickstream, or one that a contract locates. Landing it again brings only what is new.

    However long the window is, its rows are one batch per dataset. With --by-day each day of it is a window; one that fails ends the command,
    and the days before it have landed.
    """
    home, window = Home.from_environment(), Window.parse(start, end)
    wake_shop(home)
    for part in [day.within(window) for day in window.days()] if by_day else [window]:
        landing = sources.ingest(source, part, home, now(), say)
        said = f"{source}, {part.date}" if by_day else source
        tell(
            f"{said}: {landing.records} records in {len(landing.new)} new batches; {len(landing.manifests)} batches hold the window"
        )


@click.command()
@from_option
@to_option
def sweep(start: str, end: str) -> None:
    """Do what the nightly sweep does: land each day again, count its source, and find deletions.

    Earlier days that have landed are checked too, as far back as each contract's lateness. A source that fails does not
    stop the others; then the exit status is 1.
    """
    home, window, failed = Home.from_environment(), Window.parse(start, end), []
    wake_shop(home)
    for source in sources.SOURCES:
        try:
            landing = sources.sweep(source, window, home, now(), say)
        except ClearwellError as error:
            say(f"error: {error}")
            failed.append(source)
        else:
            tell(f"{source}: {landing.records} records in {len(landing.new)} new batches")
    if failed:
        say(f"not swept: {', '.join(failed)}. Next: fix the errors above, then run the same command again")
        sys.exit(1)
    tell(f"{NEXT}; then clearwell status lists what differs from the sources")


@click.command()
@from_option
@to_option
@click.option("--apart", is_flag=True, help="Allow a window more than a week away from the landed data.")
@click.pass_context
def run(ctx: click.Context, start: str, end: str, apart: bool) -> None:
    """Ingest every source, then build. A source that fails does not stop the others; then the exit status is 1.

    A window that is surely a mistake is refused before anything is done: one that is empty, has not ended, lies before all
    data, or is far from what has landed. Where many files of clicks wait, they land in a process of their own, beside the others.
    """
    from cli import beside  # the other commands need not wait for the imports of a landing of files

    home, names, window = Home.from_environment(), sources.SOURCES, Window.parse(start, end)
    windows.check_past(window, now())
    wake_shop(home)
    windows.check_place(home, window, apart=apart)
    large = beside.large(home, names, window)
    with beside.landing(large, start, end, debug=ctx.find_root().params["debug"]) if large else nullcontext() as other:
        landed = {source: _landed(ctx, source, start, end) for source in names if source != large}
        if other:
            landed[large] = other()
    failed = [source for source in names if not landed[source]]
    if len(failed) < len(names):
        ctx.invoke(build)
    if failed:
        say(f"not landed: {', '.join(failed)}. Next: fix the errors above, then run the same command again")
        sys.exit(1)


def _landed(ctx: click.Context, source: str, start: str, end: str) -> bool:
    try:
        ctx.invoke(ingest, source=source, start=start, end=end, by_day=False)
    except ClearwellError as error:
        say(f"error: {error}")
        return False
    return True


@click.command("heal")
@click.option(
    "--to",
    "end",
    metavar="T",
    callback=named_date,
    help="Also what is missing after the latest window, up to here, not included.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be ingested.")
@json_option
@click.pass_context
def heal_windows(ctx: click.Context, end: str | None, dry_run: bool, as_json: bool) -> None:
    """Ingest the windows that are missing or lack files, then build."""
    home = Home.from_environment()
    found = heal.needed(home, parse_time(end) if end else None)
    rows = [{"source": one.source, "from": one.window.start, "to": one.window.end, "why": one.why} for one in found]
    show(rows, as_json=as_json, title="to be ingested", nothing="no window is missing or incomplete")
    if dry_run or not found:
        return
    wake_shop(home)
    build_and_exit(ctx, heal.heal(home, found, now(), say), "not healed")
