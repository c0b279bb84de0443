"""Keep the state in a lake."""

import click

from cli.options import json_option
from ingestion.home import Home
from operations.output import say, show, tell
from warehouse import lakehouse, state


@click.group()
def lake() -> None:
    """Keep the state in a DuckLake, which several machines build and read at once: see docs/lakehouse.md."""


@lake.command("use")
@click.argument("connection")
@click.argument("files")
def use(connection: str, files: str) -> None:
    """Keep the state in the lake whose catalog is in the Postgres of CONNECTION, and its tables in FILES: a folder, or s3://bucket/prefix.

    It is created if the database has none. The home must have the bronze of the other machines.
    """
    home = Home.from_environment()
    file = home.root / "warehouse.duckdb"
    used = lakehouse.use(home, connection, files)
    tell(f"the state is in {used.files}, listed in the database of {used.catalog}")
    say("next: `clearwell build` builds what the lake does not have yet")
    if file.exists():
        say(f"{file} is not used any more: delete it once the lake is built")


@lake.command("builds")
@json_option
def builds(as_json: bool) -> None:
    """List the builds that can be asked with `clearwell sql --build BUILD QUERY`."""
    home = Home.from_environment()
    state.need(home)
    rows = [
        {"build": one.build_id, "snapshot": one.snapshot, "committed_at": one.committed_at}
        for one in lakehouse.builds(home.state)
    ]
    show(rows, as_json=as_json, title="builds in the lake", nothing="no builds")
