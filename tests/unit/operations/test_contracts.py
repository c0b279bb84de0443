"""A proposed contract is parsed aside; the records that it would refuse or rescue are counted by reason and money."""

import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.contract import PROJECT
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.manifest import Manifest
from operations import contracts
from tests.pipeline.delivery import LINE, WINDOW, land_rows
from warehouse import state

AT = datetime(2026, 11, 3, tzinfo=UTC)
NAME = "order_items"
FIRST, END = WINDOW.date, WINDOW.days()[-1].end.date()
# Of each record: its number, and the reasons why the proposed contract refuses it and why the state's contract did.
RECORDS: list[tuple[int, list[str] | None, list[str] | None]] = [
    (1, None, None),
    (2, ["missing:product_id"], None),
    (3, ["missing:product_id"], None),
    (4, ["missing:product_id", "out_of_range:quantity"], None),
    (5, None, ["not_parsed:quantity"]),
    (6, ["not_parsed:quantity"], ["not_parsed:quantity"]),
    (7, ["missing:product_id"], ["not_parsed:quantity"]),
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home with a batch of lines in the state, and another that waits."""
    home = Home(tmp_path / "home", tmp_path / "landing")
    taken, _ = (land_rows(home, NAME, LINE, [dict.fromkeys(LINE, text)], AT) for text in ("1", "2"))
    with duckdb.connect(str(home.state)) as connection:
        connection.execute(f"""
            create schema ops; create schema records;
            create table ops.batches as select '{taken}' as batch_id;
            create table records.refused (
                dataset varchar, batch_id varchar, record_no bigint, reasons varchar[], currency varchar, amount decimal(38, 4)
            );
            insert into records.refused values ('orders', '{taken}', 1, ['missing:currency'], 'EUR', 1)
        """)
        for number, _, reasons in RECORDS:
            if reasons:
                values = [NAME, taken, number, reasons, "EUR", number]
                connection.execute("insert into records.refused values (?, ?, ?, ?, ?, ?)", values)
    return home


class Aside:
    """Stand-in for `parse_aside`: keep what it is given, and answer the query as if dbt had parsed the batches."""

    contract: str
    batches: list[str]

    def __call__(
        self, home: Home, project: Path, dataset: str, manifests: Sequence[Manifest], query: str, _now: datetime
    ) -> list[state.Row]:
        self.contract = (project / "models" / "staging" / f"staging_{dataset}.yml").read_text()
        assert (project / "macros" / "parse.sql").exists() and project.is_relative_to(home.staging)
        self.batches = [one.batch_id for one in manifests]
        with duckdb.connect() as connection:
            connection.execute(f"attach '{home.state}' as state (read_only)")
            connection.execute("attach ':memory:' as scratch")
            connection.execute(f"""
                create schema scratch.staging; create schema plan;
                create table plan.batches as select '{self.batches[0]}' as batch_id;
                create table scratch.staging.{dataset} (
                    batch_id varchar, record_no bigint, reasons varchar[], money_currency varchar, money_amount decimal(38, 4), raw varchar
                );
                insert into scratch.staging.{dataset} values ('other', 1, ['missing:order_id'], 'EUR', 1, '')
            """)
            for number, reasons, _ in RECORDS:
                values: list[Any] = [self.batches[0], number, reasons, "USD" if number == 3 else "EUR", number, ""]
                connection.execute(f"insert into scratch.staging.{dataset} values (?, ?, ?, ?, ?, ?)", values)
            return state.rows(connection, query)


@pytest.fixture
def aside(monkeypatch: pytest.MonkeyPatch) -> Aside:
    found = Aside()
    monkeypatch.setattr(contracts, "parse_aside", found)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "proposed.yml"
    shutil.copyfile(PROJECT / "models" / "staging" / f"staging_{NAME}.yml", path)
    path.write_text(path.read_text().replace("lateness: 2 days", "lateness: 3 days"))
    return path


def test_newly_refused_and_rescued_records_are_counted_by_reason_and_currency(
    home: Home, aside: Aside, file: Path
) -> None:
    rows = contracts.propose(home, file, FIRST, END, AT)
    assert aside.contract == file.read_text() and "lateness: 3 days" in aside.contract
    (taken,) = aside.batches
    refused = "missing:product_id"
    assert [tuple(row.values()) for row in rows] == [
        ("refused", refused, 1, "EUR", Decimal(2), f"{taken}:2"),
        ("refused", refused, 1, "USD", Decimal(3), f"{taken}:3"),
        ("refused", f"{refused}, out_of_range:quantity", 1, "EUR", Decimal(4), f"{taken}:4"),
        ("rescued", "not_parsed:quantity", 1, "EUR", Decimal(5), f"{taken}:5"),
    ]
    assert list(home.staging.iterdir()) == []


def test_dates_without_a_batch_of_the_state_are_refused(home: Home, aside: Aside, file: Path) -> None:
    for first, end in ((date(2020, 1, 1), FIRST), (END, date(2030, 1, 1))):
        with pytest.raises(Permanent, match="is in the state"):
            contracts.propose(home, file, first, end, AT)


def test_a_contract_of_an_unknown_dataset_is_refused(home: Home, aside: Aside, file: Path) -> None:
    file.write_text(file.read_text().replace(f"- name: {NAME}", "- name: order_lines"))
    with pytest.raises(Permanent, match="there is no dataset 'order_lines'") as caught:
        contracts.propose(home, file, FIRST, END, AT)
    assert caught.value.where == str(file) and NAME in caught.value.todo
