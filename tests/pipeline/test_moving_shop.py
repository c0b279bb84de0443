"""A source is counted in the snapshot that landed: no change causes a false alarm, and every loss is found."""

import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo.postgres import make_tables
from ingestion import sources
from ingestion.home import Home
from ingestion.manifest import Manifest
from ingestion.sources import clickstream, database_tables
from ingestion.sources.lines import LineFile
from tests.pipeline.copies import database
from tests.pipeline.moving_shop import Mover, counted, differing
from warehouse import state
from warehouse.build import Request, build

STEPS = 14


@pytest.fixture
def connection(shop: Home) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shop.database_url(), autocommit=True) as connection:
        yield connection


def follow(
    seed: int, shop: Home, connection: psycopg.Connection[Any], root: Path, build_after: Sequence[int] = ()
) -> Mover:
    """Change a shop for some days, landing and sweeping in between; assert that no count ever differs.

    Build after the steps numbered in `build_after`.
    """
    home = Home(root, root / "landing", shop.database_url())
    home.landing.mkdir(parents=True)
    mover = Mover(random.Random(seed), connection, home)
    mover.clear()
    for _ in range(4):
        mover.move()
    for number in range(STEPS):
        if number in build_after:
            build(home, Request(), mover.now)
        step = mover.pick.choice(["move", "move", "move", "ingest", "sweep"])
        if step == "move":
            mover.move()
        elif step == "ingest":
            tolerant(mover.ingest_hour)
        else:
            swept = tolerant(mover.sweep)
            assert differing(counted(home, swept)) == [], (seed, mover.done)
    return mover


def tolerant(step: Any) -> list[Any]:
    """Do a step, ignoring the error for a day without records: a shop this small may have one."""
    try:
        return list(step())
    except Exception as error:
        if "the contract expects some" in str(error):
            return []
        raise


def hold(count: int, shop: Home, connection: psycopg.Connection[Any], root: Path, first: int = 0) -> None:
    for seed in range(first, first + count):
        follow(seed, shop, connection, root / str(seed))


def test_a_shop_in_motion_is_no_false_alarm(shop: Home, connection: psycopg.Connection[Any], tmp_path: Path) -> None:
    hold(15, shop, connection, tmp_path)


@pytest.mark.long
def test_no_interleaving_is_a_false_alarm(shop: Home, connection: psycopg.Connection[Any], tmp_path: Path) -> None:
    hold(300, shop, connection, tmp_path, first=1000)


@pytest.mark.parametrize("shops", [1, pytest.param(20, marks=pytest.mark.long)])
def test_silver_follows_the_shop(shops: int, shop: Home, connection: psycopg.Connection[Any], tmp_path: Path) -> None:
    """After every day is swept and built, silver equals the shop: rows that moved, changed, vanished or came back."""
    for seed in range(2000, 2000 + shops):
        mover = follow(seed, shop, connection, tmp_path / str(seed), build_after=(5, 10))
        settle(mover)
        for table, query in FOLLOWED.items():
            found = state.read(mover.home.state, f"silver.{table}", query.format(schema="silver"))
            there = connection.execute(query.format(schema="shop")).fetchall()
            assert [tuple(row.values()) for row in found] == there, (seed, table, mover.done)
        assert differences(mover.home) == []


def settle(mover: Mover) -> None:
    """Sweep each day, and build."""
    for day in mover.days():
        tolerant(lambda day=day: [sources.sweep("orders", day, mover.home, mover.now)])
    build(mover.home, Request(), mover.now)


FOLLOWED = {
    "orders": "select order_id, status, currency, ordered_at::date::text from {schema}.orders order by 1",
    "order_items": "select order_id, line_number::int, quantity::int, unit_price::text from {schema}.order_items "
    "where order_id in (select order_id from {schema}.orders) order by 1, 2",
}


def differences(home: Home) -> list[state.Row]:
    return state.read(home.state, "ops.differences", "from ops.differences where is_alert")


def kept(mover: Mover) -> Path:
    return mover.home.root.with_name(f"{mover.home.root.name} as it was")


@pytest.fixture(scope="module")
def moved(shop: Home, tmp_path_factory: pytest.TempPathFactory) -> list[Mover]:
    """Return three shops that have been followed, each in a database of its own: see `as_it_was`."""
    movers = []
    for seed in (100, 101, 102):
        of_seed = replace(shop, shop_url=database(shop, f"moved_{seed}"))
        with psycopg.connect(of_seed.database_url(), autocommit=True) as connection:
            make_tables(connection)
            movers.append(follow(seed, of_seed, connection, tmp_path_factory.mktemp("moved") / "home"))
        shutil.copytree(movers[-1].home.root, kept(movers[-1]))
    return movers


