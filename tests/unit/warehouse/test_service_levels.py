"""Service levels against plain arithmetic: freshness, completeness and the error budget."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from ingestion.contract import read_contracts
from warehouse import service_levels
from warehouse.service_levels import Counted, Progress, Refusals

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
CONTRACTS = read_contracts()
ORDERS = CONTRACTS["orders"]  # hourly, three hours to publish


@pytest.mark.parametrize(
    ("behind", "is_missed", "burn_rate"),
    [
        (0 * HOUR, False, 0.0),
        (1 * HOUR, False, 0.0),
        (2.5 * HOUR, False, 0.5),
        (4 * HOUR, False, 1.0),
        (4 * HOUR + timedelta(minutes=1), True, 1.01),
        (25 * HOUR, True, 8.0),
    ],
)
def test_a_window_has_to_be_published_within_the_limit_after_its_end(
    behind: timedelta, is_missed: bool, burn_rate: float
) -> None:
    found = service_levels.freshness(Progress("orders", NOW - behind, NOW - 1000 * HOUR), ORDERS, NOW)
    assert (found.is_missed, found.burn_rate) == (is_missed, burn_rate)


def test_history_that_was_loaded_was_promised_to_nobody() -> None:
    """What landed today about last year is not late; what has been due since the first landing is."""
    landed = NOW - 2 * HOUR
    assert not service_levels.freshness(Progress("orders", NOW - 9000 * HOUR, landed), ORDERS, NOW).is_missed
    assert service_levels.freshness(Progress("orders", NOW - 9000 * HOUR, landed), ORDERS, NOW + 3 * HOUR).is_missed


def test_a_gap_in_the_history_that_was_loaded_is_late_at_once() -> None:
    """A file that cannot be read, or a window that was left out, among windows that landed."""
    landed = NOW - HOUR
    for until in (NOW - 9000 * HOUR, None):
        assert service_levels.freshness(Progress("orders", until, landed, has_gap=True), ORDERS, NOW).is_missed
    recent = Progress("orders", NOW - 2 * HOUR, landed, has_gap=True)
    assert not service_levels.freshness(recent, ORDERS, NOW).is_missed


def test_a_dataset_without_a_whole_window_is_late_too() -> None:
    assert service_levels.freshness(Progress("orders", None, NOW - 5 * HOUR), ORDERS, NOW).is_missed


@pytest.mark.parametrize(
    ("until", "end", "is_missed"),
    [
        (datetime(2011, 12, 10, tzinfo=UTC), datetime(2011, 12, 10, tzinfo=UTC), False),
        (datetime(2011, 12, 9, tzinfo=UTC), datetime(2011, 12, 10, tzinfo=UTC), True),
        (NOW - 100 * HOUR, NOW + 1000 * HOUR, True),
    ],
)
def test_after_the_end_of_a_source_nothing_is_due(until: datetime, end: datetime, is_missed: bool) -> None:
    progress = Progress("orders", until, datetime(2011, 1, 1, tzinfo=UTC))
    assert service_levels.freshness(progress, ORDERS, NOW, end).is_missed is is_missed


@pytest.mark.parametrize(("missing", "rate", "is_missed"), [(0, 0.0, False), (100, 1.0, False), (150, 1.5, True)])
def test_completeness_is_measured_against_the_sources_own_count(missing: int, rate: float, is_missed: bool) -> None:
    found = service_levels.completeness(Counted("orders", 100_000, missing), ORDERS)
    assert (found.burn_rate, found.is_missed) == (rate, is_missed)


def refusals(*shares: float, records: int = 10_000) -> list[Refusals]:
    """One row per date, the last one today."""
    days = len(shares)
    return [
        Refusals("orders", NOW.date() - timedelta(days=days - 1 - place), records, round(records * share))
        for place, share in enumerate(shares)
    ]


@pytest.mark.parametrize(
    ("shares", "rate", "is_missed"),
    [
        ((0.0,) * 28, 0.0, False),
        ((0.004,) * 28, 0.8, False),
        ((0.006,) * 28, 1.2, True),
        ((*(0.0,) * 27, 0.06), 0.43, False),
        ((*(0.0,) * 27, 0.08), 0.57, True),  # the last date alone would use up the budget in two days
        ((0.5, *(0.0,) * 28), 0.0, False),  # before the span
    ],
)
def test_the_error_budget_is_a_share_over_a_span(shares: tuple[float, ...], rate: float, is_missed: bool) -> None:
    assert ORDERS.service_level.error_share == 0.005
    found = service_levels.error_budget(refusals(*shares), "orders", ORDERS, NOW.date())
    assert (found.burn_rate, found.is_missed) == (rate, is_missed)


def test_a_handful_of_records_says_nothing_about_a_share() -> None:
    assert not service_levels.error_budget(refusals(0.5, records=100), "orders", ORDERS, NOW.date()).is_missed


def test_where_nothing_may_be_refused_one_record_is_too_much() -> None:
    strict = replace(ORDERS, service_level=replace(ORDERS.service_level, error_share=0.0))
    assert service_levels.error_budget(refusals(0.001), "orders", strict, NOW.date()).is_missed
    assert not service_levels.error_budget(refusals(0.0), "orders", strict, NOW.date()).is_missed


OPS = """
    create schema ops;
    create table ops.completeness as select 'orders' as dataset, timestamp '2026-11-20 10:00' as complete_until, 0 as holes, 0 as short_windows;
    create table ops.batches as from (values
        ('orders', 'b1', 'orders', timestamp '2026-11-19 01:00'), ('orders', 'b2', 'orders', timestamp '2026-11-20 10:01'),
        ('orders', 'c1', 'corrections', timestamp '2020-01-01 00:00')
    ) as t(dataset, batch_id, source, landed_at);
    create table ops.ledger as from (values
        ('orders', date '2026-11-19', 'current', 90), ('orders', date '2026-11-19', 'dead_letter', 10),
        ('orders', date '2026-11-20', 'current', 50), ('orders', date '2020-01-01', 'dead_letter', 99)
    ) as t(dataset, record_date, fate, records);
    create table ops.reconciliation as from (values
        ('orders', date '2026-11-19', 100, 3), ('orders', date '2026-11-18', 100, -3),
        ('orders', date '2026-11-17', 100, 7), ('orders', date '2026-11-16', null, null)
    ) as t(dataset, record_date, source_records, source_difference);
    create table ops.differences as from (values ('orders', date '2026-11-17', true)) as t(dataset, event_date, is_accepted);
