"""What is late. How lateness is measured: tests/unit/warehouse/test_service_levels.py."""

from datetime import UTC, datetime
from pathlib import Path

from ingestion.contract import read_contracts
from ingestion.home import Home
from operations.status import late_datasets, service_level_of
from warehouse.service_levels import Level


def level(dataset: str, name: str, is_missed: bool) -> Level:
    return Level(dataset, name, "", "", 2.0 if is_missed else 0.0, is_missed)


def test_what_misses_its_freshness_is_late_and_nothing_else() -> None:
    levels = [
        level("orders", "freshness", True),
        level("clickstream", "freshness", False),
        level("clickstream", "error_budget", True),
        level("customers", "freshness", True),
    ]
    assert late_datasets(levels) == ["customers", "orders"]


def test_an_empty_home_has_no_levels(tmp_path: Path) -> None:
    contracts = read_contracts()
    assert (
        service_level_of(Home(tmp_path, tmp_path), contracts, {"orders": None}, datetime(2026, 1, 1, tzinfo=UTC)) == []
    )
