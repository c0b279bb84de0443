"""What a contract promises its readers, and what follows where it says nothing."""

from datetime import timedelta
from pathlib import Path

import pytest

from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.fields import Fields
from ingestion.releases import _shape
from ingestion.service_level import ServiceLevel, read_service_level

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def read(meta: dict, cadence: timedelta = HOUR) -> ServiceLevel:
    return read_service_level(Fields(meta, Path("staging_orders.yml"), "orders"), cadence, 0.02)


@pytest.mark.parametrize(("cadence", "freshness"), [(HOUR, 3 * HOUR), (DAY, DAY)])
def test_without_one_it_follows_from_the_cadence_and_the_breaker(cadence: timedelta, freshness: timedelta) -> None:
    assert read({}, cadence) == ServiceLevel(freshness, 0.999, 0.02, 28 * DAY)


def test_it_is_read_whole() -> None:
    said = {"freshness": "90 minutes", "completeness": 1, "error_budget": {"share": 0, "over": "7 days"}}
    assert read({"service_level": said}) == ServiceLevel(timedelta(minutes=90), 1.0, 0.0, 7 * DAY)


@pytest.mark.parametrize(
    ("said", "field", "what"),
    [
        ({"fresh": "3 hours"}, "orders.service_level.fresh", "did you mean freshness"),
        ({"freshness": "soon"}, "orders.service_level.freshness", "is not a duration"),
        ({"completeness": 99.9}, "orders.service_level.completeness", "must be a share from 0 to 1"),
        ({"error_budget": {"share": "1 %"}}, "orders.service_level.error_budget.share", "must be a share"),
        ({"error_budget": {"over": "12 hours"}}, "orders.service_level.error_budget.over", "give whole days"),
        ("3 hours", "orders.service_level", "must be a mapping"),
    ],
)
def test_what_is_wrong_names_the_field(said: object, field: str, what: str) -> None:
    with pytest.raises(Permanent) as caught:
        read({"service_level": said})
    assert field in caught.value.what and what in caught.value.what


def test_the_contracts_that_ship_declare_theirs_and_a_change_needs_no_new_version() -> None:
    from dataclasses import replace

    contracts = read_contracts()
    shop = [contracts[name] for name in ("orders", "order_items", "customers", "products", "clickstream")]
    assert {one.service_level.freshness for one in shop} == {3 * HOUR}
    assert contracts["exchange_rates"].service_level.freshness == DAY
    for one in contracts.values():
        slower = replace(one, service_level=replace(one.service_level, freshness=9 * DAY))
        assert _shape(slower) == _shape(one)