@contextmanager
def as_it_was(mover: Mover, shop: Home) -> Iterator[Mover]:
    """Yield a copy of a shop that a test may change: with its home at the same path, as it was followed there."""
    shutil.rmtree(mover.home.root)
    shutil.copytree(kept(mover), mover.home.root)
    url = database(shop, "moved", mover.home.database_url().rpartition("/")[2])
    with psycopg.connect(url, autocommit=True) as connection:
        home = replace(mover.home, shop_url=url)
        yield replace(mover, pick=deepcopy(mover.pick), shop=connection, home=home, done=[*mover.done])


@pytest.mark.parametrize("what", ["order", "line", "money", "click", "file"])
def test_what_a_landing_loses_is_found(
    what: str, shop: Home, moved: list[Mover], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A landing leaves out rows or lines in a way that none of its other checks can see."""
    for was in moved:
        with as_it_was(was, shop) as mover:
            rows = found_without(what, mover, monkeypatch)
        assert {row["dataset"] for row in rows} == LOST[what], (mover.done, rows)


def found_without(what: str, mover: Mover, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let something come that the landing then loses; return the counts that differ."""
    day = mover.sweep_day()
    mover.shop.execute(
        "insert into shop.orders select id, 'c', 'paid', 'EUR', 'card', 'DE', 9, %s, %s from unnest(array['lost', 'kept']) as id",
        [day, day],
    )
    mover.shop.execute(
        "insert into shop.order_items values ('lost', 1, 'p', 1, 9, 0, %s), ('lost', 2, 'p', 1, 8, 0, %s)",
        [day, day],
    )
    folder = mover.home.landing / f"{day:%Y-%m-%d}" / f"{day:%H}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kept.jsonl").write_text('{"event_id": "kept"}\n')
    (folder / "lost.jsonl").write_text('{"event_id": "lost"}\n{"event_id": "found"}\n')
    with monkeypatch.context() as patch:
        lose(what, patch)
        swept = tolerant(mover.sweep)
    return differing(counted(mover.home, swept))


LOST = {
    "order": {"orders", "order_items"},
    "line": {"order_items"},
    "money": {"order_items"},
    "click": {"clickstream"},
    "file": {"clickstream"},
}


def lose(what: str, patch: pytest.MonkeyPatch) -> None:
    """Make the landing lose something while its own accounts still balance."""
    losses = {
        "order": ("orders", "select * from ({}) as s where order_id <> 'lost'"),
        "line": ("order_items", "select * from ({}) as s where (order_id, line_number) <> ('lost', 2)"),
        "money": (
            "order_items",
            "select order_id, line_number, product_id, quantity, case when order_id = 'lost' then 1 else unit_price end as unit_price, "
            "discount_amount, updated_at from ({}) as s",
        ),
    }
    if what in losses:
        lost, query = losses[what]
        select = database_tables.selection

        def short_of(tables: Any, dataset: str, own: Any) -> str:
            found = select(tables, dataset, own)
            return query.format(found) if dataset == lost else found

        patch.setattr(database_tables, "selection", short_of)
    elif what == "click":
        whole = LineFile.tables

        def short(file: LineFile, name: str) -> Iterator[Any]:
            for table in whole(file, name):
                yield table.slice(0, table.num_rows - 1)
            file.lines -= 1

        patch.setattr(LineFile, "tables", short)
    else:
        look = clickstream._Folders._look

        def blind(hour: Any) -> Any:
            found, *rest = look(hour)
            return (
                [
                    path
                    for path in found
                    if Path(path if isinstance(path, str | Path) else path[0]).name != "lost.jsonl"
                ],
                *rest,
            )

        patch.setattr(clickstream._Folders, "_look", blind)


def test_the_parts_of_a_sweep_are_told_apart(shop: Home, connection: psycopg.Connection[Any], tmp_path: Path) -> None:
    """What is deleted after it landed becomes a separate record in a separate batch."""
    home = Home(tmp_path, tmp_path / "landing", shop.database_url())
    home.landing.mkdir()
    mover = Mover(random.Random(1), connection, home)
    mover.clear()
    day = mover.sweep_day()
    connection.execute(
        "insert into shop.orders select 'o' || n, 'c', 'paid', 'EUR', 'card', 'DE', 9, %s, %s from generate_series(1, 3) as n",
        [day, day],
    )
    connection.execute(
        "insert into shop.order_items select 'o' || n, 1, 'p', 1, 9, 0, %s from generate_series(1, 3) as n", [day]
    )
    mover.sweep_orders()
    connection.execute("delete from shop.order_items where order_id = 'o1'")
    connection.execute("delete from shop.orders where order_id = 'o1'")

    def gone(manifests: tuple[Manifest, ...]) -> dict[str, int]:
        return {one.dataset: one.records_written for one in manifests if one.part == "gone"}

    assert gone(mover.sweep_orders().manifests) == {"orders": 1, "order_items": 1}
    again = mover.sweep_orders()
    assert gone(again.manifests) == {} and not again.new, "a delete is landed only once"
