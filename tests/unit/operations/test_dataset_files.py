"""The files of a new dataset say what was proposed, and dbt_project.yml keeps its layout."""

import re
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.contract import PROJECT, Contract, read_contract
from ingestion.errors import Permanent
from operations.dataset_files import date_column, files, with_dataset
from operations.propose import Asked, Proposal, propose
from operations.samples import Sample

NOW = datetime(2026, 11, 3, tzinfo=UTC)


def proposal(columns: tuple[str, ...], *rows: tuple[str | None, ...], key: tuple[str, ...] = ()) -> Proposal:
    asked = Asked("orders_in", "${X}/{date}.csv", key=key)
    return propose(asked, Sample(asked.place, "csv", columns, rows), NOW)


DATED = proposal(
    ("Order ID", "created at", "E-Mail", "total", "currency", "orders_in_date"),
    ("o1", "2026-11-01T10:00:00Z", "a@example.org", "1.5", "EUR", "x"),
    ("o2", "2026-11-01T10:00:00Z", "b@example.org", "2", "EUR", "x"),
)


def read(proposal: Proposal, folder: Path) -> Contract:
    path = folder / "staging_orders_in.yml"
    path.write_text(files(proposal)[PurePosixPath("models/staging/staging_orders_in.yml")])
    return read_contract(path)


def test_the_contract_says_what_was_proposed(tmp_path: Path) -> None:
    found = read(DATED, tmp_path)
    assert (found.key, found.event_time, found.version_column) == (("order_id",), "created_at", "file_time")
    assert found.settings.location == "${X}/{date}.csv" and found.kind == "file"
    assert found.money and (found.money.column, found.money.currency) == ("total", "currency")
    columns = {one.name: one for one in found.columns}
    assert columns["order_id"].source_names == ("Order ID",) and columns["order_id"].required
    assert columns["total"].source_names == () and columns["e_mail"].personal
    assert (
        columns["order_id"].description
        == "The source of orders_in calls it Order ID, here order_id; identifies a record."
    )


def test_a_contract_says_how_values_are_written(tmp_path: Path) -> None:
    found = read(
        proposal(("Art", "Preis", "bezahlt"), ("Tasse", "2,50", "yes"), ("Tasse", "N/A", "no"), key=("row",)), tmp_path
    )
    columns = {one.name: one for one in found.columns}
    assert found.key == ("row_id",) and columns["row_id"].is_row_id and found.version_column is None
    assert (columns["preis"].decimal, columns["preis"].missing) == (",", ("N/A",))
    assert columns["bezahlt"].values == (("true", ("yes",)), ("false", ("no",)))


def test_a_dated_dataset_has_a_plan_of_dates_and_an_undated_one_has_none() -> None:
    names = {path.name for path in files(DATED)}
    undated = proposal(("id", "a"), ("1", "x"), ("2", "y"))
    assert names - {path.name for path in files(undated)} == {"plan_orders_in_dates.sql", "plan_orders_in_dates.yml"}
    assert len(names) == 11
    silver = yaml.safe_load(files(undated)[PurePosixPath("models/silver/silver_orders_in.yml")])["models"][0]
    assert silver["config"]["meta"]["apply"] == {"match": "plan_keys_orders_in", "by": ["id"]}
    # the source has a column of the date's usual name
    assert date_column(DATED) == "orders_in_date_utc"


def test_every_described_column_has_its_block() -> None:
    made = files(DATED)
    known = {
        *re.findall(r"{% docs (\w+) %}", made[PurePosixPath("models/staging/staging_orders_in.md")]),
        *(name for path in PROJECT.rglob("*.md") for name in re.findall(r"{% docs (\w+) %}", path.read_text())),
    }
    for path, text in made.items():
        if path.suffix == ".yml":
            named = re.findall(r"doc\('(\w+)'\)", text)
            assert named and set(named) <= known, path


HEADERS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text(" :#{}[],&*!|>'%@`-?yno", max_size=6),
    min_size=1,
    max_size=6,
    unique=True,
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(HEADERS, st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10))
def test_any_header_and_value_make_a_contract(
    tmp_path_factory: pytest.TempPathFactory, headers: list[str], value: str
) -> None:
    columns = ("id", *(one for one in headers if one != "id"))
    rows = [(f"{number}", *[value] * (len(columns) - 1)) for number in range(2)]
    made = proposal(columns, *rows, key=("id",))
    contract = read(made, tmp_path_factory.mktemp("any"))
    assert [one.name for one in contract.columns] == [one.name for one in made.columns]
    for mine, one in zip(contract.columns, made.columns, strict=True):
        assert one.header is None or mine.at_source == (one.header,)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("vars:\n  # all\n  datasets: [b, d]  # c\n  x: 1\n", "vars:\n  # all\n  datasets: [b, c, d]  # c\n  x: 1\n"),
        ("vars:\n  datasets: [a, b]\n", "vars:\n  datasets: [a, b, c]\n"),
        ("vars:\n  datasets: []\n", "vars:\n  datasets: [c]\n"),
        ("vars:\n  datasets: [\n    a,\n    cc,\n  ]\n", "vars:\n  datasets: [\n    a,\n    c, cc,\n  ]\n"),
        ("vars:\n  datasets:\n    - a\n    - b\n  x: 1\n", "vars:\n  datasets:\n    - a\n    - b\n    - c\n  x: 1\n"),
    ],
)
def test_the_list_of_datasets_keeps_its_layout(before: str, after: str) -> None:
    assert with_dataset(before, "c") == after


def test_the_projects_own_list_is_found() -> None:
    text = (PROJECT / "dbt_project.yml").read_text()
    found = yaml.safe_load(with_dataset(text, "invoices"))
    assert found["vars"].pop("datasets") == sorted([*yaml.safe_load(text)["vars"]["datasets"], "invoices"])
    with pytest.raises(Permanent, match="was not found"):
        with_dataset("vars: {}\n", "c")
