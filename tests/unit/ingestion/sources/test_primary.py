"""Two real databases: the shop, and a copy of it that Clearwell reads."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from ingestion import bronze
from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.sources import sweep
from ingestion.sources.primary import Primary
from ingestion.window import Window
from tests.unit.ingestion.conftest import SHOP

Shop = psycopg.Connection[Any]
Sweep = Callable[..., Landing]
Counted = Callable[[Home], list[tuple[Any, ...]]]
DAYS = Window.parse("2026-11-01", "2026-11-03")
NOW = datetime(2026, 11, 9, tzinfo=UTC)
ROWS = """
    insert into shop.orders (order_id, currency, ordered_at) values
        ('a', 'EUR', '2026-11-01T10:00Z'), ('b', 'EUR', '2026-11-01T11:00Z'), ('c', 'USD', '2026-11-02T10:00Z');
    insert into shop.order_items (order_id, line_number, quantity, unit_price) values
        ('a', 1, 1, 1.5), ('b', 1, 1, 2.5), ('c', 1, 2, 3);
"""
SAME = [
    ("orders", "2026-11-01", "EUR", "2", "0.0000", "2", "0.0000", None),
    ("orders", "2026-11-02", "USD", "1", "0.0000", "1", "0.0000", None),
    ("order_items", "2026-11-01", "EUR", "2", "4.0000", "2", "4.0000", None),
    ("order_items", "2026-11-02", "USD", "1", "6.0000", "1", "6.0000", None),
]


@pytest.fixture
def copy(postgres: str) -> Iterator[Shop]:
    """Yield a connection to the copy of the shop that Clearwell reads."""
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute("drop database if exists copy with (force)")
        server.execute("create database copy")
        with psycopg.connect(postgres.rpartition("/")[0] + "/copy", autocommit=True) as connection:
            connection.execute(SHOP)
            connection.execute(ROWS)
            yield connection


@pytest.fixture
def primary(shop: Shop) -> Shop:
    shop.execute(ROWS)
    return shop


@pytest.fixture
def both(copy: Shop, home: Home, postgres: str) -> Home:
    return replace(home, shop_url=postgres.rpartition("/")[0] + "/copy", primary_url=postgres)


@pytest.fixture
def swept(contracts: dict[str, Contract]) -> Callable[[Home], Landing]:
    return lambda home: sweep("orders", DAYS, home, NOW, contracts=contracts)


@pytest.fixture
def counted(swept: Callable[[Home], Landing]) -> Counted:
    return lambda home: rows(home, swept(home))


def rows(home: Home, landing: Landing) -> list[tuple[Any, ...]]:
    """Return what was counted, without its time."""
    return [
        tuple(row.values())[1:-1]
        for manifest in landing.manifests
        if manifest.dataset == "source_counts"
        for path in bronze.parquet_files(home, manifest)
        for row in pq.read_table(path).to_pylist()
        if row["dataset"] in ("orders", "order_items")
    ]


def test_a_copy_that_holds_the_same_says_nothing_of_the_primary(primary: Shop, both: Home, counted: Counted):
    assert counted(both) == SAME


def test_what_the_copy_lacks_is_a_difference_at_the_primary(primary: Shop, copy: Shop, both: Home, counted: Counted):
    copy.execute("delete from shop.orders where order_id = 'b'")
    assert counted(both) == [
        ("orders", "2026-11-01", "EUR", "2", "0.0000", "1", "0.0000", "at the primary; the copy that is read holds 1, 0.0000"),
        SAME[1],
        ("order_items", "2026-11-01", "EUR", "2", "4.0000", "1", "1.5000", "at the primary; the copy that is read holds 1, 1.5000"),
        SAME[3],
    ]  # fmt: skip


def test_so_is_what_the_primary_has_no_more_and_money_alone_and_a_currency(
    primary: Shop, copy: Shop, both: Home, counted: Counted
):
    primary.execute("delete from shop.orders where order_id = 'c'")
    primary.execute("update shop.order_items set unit_price = 3.5 where order_id = 'b'")
    primary.execute("insert into shop.orders (order_id, currency, ordered_at) values ('d', 'CHF', '2026-11-01T12:00Z')")
    primary.execute("insert into shop.order_items (order_id, line_number, quantity, unit_price) values ('d', 1, 1, 1)")
    assert counted(both) == [
        ("orders", "2026-11-01", "CHF", "1", "0.0000", "0", "0.0000", "at the primary; the copy that is read holds 0"),
        SAME[0],
        ("orders", "2026-11-02", "USD", "0", "0.0000", "1", "0.0000", "at the primary; the copy that is read holds 1, 0.0000"),
        ("order_items", "2026-11-01", "CHF", "1", "1.0000", "0", "0.0000", "at the primary; the copy that is read holds 0"),
        ("order_items", "2026-11-01", "EUR", "2", "5.0000", "2", "4.0000", "at the primary; the copy that is read holds 2, 4.0000"),
        ("order_items", "2026-11-02", "USD", "0", "0.0000", "1", "6.0000", "at the primary; the copy that is read holds 1, 6.0000"),
    ]  # fmt: skip


def test_a_date_on_which_the_primary_moved_meanwhile_is_not_judged(
    primary: Shop, copy: Shop, both: Home, counted: Counted, monkeypatch: pytest.MonkeyPatch
):
    copy.execute("delete from shop.order_items where order_id in ('b', 'c')")
    count = Primary.count

    def then_move(self: Primary) -> None:
        count(self)
        primary.execute("update shop.order_items set quantity = quantity + 1 where order_id = 'a'")

    monkeypatch.setattr(Primary, "count", then_move)
    assert counted(both) == [
        *SAME[:2],
        ("order_items", "2026-11-01", "EUR", "1", "1.5000", "1", "1.5000", None),
        ("order_items", "2026-11-02", "USD", "1", "6.0000", "0", "0.0000", "at the primary; the copy that is read holds 0"),
    ]  # fmt: skip


def test_the_primary_is_asked_before_the_copy_and_after_in_a_sweep_alone(
    primary: Shop, copy: Shop, both: Home, land: Sweep, counted: Counted, monkeypatch: pytest.MonkeyPatch
):
    held: list[int] = []
    monkeypatch.setattr(Primary, "count", lambda self: held.append(bool(self.run.is_sweep)))
    counted(both)
    land("orders", "2026-11-01", "2026-11-02", home=both)
    assert held == [True, True, False, False]


def test_without_a_primary_nobody_is_asked(both: Home, counted: Counted):
    assert counted(replace(both, primary_url=None)) == SAME


def test_a_primary_that_does_not_answer_is_told_and_the_days_land(both: Home, swept: Callable[[Home], Landing]):
    away = replace(both, primary_url="postgresql://u:s3cret@127.0.0.1:1/shop")
    landing = swept(away)
    (said,) = landing.messages
    assert "not compared with the primary" in said and "127.0.0.1:1" in said and "s3cret" not in said
    assert rows(away, landing) == SAME


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cret@x@host/db", "postgresql://${{USER}}:s3cret@h/db", "{here}/nowhere"]
)
def test_a_primary_that_cannot_be_right_is_for_good_and_names_its_variable(
    both: Home, postgres: str, swept: Callable[[Home], Landing], url: str
):
    wrong = url.format(here=postgres.rpartition("/")[0].replace("postgres@", "postgres:s3cret@"))
    with pytest.raises(Permanent, match="SHOP_PRIMARY_URL") as caught:
        swept(replace(both, primary_url=wrong))
    assert "s3cret" not in str(caught.value) and "SHOP_DATABASE_URL" not in str(caught.value)
    assert bronze.list_batches(both) == []


def test_a_replica_whose_replay_stands_still_lacks_what_its_primary_has(
    primary: Shop, home: Home, postgres: str, replica: str, counted: Counted, swept: Callable[[Home], Landing]
):
    primary.execute("create table seen ()")
    with psycopg.connect(replica, autocommit=True) as connection:
        for _ in range(300):
            if connection.execute("select to_regclass('seen') is not null, pg_sleep(0.1)").fetchone() == (True, ""):
                break
        primary.execute("drop table seen")
        connection.execute("select pg_wal_replay_pause()")
        late = "insert into shop.orders (order_id, ordered_at) values ('late', '2026-11-02T12:00Z')"
        primary.execute(late)
        found = counted(replace(home, shop_url=replica, primary_url=postgres))
        connection.execute("select pg_wal_replay_resume()")
    lacking = (
        "orders",
        "2026-11-02",
        None,
        "1",
        "0.0000",
        "0",
        "0.0000",
        "at the primary; the copy that is read holds 0",
    )
    assert found == [SAME[0], lacking, *SAME[1:]]
    with pytest.raises(Permanent, match="SHOP_PRIMARY_URL is a replica itself"):
        swept(replace(home, shop_url=postgres, primary_url=replica))
