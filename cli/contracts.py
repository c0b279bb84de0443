"""Contracts and their versions."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from cli.context import now
from cli.options import from_option, json_option, to_option
from ingestion import releases
from ingestion.home import Home
from ingestion.window import Window
from operations import contracts
from operations.output import show, tell


@click.group("contracts")
def contract_group() -> None:
    """Check, release or try the contracts of datasets."""


@contract_group.command("check")
@json_option
def check_contracts(as_json: bool) -> None:
    """Check that no contract breaks the readers of its released versions. Exits with 1 if one does."""
    found = [asdict(one) for one in releases.check()]
    show(found, as_json=as_json, title="contracts that break", nothing="every contract keeps its released versions")
    sys.exit(1 if found else 0)


@contract_group.command("release")
@click.argument("dataset")
def release_contract(dataset: str) -> None:
    """Release the current contract of DATASET as its next version."""
    tell(f"{dataset}: version {releases.release(dataset)} is released. Next: commit it, then run clearwell build")


@contract_group.command("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@from_option
@to_option
@json_option
def try_contract(file: Path, start: str, end: str, as_json: bool) -> None:
    """Show which records of bronze the contract in FILE would have refused or rescued. Nothing is changed."""
    window = Window.parse(start, end)
    days = (window.start.date(), window.end.date())
    rows = contracts.propose(Home.from_environment(), file, *days, now())
    show(rows, as_json=as_json, title="what it would change", nothing="it would refuse and rescue nothing")
