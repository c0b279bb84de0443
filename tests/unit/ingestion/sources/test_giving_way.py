"""A long read ends before the shop has waited for its locks longer than allowed, and for no other reason."""

from collections.abc import Callable, Iterable, Iterator
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from ingestion.errors import Permanent, Transient
from ingestion.sources import giving_way
from ingestion.sources.deadlines import Connection, Limits
from ingestion.sources.postgres import snapshot
from tests.unit.ingestion.sources.test_deadlines import MANY_ROWS

Shop = psycopg.Connection[Any]
LOCK = 10.0
BACKEND = (42, "its start")


class Second:
    """Stand-in for the second connection, and for the read and its clock: at each look, it says who waits."""

    def __init__(self, waiting: Iterable[set[int]]) -> None:
        self.waiting = iter(waiting)
        self.limits = Limits(lock=LOCK)
        self.now = 1000.0
        self.ended_at: float | None = None
        self.is_over = False

    def execute(self, query: str, values: tuple[object, ...]) -> SimpleNamespace:
        if "pg_terminate_backend" in query:
            assert values == (42,) and self.ended_at is None
            self.ended_at = self.now - 1000
            return SimpleNamespace()
        assert values == BACKEND
        found = next(self.waiting, None)
        self.is_over = found is None
        return SimpleNamespace(fetchall=lambda: [(pid,) for pid in found or ()])

    def is_set(self) -> bool:
        return self.is_over

    def wait(self, seconds: float | None = None) -> None:
        if seconds is None:  # it has ended the read, and waits until that is over
            self.is_over = True
        else:
            self.now += seconds


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Iterable[set[int]]], tuple[float | None, bool]]]:
    """Return a function that looks at who waits, and returns after how many seconds it ended the read, and whether it gave way."""

    def run(waiting: Iterable[set[int]]) -> tuple[float | None, bool]:
        second, gave_way = Second(waiting), Event()
        monkeypatch.setattr(giving_way, "monotonic", lambda: second.now)
        giving_way._look(cast(Connection, second), BACKEND, cast(Event, second), gave_way)
        return second.ended_at, gave_way.is_set()

    yield run


@pytest.mark.parametrize("before", [0, 1, 7])
def test_whoever_waits_is_let_through_before_the_limit(
    look: Callable[..., tuple[float | None, bool]], before: int
) -> None:
    """The wait may have begun just after the look before the first one that sees it."""
    ended_at, gave_way = look([set()] * before + [{7}] * 100)
    assert gave_way and ended_at is not None
    seen_at = before * LOCK / 5
    assert seen_at < ended_at <= seen_at + LOCK - 2 * LOCK / 5


@pytest.mark.parametrize(
    "waiting",
    [
        [set()] * 50,
        [{number} for number in range(50)],  # each waits only briefly
        [{7}, {7}, set()] * 20,
        [{7, 8}, {8, 9}, {9, 7}] * 20,
    ],
)
def test_short_waits_of_many_end_nothing(
    look: Callable[..., tuple[float | None, bool]], waiting: list[set[int]]
) -> None:
    assert look(waiting) == (None, False)


def test_one_long_wait_among_short_ones_ends_the_read(look: Callable[..., tuple[float | None, bool]]) -> None:
    assert look([{number, 7} for number in range(10, 60)])[1]


def test_the_shop_waits_for_our_locks_no_longer_than_we_for_its(shop: Shop, postgres: str):
    first = pytest.raises(Transient, match=r"the shop database waited.*SHOP_LOCK_SECONDS")
    with first, snapshot(postgres, limits=Limits(lock=1)) as connection:
        connection.execute("select from shop.orders")
        shop.execute("set lock_timeout = '1s'; alter table shop.orders add column more text")
        connection.execute("select from shop.order_items")


def test_also_in_the_midst_of_a_copy_that_nobody_reads(shop: Shop, postgres: str):
    first = pytest.raises(Transient, match="the shop database waited")
    with first, snapshot(postgres, limits=Limits(lock=1)) as connection:
        connection.execute("select from shop.orders")
        with connection.cursor().copy(MANY_ROWS) as rows:
            assert rows.read()
            shop.execute("set lock_timeout = '1s'; alter table shop.orders add column more text")
            assert not [*rows]


def test_whoever_waits_for_somebody_else_is_not_our_concern(shop: Shop, postgres: str):
    with snapshot(postgres, limits=Limits(lock=0.5)) as connection, psycopg.connect(postgres) as other:
        connection.execute("select from shop.orders")
        other.execute("lock table shop.products")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            shop.execute("set lock_timeout = '2s'; alter table shop.products add column more text")
        assert connection.execute("select 1").fetchone() == (1,)


def test_an_error_of_the_read_itself_is_left_alone(postgres: str):
    refused = pytest.raises(Permanent, match="does not exist")
    with refused, snapshot(postgres, limits=Limits(lock=0.5)) as connection:
        connection.execute("select from shop.nothing")


def test_a_short_read_opens_no_second_connection(shop: Shop, postgres: str):
    count = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    before = shop.execute(count).fetchone()
    with snapshot(postgres, limits=Limits(lock=60)) as connection:
        connection.execute("select pg_sleep(0.3) from shop.orders right join (select) as one on true")
        assert shop.execute(count).fetchone() == ((before or (0,))[0] + 1,)
