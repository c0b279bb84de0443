"""Follow docs/new-dataset.md in a separate checkout: without new Python, the dataset gets all that others have."""

import json
import re
from pathlib import Path

import pytest

from tests.pipeline import checkout as own
from tests.pipeline.checkout import ROOT, make_checkout, run

PAGE = (ROOT / "docs" / "new-dataset.md").read_text()
LIST_DAGS = """
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("dags")
assert not bag.import_errors, bag.import_errors
print("answer", *sorted(bag.dags))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_reviews(tmp_path_factory.mktemp("checkout"))


def with_reviews(folder: Path) -> Path:
    """Return a checkout with the dataset of the page."""
    root = make_checkout(folder, PAGE)
    project = root / "dbt_project" / "dbt_project.yml"
    text = project.read_text()
    for joins, list_start in (("datasets", "  datasets: ["), ("restated", "  restated:\n")):
        (entry,) = re.findall(rf"add `([^`]+)` to `vars.{joins}`", PAGE)
        assert list_start in text
        text = text.replace(list_start, list_start + (f"{entry}, " if list_start.endswith("[") else f"    {entry}\n"))
    project.write_text(text)
    return root


def type_in(checkout: Path, *commands: str) -> list[tuple[str, int]]:
    return own.type_in(checkout, *commands, REVIEWS=str(checkout / "reviews"))


@pytest.fixture(scope="module")
def followed(checkout: Path) -> Path:
    """Run every command of the page as written and in order; before them, run one that must fail."""
    (written,) = re.findall(r"^```\n(clearwell .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    unreleased, *answers = type_in(checkout, "clearwell contracts check", *written.splitlines())
    assert unreleased[1] == 1 and "clearwell contracts release reviews" in unreleased[0]
    assert [status for _, status in answers] == [0] * len(answers), answers
    return checkout


def test_gold_is_what_the_page_shows(followed: Path) -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:2] == "| "]
    shown, letters, suggested, trace, refused_trace, restated = type_in(
        followed,
        'clearwell sql --json "from gold.daily_ratings order by all"',
        "clearwell dead-letters list --json",
        "clearwell dead-letters suggest --json",
        "clearwell trace r2 --json",
        "clearwell trace r4 --json",
        """clearwell sql --json "from ops.restatements where gold_table = 'daily_ratings'" """,
    )
    found = json.loads(shown[0])
    assert [list(found[0]), *([str(value) for value in row.values()] for row in found)] == rows
    assert [row["reasons"] for row in json.loads(letters[0])] == ["out_of_range:stars"]
    # the value is found under the partner's name; only its shape is told
    assert [row["value"] for row in json.loads(suggested[0])] == ["9"]
    refused = json.loads(refused_trace[0])
    assert [record["fate"] for record in refused] == ["dead_letter"]
    fates = {record["fate"] for record in json.loads(trace[0])}
    assert fates == {"current", "superseded"}
    assert {row["gold_date"] for row in json.loads(restated[0])} == {"2026-11-01"}


def test_a_number_is_traced_and_the_accounts_balance(followed: Path) -> None:
    behind, ledger, recounted = type_in(
        followed,
        "clearwell trace --gold daily_ratings --where true --json",
        "clearwell ledger --dataset reviews --json",
        "clearwell ledger --recount",
    )
    found = json.loads(behind[0])
    assert {row["count_reviews"] for row in found["records"]} == {"r1", "r2", "r3", "r5"} and found["differences"] == []
    (counts,) = json.loads(ledger[0])
    assert [counts[name] for name in ("bronze", "current", "superseded", "dead_letter")] == [6, 4, 1, 1]
    assert (ledger[1], recounted[1]) == (0, 0)


def test_everything_again_from_bronze_ends_in_the_same_hashes(followed: Path) -> None:
    before, _, after = type_in(
        followed, "clearwell hash --json", 'clearwell build --full --reason "test"', "clearwell hash --json"
    )
    assert before == after and "daily_ratings" in before[0]


def test_its_source_has_a_dag(checkout: Path) -> None:
    (dags,) = run(checkout, LIST_DAGS)
    assert "ingest_reviews" in dags.split()
