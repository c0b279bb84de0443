"""The documentation of the models as a page."""

from pathlib import Path

import click

from cli.context import NewFile, now
from ingestion.home import Home
from operations.output import tell
from warehouse import build


@click.command("docs")
@click.option(
    "--output",
    type=NewFile(),
    help=f"Write to this file, instead of {build.DOCS} in the home.",
)
def write_docs(output: Path | None) -> None:
    """Write one page that documents every model: its columns, tests, SQL, and the graph of what it is made of.

    It is dbt's own documentation, which a browser opens offline. The DAG `maintain` writes it every night, and the control room
    links to it.
    """
    tell(f"wrote {build.write_docs(Home.from_environment(), now(), output)}")
