"""What is late, and what only looks old."""

from datetime import UTC, datetime

import pytest

from ingestion.contract import read_contracts
from operations.status import late_datasets

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONTRACTS = read_contracts()
FOR_EVER = {"orders": None, "clickstream": None, "exchange_rates": None}


def row(dataset: str, until: datetime | None) -> dict:
    return {"dataset": dataset, "complete_until": until}


@pytest.mark.parametrize(
    ("until", "is_late"),
    [
        (datetime(2026, 11, 18, 12), False),
        (datetime(2026, 11, 18, 11), True),
        (datetime(2011, 12, 10), True),
        (None, True),
    ],
)
def test_a_source_that_goes_on_is_late_after_two_days(until: datetime | None, is_late: bool) -> None:
    assert late_datasets([row("orders", until)], CONTRACTS, FOR_EVER, NOW) == ["orders"] * is_late


def test_what_expects_no_records_is_never_late() -> None:
    assert not CONTRACTS["customers"].expect_records_every
    assert late_datasets([row("customers", datetime(2011, 12, 10))], CONTRACTS, FOR_EVER, NOW) == []


def test_what_is_off_is_never_late() -> None:
    rows = [row("orders", datetime(2011, 12, 10)), row("clickstream", datetime(2011, 12, 10))]
    assert late_datasets(rows, CONTRACTS, {"orders": None}, NOW) == ["orders"]


@pytest.mark.parametrize(("until", "is_late"), [(datetime(2011, 12, 10), False), (datetime(2011, 12, 9), True)])
def test_what_has_ended_is_late_until_its_end_has_landed(until: datetime, is_late: bool) -> None:
    ends = {"orders": datetime(2011, 12, 10, tzinfo=UTC)}
    assert late_datasets([row("orders", until)], CONTRACTS, ends, NOW) == ["orders"] * is_late


def test_an_end_to_come_changes_nothing() -> None:
    ends = {"orders": datetime(2027, 1, 1, tzinfo=UTC)}
    assert late_datasets([row("orders", datetime(2026, 11, 1))], CONTRACTS, ends, NOW) == ["orders"]
