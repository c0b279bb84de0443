"""Show the health of the home."""

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import click

from cli.context import now
from cli.options import json_option
from ingestion.fields import say_age
from ingestion.home import Home
from operations import damage, status
from operations.output import say, show, show_one, tell, with_first

# The commands that fill an empty home.
_FIRST = "clearwell run --from DATE --to DATE, or clearwell demo"
# The number of refusal causes listed here; `dead-letters list` shows all.
_CAUSES = 5
# The watchdog looks every five minutes.
_UNWATCHED = timedelta(minutes=15)


@click.command("status")
@json_option
def show_status(as_json: bool) -> None:
    """Say how far the data is complete, what the last build found, and whether all is well (exit status 0)."""
    at = now()
    found = status.read(Home.from_environment(), at)
    if as_json:
        show_one(found, as_json=True)
    else:
        tell(f"home: {found['home']}")
        _show_broken(found["broken"])
        if {"state", "published"} & {one["kind"] for one in found["broken"]}:
            click.echo("not healthy: a damaged file keeps everything else from being checked")
        else:
            _show_data(found)
            _show_open(found)
            if found["builds"]:
                _show_watchdog(found["watched_at"], at)
            tell(_verdict(found))
    sys.exit(0 if found["healthy"] else 1)


def _show_broken(rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        show(rows, as_json=False, title="damaged")
        say(f"Next: {damage.NEXT}")


def _show_data(found: dict[str, Any]) -> None:
    """Show how far the published data is complete, and the last build's findings."""
    show(
        found["datasets"],
        as_json=False,
        title="complete until",
        nothing=f"nothing is published yet. Next: {_FIRST if not found['batches_waiting'] else 'clearwell build'}",
    )
    if missed := [one for one in found["service_levels"] if one["is_missed"]]:
        show(
            missed,
            as_json=False,
            title="service levels that are not kept",
        )
    show(found["builds"], as_json=False, title="last build", nothing="no build yet")
    show(with_first(found["findings"], _FINDING), as_json=False, title="open findings", nothing="no open findings")
    if found["findings"]:
        say(f"Next: clearwell builds show {found['findings'][0]['build_id']} shows the rows behind them")
    if found["refused"]:
        letters = [{**row, "since": row["since"] and row["since"].date()} for row in found["refused"]]
        total = sum(row["letters"] for row in letters)
        title = f"open refused lines: {total:,}, by cause"
        if len(letters) > _CAUSES:
            title += f"; the {_CAUSES} most frequent of {len(letters)}"
        show(letters[:_CAUSES], as_json=False, title=title)
        say("Next: clearwell dead-letters list")


def _show_watchdog(watched_at: datetime | None, at: datetime) -> None:
    """Say if no watchdog looks: then nobody is told when nothing new comes."""
    if watched_at is None:
        say(
            "No watchdog looks at this home, so nobody is told when nothing new comes. Next: run clearwell watch every five minutes"
        )
    elif at - watched_at > _UNWATCHED:
        say(
            f"The watchdog last looked {say_age(at - watched_at)} ago. Next: see that its timer runs; by hand, clearwell watch"
        )


def _show_open(found: dict[str, Any]) -> None:
    """Show what waits for a person, each with the commands that resolve it."""
    if found["held"]:
        show(found["held"], as_json=False, title="held batches: too many records are refused, or a check fails")
        say(
            "Next: fix the source and ingest the window again, or fix the contract and clearwell build --from DATE --to DATE "
            "--reason TEXT; or clearwell builds accept FINDING --reason TEXT; or clearwell batches retract BATCH --reason TEXT"
        )
    if found["differences"]:
        show(found["differences"], as_json=False, title="not reconciled: the source's count differs from what landed")
        say(
            "Next: count again with clearwell sweep --from DATE --to DATE and then clearwell build; "
            "or clearwell builds accept FINDING --reason TEXT"
        )
    if found["stale"]:
        show(found["stale"], as_json=False, title="stale: dates built under an older contract or model version")
        say("Next: rebuild them with clearwell build --from DATE --to DATE --reason TEXT, or with --full")
    if found["pinned"]:
        pin = found["pinned"]
        say(
            f"readers see build {pin['build_id']}, pinned at {pin['pinned_at']}: {pin['reason']}. Next: clearwell builds unpin"
        )
    if found["forgetting"]:
        say(
            f"not forgotten whole yet: {', '.join(found['forgetting'])} (receipts). Next: clearwell forget CUSTOMER --reason TEXT, "
            "with the same customer, which finishes it"
        )
    if found["batches_waiting"]:
        tell(f"{found['batches_waiting']} batches wait for a build. Next: clearwell build")
    if found["late"] and not found["gaps"]:
        say("Next: land the missing windows up to a date with clearwell heal --to DATE")


def _verdict(found: dict[str, Any]) -> str:
    """Return one line: whether all is well, and the next command if not."""
    gaps = len(found["gaps"])
    said = "healthy" if found["healthy"] else f"not healthy: {'; '.join(found['unhealthy'])}"
    if not gaps:
        return said
    return f"{said}{',' if found['healthy'] else ';'} with {gaps} gap{'s' if gaps > 1 else ''}: clearwell heal"


# The columns for which a narrow terminal has room.
_FINDING = ("result", "failed_rows", "check_name", "consequence", "message")