"""


def test_the_published_tables_are_read(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "published.duckdb")) as connection:
        connection.execute(OPS)
        found = service_levels.read(connection, CONTRACTS, NOW)
    until, first = datetime(2026, 11, 20, 10, tzinfo=UTC), datetime(2026, 11, 19, 1, tzinfo=UTC)
    assert found.progress == {"orders": Progress("orders", until, first)}
    # the accepted difference is no loss, and a surplus makes up for nothing
    assert found.counted == {"orders": Counted("orders", 300, 3)}
    assert found.refusals == {
        "orders": (
            Refusals("orders", date(2026, 11, 19), 100, 10),
            Refusals("orders", date(2026, 11, 20), 50, 0),
        )
    }


def test_a_build_is_measured_as_it_will_be_once_it_is_applied(tmp_path: Path) -> None:
    """Rows that the build writes again replace those of the state; the rest of the state counts too."""
    with duckdb.connect(str(tmp_path / "state.duckdb")) as connection:
        connection.execute(OPS)
    with duckdb.connect(str(tmp_path / "build.duckdb")) as connection:
        connection.execute(OPS)
        for table in ("batches", "ledger", "reconciliation"):
            connection.execute(f"delete from ops.{table}")
        connection.execute("insert into ops.ledger values ('orders', date '2026-11-20', 'dead_letter', 5)")
        connection.execute("insert into ops.batches values ('orders', 'b3', 'orders', timestamp '2026-11-20 11:00')")
        connection.execute("create schema plan")
        connection.execute("create table plan.batches as select 'orders' as dataset, 'b3' as batch_id")
        connection.execute("create table plan.touched as select 'orders' as dataset, date '2026-11-20' as record_date")
        connection.execute("create table plan.reconciled as from plan.touched")
        connection.execute(f"attach '{tmp_path}/state.duckdb' as state (read_only)")
        found = service_levels.read_built(connection, "state", CONTRACTS, NOW)
    assert found.progress["orders"].first_landed_at == datetime(2026, 11, 19, 1, tzinfo=UTC)
    assert found.refusals["orders"][-1] == Refusals("orders", date(2026, 11, 20), 5, 5)
    assert found.refusals["orders"][0] == Refusals("orders", date(2026, 11, 19), 100, 10)
    assert found.counted["orders"] == Counted("orders", 300, 3)


def test_a_file_without_these_tables_has_no_measures(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "empty.duckdb")) as connection:
        assert service_levels.read(connection, CONTRACTS, NOW) == service_levels.Measures({}, {}, {})
