"""Forget a person."""

import click

from cli.context import by, now
from cli.options import json_option
from ingestion.errors import Permanent
from ingestion.home import Home
from operations import forget
from operations.forget import Outcome, Person, Place
from operations.output import say, show, tell


@click.command("forget")
@click.argument("person_id", metavar="CUSTOMER")
@click.option("--reason", metavar="TEXT", help="Why; kept with the decision and in the receipt.")
@click.option(
    "--column",
    default=forget.CUSTOMER,
    show_default=True,
    metavar="NAME",
    help="The column that has the id, such as visitor_id: any that a contract marks `personal: true`.",
)
@click.option(
    "--value",
    "values",
    multiple=True,
    metavar="TEXT",
    help="Another text that is this person's alone, such as an old e-mail address. May be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--check", is_flag=True, help="Only search the home for the person; exits with 1 if it is found.")
@json_option
def forget_person(
    person_id: str,
    reason: str | None,
    column: str,
    values: tuple[str, ...],
    dry_run: bool,
    check: bool,
    as_json: bool,
) -> None:
    """Forget a person: replace what is theirs, everywhere in the home, and write a receipt. This cannot be undone.

    Events and customer records become a mark, and count as withdrawn. Orders keep their money and lose the customer.
    Visitors who are linked to this customer alone are forgotten too. A copy of the state without old rows is published, and older
    published states are removed. A window that lands again does not bring the person back.

    The sources, and what you exported, are not changed: clean them yourself. If the command is stopped, type it again.
    """
    home, person = Home.from_environment(), Person(person_id, column, values)
    if check:
        places = forget.check(home, person)
        _show_places(places, as_json=as_json)
        if any(not one.is_source for one in places):
            raise SystemExit(1)
    elif dry_run:
        _show(forget.preview(home, person), as_json=as_json, title="would be replaced")
    else:
        if not reason:
            raise Permanent("forgetting a person needs a reason", todo="give --reason")
        outcome = forget.forget(home, person, by(reason), say, now)
        _show(outcome, as_json=as_json, title="replaced")
        tell(f"The person is forgotten. The receipt: {outcome.file}")
    if not as_json and not check and not dry_run and outcome.places:
        tell("A source still has the person: clean it as well. Landing it again does not bring the person back.")


def _show(outcome: Outcome, *, as_json: bool, title: str) -> None:
    rows = [
        {"dataset": one.dataset, "becomes": one.becomes, "records": one.records, "batches": one.batches}
        for one in outcome.found
    ]
    show(rows, as_json=as_json, title=title, nothing="no record in bronze has the person")
    if not as_json:
        _show_places(outcome.places, as_json=False)


def _show_places(places: tuple[Place, ...] | list[Place], *, as_json: bool) -> None:
    rows = [{"file": one.path, "found_in": one.where, "is_source": one.is_source} for one in places]
    show(rows, as_json=as_json, title="found in", nothing="the person is found in no file")
