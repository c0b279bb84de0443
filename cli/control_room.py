"""The control room as a page."""

from pathlib import Path

import click

from cli.context import NewFile, now
from ingestion.home import Home
from operations import control_room
from operations.output import tell


@click.command("control-room")
@click.option(
    "--output",
    type=NewFile(),
    help=f"Write to this file, instead of {control_room.NAME} in the home.",
)
def write_control_room(output: Path | None) -> None:
    """Write one page that shows how everything is: complete, balanced, refused, held, unusual, and what to type about it.

    Each build writes it as well. It is one file, which a browser opens offline.
    """
    tell(f"wrote {control_room.write(Home.from_environment(), now(), output)}")
