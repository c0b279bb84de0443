"""The demo, and a local Airflow."""

import sys

import click

from cli.context import now
from ingestion.home import Home
from operations.output import say


@click.command()
@click.option(
    "--days", type=click.IntRange(1, 366), default=3, show_default=True, help="How many days before today to simulate."
)
def demo(days: int) -> None:
    """Simulate a shop for some days, run the pipeline on them through Airflow, and print what came out."""
    from operations import demo as scenario

    scenario.run(Home.from_environment(), now(), days, say)


@click.command()
def up() -> None:
    """Do the demo and leave it running: Airflow's UI on loopback, the shop producing as time passes."""
    from operations import demo as scenario

    scenario.up(Home.from_environment(), now, say)


@click.command()
def down() -> None:
    """Stop what `clearwell up` started, or is starting. All data stays."""
    from operations import demo as scenario

    scenario.down(Home.from_environment(), say)


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def airflow(arguments: tuple[str, ...]) -> None:
    """Run Airflow's own command on the Airflow that `clearwell up` started, as `clearwell airflow dags list`."""
    from operations.airflow import command

    sys.exit(command(Home.from_environment(), arguments))
