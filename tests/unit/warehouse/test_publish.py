"""Gold, the accounts and some silver are published, without personal columns; a pin keeps readers on one build."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from warehouse import publish

AT = datetime(2026, 11, 3, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path, tmp_path / "landing")
    build(home, 1)
    return home


def build(home: Home, number: int) -> None:
    """Make a state as a build leaves it, with the build's number as revenue."""
    home.state.unlink(missing_ok=True)
    with duckdb.connect(str(home.state)) as state:
        for schema in ("ops", "gold", "silver", "plan"):
            state.execute(f"create schema {schema}")
        state.execute(f"create table ops.builds as select 'b{number}' as build_id, {number}::bigint as build_number")
        state.execute(f"create table gold.daily_revenue as select {number} as net_amount")
        state.execute("create table silver.customers as select 'c1' as customer_id, 'a@b' as Email, 'DE' as country")
        state.execute("create table silver.orders as select 'o1' as order_id")
        state.execute("create table plan.dates as select 1 as x")


def given(home: Home) -> dict[str, list[str]]:
    """Return the published tables and their columns."""
    with duckdb.connect(str(home.published), read_only=True) as published:
        rows = published.execute(
            "select table_schema || '.' || table_name, column_name from information_schema.columns order by all"
        ).fetchall()
    return {table: [column for name, column in rows if name == table] for table, _ in rows}


def revenue(home: Home) -> int:
    with duckdb.connect(str(home.published), read_only=True) as published:
        (row,) = published.execute("select net_amount from gold.daily_revenue").fetchall()
        return int(row[0])


def test_readers_are_given_gold_the_accounts_and_silver_that_says_so(home: Home) -> None:
    publish.publish_state(home)
    assert given(home) == {
        "gold.daily_revenue": ["net_amount"],
        "ops.builds": ["build_id", "build_number"],
        "silver.customers": ["country", "customer_id"],
    }


def test_the_last_few_are_kept_and_the_older_ones_go(home: Home) -> None:
    for number in range(1, publish.KEPT_STATES + 3):
        build(home, number)
        publish.catch_up(home)
        assert revenue(home) == number
    assert [path.stem for path in publish.kept_states(home)] == ["b3", "b4", "b5"]


def test_a_pin_keeps_readers_until_it_is_taken_off(home: Home) -> None:
    publish.publish_state(home)
    build(home, 2)
    publish.catch_up(home)
    publish.pin(home, "b1", "b2 is wrong", "me", AT)
    pinned = publish.pinned(home)
    assert pinned and (pinned.build_id, pinned.reason, pinned.pinned_by) == ("b1", "b2 is wrong", "me")
    build(home, 3)
    publish.catch_up(home)
    assert revenue(home) == 1
    publish.unpin(home)
    assert revenue(home) == 3 and publish.pinned(home) is None


def test_what_is_not_kept_cannot_be_pinned_and_what_is_not_pinned_not_taken_off(home: Home) -> None:
    publish.publish_state(home)
    with pytest.raises(Permanent, match=r"b9 is not kept.*b1"):
        publish.pin(home, "b9", "r", "me", AT)
    assert publish.pinned(home) is None
    with pytest.raises(Permanent, match="nothing is pinned"):
        publish.unpin(home)


def test_a_pin_that_cannot_be_read_still_pins(home: Home) -> None:
    publish.publish_state(home)
    (home.published.parent / "pinned.json").write_text("{")
    with pytest.raises(Broken):
        publish.read_pin(home)
    build(home, 2)
    publish.catch_up(home)
    assert revenue(home) == 1
