"""The commands about datasets ask before they write, and show what was found as a table or as JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli import datasets as commands
from cli.main import main
from operations.propose import Proposal

ROWS = "Parcel ID,created_at,E-Mail\np1,2026-11-01T10:00:00Z,a@example.org\np2,2026-11-02T10:00:00Z,b@example.org\n"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Proposal]:
    """Return the proposals that were written, instead of writing them."""
    found: list[Proposal] = []

    def write(proposal: Proposal) -> tuple[Path, ...]:
        found.append(proposal)
        return (Path("models/x.yml"),)

    monkeypatch.setattr("operations.datasets.write", write)
    return found


@pytest.fixture
def add(tmp_path: Path) -> Callable[..., Result]:
    path = tmp_path / "parcels.csv"
    path.write_text(ROWS)

    def run(*more: str, body: str = ROWS) -> Result:
        path.write_text(body)
        return CliRunner().invoke(main, ["datasets", "add", "parcels", "--from", str(path), *more])

    return run


def test_a_dry_run_shows_and_writes_nothing(add: Callable[..., Result], written: list[Proposal]) -> None:
    shown = add("--dry-run")
    assert shown.exit_code == 0 and written == []
    for part in (
        "2 rows",
        "first rows",
        "a@example.org",
        "parcel_id",
        "e_mail is personal data",
        "to decide",
        "nothing was",
    ):
        assert part in shown.output


def test_it_writes_after_yes_or_where_nobody_can_be_asked(
    add: Callable[..., Result], written: list[Proposal], monkeypatch: pytest.MonkeyPatch
) -> None:
    for more in ((), ("--yes",), ("--json",)):
        shown = add(*more)
        assert shown.exit_code == 0 and len(written) == 1
        written.clear()
    assert json.loads(shown.output)["written"] == ["models/x.yml"]
    assert "clearwell datasets check parcels" in add("--yes").output
    written.clear()
    monkeypatch.setattr(commands, "_is_terminal", lambda: True)
    for answer in (False, True):
        monkeypatch.setattr(click, "confirm", lambda _, answer=answer: answer)
        assert add().exit_code == 0 and len(written) == answer


def test_what_the_user_says_counts(add: Callable[..., Result], written: list[Proposal]) -> None:
    shown = add("--json", "--key", "e_mail,Parcel_ID")
    assert shown.exit_code == 1 and "--key names Parcel_ID" in shown.output
    shown = add(
        "--json", "--key", "e_mail, Parcel ID", "--source", "post", "--owner", "team", "--version", "created_at"
    )
    found = json.loads(shown.output)
    assert (found["key"], found["version"]) == (["e_mail", "parcel_id"], "created_at")
    assert (found["source"], found["owner"], written[0].source) == ("post", "team", "post")


def test_what_has_no_key_is_one_line_with_the_candidates(add: Callable[..., Result], written: list[Proposal]) -> None:
    shown = add("--yes", body="parcel_id,weight\np1,1\np1,2\np2,3\n")
    assert shown.exit_code == 1 and written == [] and shown.output.count("\n") == 1
    assert "of 3 rows, by parcel_id, 1 collide" in shown.output and "--key parcel_id" in shown.output


def test_the_list_has_every_dataset() -> None:
    shown = CliRunner().invoke(main, ["datasets", "list", "--json"])
    rows = {one["dataset"]: one for one in json.loads(shown.output)}
    assert rows["orders"]["kind"] == "table" and rows["clickstream"]["cadence"] == "1 hour"
    assert list(rows["exchange_rates"]) == [
        "dataset",
        "source",
        "kind",
        "format",
        "key",
        "event_time",
        "cadence",
        "owner",
    ]
