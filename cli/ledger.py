"""The accounts, and the content hashes."""

import sys

import click

from cli.context import now, tell_held
from cli.options import json_option
from ingestion.home import Home
from operations import hashes, ledger
from operations.output import say, show, with_first

# The columns of the money for which a narrow terminal has room.
_MONEY = ("dataset", "currency", "bronze", "difference", "current")


@click.command("ledger")
@click.option("--dataset", help="One dataset only.")
@click.option("--recount", is_flag=True, help="Count every record again and rebuild everything, to compare.")
@json_option
def show_ledger(dataset: str | None, recount: bool, as_json: bool) -> None:
    """Show what became of every record, and of the money. Exits with 1 if the accounts do not balance."""
    home = Home.from_environment()
    if recount:
        say("counting every record again, in the tables and in bronze")
        differences, balanced = ledger.recount(home)
        if not as_json:
            show(differences, as_json=False, title="accounts that differ", nothing="recounted: every account balances")
        say("rebuilding everything from bronze in another file, to compare each row")
        rows = ledger.recompute(home, now())
        balanced = balanced and not rows
        if as_json:
            show([*differences, *rows], as_json=True)
        else:
            show(rows, as_json=False, title="rows that differ", nothing="rebuilt: every row of every table is the same")
    else:
        rows, balanced = ledger.read(home, dataset)
        amounts, adds_up = ledger.money(home, dataset)
        balanced = balanced and adds_up
        if as_json:
            rows = [{**row, "money": [one for one in amounts if one["dataset"] == row["dataset"]]} for row in rows]
        nothing = "the ledger is empty. Next: clearwell build"
        show(rows if as_json else with_first(rows, ledger.FIRST), as_json=as_json, title="ledger", nothing=nothing)
        if amounts and not as_json:
            show(
                with_first(amounts, _MONEY),
                as_json=False,
                title="money, by the currency that each record names; order lines have the currency of their order",
            )
        if not as_json:
            tell_held(home)
    sys.exit(0 if balanced else 1)


@click.command("hash")
@click.option("--layer", type=click.Choice(hashes.LAYERS), help="One layer only.")
@json_option
def show_hash(layer: str | None, as_json: bool) -> None:
    """Show the content hash of each silver and gold table. The same records give the same hash, in any order."""
    show(hashes.read(Home.from_environment(), layer), as_json=as_json)
