"""How the home is."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from cli.context import now
from cli.options import json_option
from ingestion.home import Home
from operations import damage, status
from operations.output import say, show, show_one, tell


@click.command("status")
@json_option
def show_status(as_json: bool) -> None:
    """Say how far the data is complete, what the last build found, and whether all is well (exit status 0)."""
    found = status.read(Home.from_environment(), now())
    if as_json:
        show_one(found, as_json=True)
    elif {"state", "published"} & {one["kind"] for one in found["broken"]}:
        _show_broken(found["broken"])
        click.echo("not healthy; what is damaged hides the rest")
    else:
        _show_broken(found["broken"])
        show(
            found["datasets"],
            as_json=False,
            title="complete until",
            nothing="nothing is published yet. Next: clearwell build",
        )
        show(found["builds"], as_json=False, title="last build", nothing="no build yet")
        show(found["findings"], as_json=False, title="open findings", nothing="no open findings")
        if found["held"]:
            show(found["held"], as_json=False, title="held: too many records are refused, or a check fails")
            say(
                "Next: fix the source and ingest the window again, or fix the contract and clearwell build --from DATE --to DATE "
                "--reason TEXT; or clearwell builds accept FINDING --reason TEXT; or clearwell batches retract BATCH --reason TEXT"
            )
        if found["differences"]:
            show(found["differences"], as_json=False, title="not reconciled: the source counts other than what landed")
            say(
                "Next: clearwell sweep --from DATE --to DATE and clearwell build count again; "
                "or clearwell builds accept FINDING --reason TEXT"
            )
        if found["stale"]:
            show(found["stale"], as_json=False, title="dates under an older contract or model version")
            say("Next: clearwell build --from DATE --to DATE --reason TEXT, or --full, makes them again")
        if found["pinned"]:
            pin = found["pinned"]
            say(f"readers are given build {pin['build_id']} since {pin['pinned_at']}: {pin['reason']}")
        tell(f"{found['batches_waiting']} batches wait for a build")
        if found["late"]:
            say(
                "Next: clearwell heal lands what is missing; clearwell heal --dry-run names the files that cannot be read"
            )
        tell("healthy" if found["healthy"] else f"not healthy; late: {', '.join(found['late']) or 'none'}")
    sys.exit(0 if found["healthy"] else 1)


def _show_broken(rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        show(rows, as_json=False, title="damaged")
        say(f"Next: {damage.NEXT}")
