"""Every problem is solved by the commands that its message names, and unaffected data is published meanwhile."""

import gzip
import json
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import psycopg
import pytest
from click.testing import CliRunner

from cli.main import main
from ingestion.contract import PROJECT
from ingestion.home import Home
from ingestion.sources import database_tables
from ingestion.sources.table_queries import Condition, OpenTable
from operations import ledger
from warehouse import dbt
from warehouse.dbt import Expectation

DAY = "--from 2026-11-01 --to 2026-11-02"
WHY = "--reason test"


class Desk:
    """Run commands, and read tables."""

    def __init__(self, home: Home, shop: psycopg.Connection) -> None:
        self.home, self.shop = home, shop
        self.clicks = 0

    def type(self, command: str, status: int = 0) -> str:
        shown = CliRunner().invoke(main, shlex.split(command))
        assert shown.exit_code == status, (command, shown.output[-2000:], shown.exception)
        return shown.output

    def rows(self, query: str) -> list[dict]:
        return json.loads(self.type(f"sql --json {shlex.quote(query)}"))

    def value(self, query: str) -> object:
        (row,) = self.rows(f"select ({query}) as value")
        return row["value"]

    def land_and_build(self) -> str:
        return self.type(f"sweep {DAY}") + self.type("build")

    def change(self, query: str) -> None:
        """Change rows of the shop, one minute after the last change."""
        self.shop.execute("update shop.clock set now = now + interval '1 minute'")
        self.shop.execute(query)

    def break_statuses(self) -> None:
        self.change(
            "update shop.orders set status = 'lost', updated_at = (select now from shop.clock) where order_id <= 'o30'"
        )

    def fix_statuses(self) -> None:
        self.change("update shop.orders set status = 'paid', updated_at = (select now from shop.clock)")

    def deliver(self, count: int = 5) -> None:
        folder = self.home.landing / "2026-11-01" / "10"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            {"event_id": f"e{n}", "event_type": "click", "event_time": "2026-11-01T10:00:00Z", "visitor_id": "v"}
            for n in range(self.clicks, self.clicks + count)
        ]
        (folder / f"part-{self.clicks}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.clicks += count

    def events(self) -> object:
        return self.value("select sum(events)::int from gold.daily_traffic")

    def revenue(self) -> object:
        return self.value("select sum(net_amount)::int from gold.daily_revenue")

    def published_revenue(self) -> int:
        with duckdb.connect(str(self.home.published), read_only=True) as published:
            return published.sql("select sum(net_amount)::int from gold.daily_revenue").fetchall()[0][0]

    def balances(self) -> None:
        assert ledger.recount(self.home) == ([], True)

    def status(self, *, healthy: bool) -> dict:
        return json.loads(self.type("status --json", 0 if healthy else 1))


SHOP = """
    truncate shop.orders, shop.order_items, shop.customers, shop.products;
    drop table if exists shop.clock;
    create table shop.clock as select timestamptz '2026-11-01 10:00Z' as now;
    insert into shop.orders
    select 'o' || n, null, 'paid', 'EUR', 'card', 'DE', 20, '2026-11-01 10:00Z', '2026-11-01 10:00Z' from generate_series(11, 50) n;
    insert into shop.order_items
    select 'o' || n, l, 'p', 1, 10, 0, '2026-11-01 10:00Z' from generate_series(11, 50) n, generate_series(1, 2) l
"""


@pytest.fixture(scope="module")
def connection(shop: Home) -> Iterator[psycopg.Connection]:
    with psycopg.connect(shop.database_url(), autocommit=True) as connection:
        yield connection


@contextmanager
def at_desk(root: Path, connection: psycopg.Connection, shop: Home) -> Iterator[Desk]:
    """Yield a desk for a home, with the shop reset to its first state."""
    connection.execute(SHOP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEARWELL_HOME", str(root))
        patch.setenv("SHOP_DATABASE_URL", shop.database_url())
        # this shop's data ends on that date
        patch.setenv("CLEARWELL_SOURCES", "orders until 2026-11-02, clickstream until 2026-11-02")
        yield Desk(Home(root, root / "landing" / "clickstream", shop.database_url()), connection)


@pytest.fixture(scope="module")
def healthy(shop: Home, connection: psycopg.Connection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a healthy home."""
    root = tmp_path_factory.mktemp("healthy")
    with at_desk(root, connection, shop) as desk:
        desk.deliver()
        desk.land_and_build()
        desk.status(healthy=True)
        assert (desk.revenue(), desk.events()) == (800, 5)
    return root


@pytest.fixture
def desk(shop: Home, connection: psycopg.Connection, healthy: Path, tmp_path: Path) -> Iterator[Desk]:
    shutil.copytree(healthy, tmp_path / "home")
    with at_desk(tmp_path / "home", connection, shop) as desk:
        desk.clicks = 5
        yield desk
    shutil.rmtree(tmp_path / "home")


def test_orders_full_of_refusals_are_held_and_come_back_whole_once_they_are_fixed(desk: Desk) -> None:
    desk.break_statuses()
    desk.change(
        "update shop.order_items set unit_price = 20, updated_at = (select now from shop.clock) where order_id = 'o40'"
    )
    desk.deliver()
    desk.land_and_build()
    (held,) = desk.status(healthy=False)["held"]
    assert (held["dataset"], held["refused_records"], held["cause"]) == ("orders", 20, "refused_records")
    assert "clearwell builds accept FINDING" in desk.type("status", 1)
    assert (desk.revenue(), desk.events()) == (800, 10), "the clicks of the same run are published"

    desk.fix_statuses()
    desk.land_and_build()
    desk.status(healthy=True)
    assert desk.revenue() == 820, "with all lines, including those that did not change between the two landings"
    before = desk.type("hash")
    desk.type(f"build --full {WHY}")
    assert desk.type("hash") == before
    desk.balances()


def test_a_held_batch_may_be_retracted_or_all_of_a_range_accepted(desk: Desk) -> None:
    desk.break_statuses()
    desk.land_and_build()
    (held,) = desk.status(healthy=False)["held"]
    desk.type(f"batches retract {held['finding'].removeprefix('held:')} {WHY}")
    desk.type("build")
    desk.status(healthy=True)
    assert desk.revenue() == 800
    assert desk.value("select count(*) from records.refused where reasons = ['retracted'] and fate = 'withdrawn'") == 40

    desk.break_statuses()
    desk.land_and_build()
    desk.status(healthy=False)
    desk.type(f"builds accept --dataset clickstream {DAY} {WHY}", 1)
    assert "is accepted" in desk.type(f"builds accept --dataset orders {DAY} {WHY}")
    desk.type("build")
    found = desk.status(healthy=True)
    assert not found["held"] and desk.value("select count(*) from silver.dead_letters") == 20
    desk.balances()


def test_a_difference_to_the_source_stops_nothing_and_is_closed_or_accepted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        whole = database_tables.selection

        def short(tables: Mapping[str, OpenTable], dataset: str, own: Condition) -> str:
            query = whole(tables, dataset, own)
            return f"select * from ({query}) as s where order_id <> 'o60'" if dataset == "orders" else query

        patch.setattr(database_tables, "selection", short)
        desk.change(
            "insert into shop.orders select 'o60', null, 'paid', 'EUR', 'card', 'DE', 5, now, now from shop.clock"
        )
        desk.change("insert into shop.order_items select 'o60', 1, 'p', 1, 5, 0, now from shop.clock")
        desk.deliver()
        desk.land_and_build()
        found = desk.status(healthy=False)
        assert {row["finding"] for row in found["differences"]} == {
            "difference:orders:2026-11-01",
            "difference:order_items:2026-11-01",
        }
        assert desk.events() == 10, "published"
        assert desk.rows(
            "select dataset from ops.completeness where unreconciled_dates = [date '2026-11-01'] order by 1"
        ) == [
            {"dataset": "order_items"},
            {"dataset": "orders"},
        ]
        desk.type(f"builds accept difference:orders:2026-11-01 {WHY}")
        desk.type(f"builds accept difference:order_items:2026-11-01 {WHY}")
        desk.type("build")
        assert desk.status(healthy=True)["differences"] == []
    desk.land_and_build()
    desk.status(healthy=True)
    assert desk.revenue() == 805 and desk.rows("from ops.differences") == [], "a count that agrees closes it by itself"


def test_a_failing_check_holds_what_it_names_and_the_rest_is_published(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = dbt.expectations

    def stricter(build: object) -> dict:
        rule = Expectation("expect_column_values_to_be_between", {"column": "events", "max_value": 50})
        return {**said(build), "daily_traffic": [rule]}  # type: ignore[arg-type]

    monkeypatch.setattr(dbt, "expectations", stricter)
    desk.deliver(60)
    desk.change("insert into shop.orders select 'o70', null, 'paid', 'EUR', 'card', 'DE', 7, now, now from shop.clock")
    desk.change("insert into shop.order_items select 'o70', 1, 'p', 1, 7, 0, now from shop.clock")
    told = desk.land_and_build()
    assert "Held:" in told and "clearwell builds accept held:" in told
    assert (desk.revenue(), desk.events()) == (807, 5)
    (held,) = desk.status(healthy=False)["held"]
    assert held["dataset"] == "clickstream" and held["cause"].startswith("expectation daily_traffic")
    desk.balances()

    desk.type(f"builds accept {held['finding']} {WHY}")
    desk.type("build")
    desk.status(healthy=True)
    assert desk.events() == 65


def test_what_the_source_deletes_leaves_gold_and_comes_back(desk: Desk) -> None:
    desk.change("delete from shop.order_items where order_id = 'o11' or (order_id = 'o12' and line_number = 2)")
    desk.change("delete from shop.orders where order_id = 'o11'")
    desk.change("update shop.orders set updated_at = (select now from shop.clock) where order_id = 'o12'")
    assert "o11" in desk.type(f"sweep {DAY}")
    desk.type("build")
    desk.status(healthy=True)
    assert desk.revenue() == 770
    (finding,) = [one for one in desk.status(healthy=True)["findings"] if one["check_name"] == "keys_are_gone"]
    assert finding["result"] == "warn" and "o11" in finding["examples"]
    assert desk.rows(
        "select fate, is_deleted, count(*)::int as n from records.orders where order_id = 'o11' group by all order by all"
    ) == [
        {"fate": "current", "is_deleted": True, "n": 1},
        {"fate": "superseded", "is_deleted": False, "n": 1},
    ]
    # restore the deleted rows from a backup, with their old times
    desk.shop.execute(
        "insert into shop.orders select 'o11', null, 'paid', 'EUR', 'card', 'DE', 20, '2026-11-01 10:00Z', '2026-11-01 10:00Z'"
    )
    desk.shop.execute(
        "insert into shop.order_items select 'o11', l, 'p', 1, 10, 0, '2026-11-01 10:00Z' from generate_series(1, 2) l"
    )
    desk.land_and_build()
    desk.status(healthy=True)
    assert desk.revenue() == 790
    desk.shop.execute("delete from shop.orders where order_id = 'o11'")
    desk.shop.execute("delete from shop.order_items where order_id = 'o11'")
    desk.land_and_build()
    assert desk.revenue() == 770, "deleted again"
    before = desk.type("hash")
    desk.type(f"build --full {WHY}")
    assert desk.type("hash") == before
    desk.type("ledger --recount")


def test_accounts_that_are_off_stop_every_build_until_all_is_made_again(desk: Desk) -> None:
    with duckdb.connect(str(desk.home.state)) as state:
        state.execute("delete from records.orders where order_id = 'o11'")
    assert "(0 times)" in desk.type("ledger --recount", 1)
    desk.change("insert into shop.orders select 'o80', null, 'paid', 'EUR', 'card', 'DE', 9, now, now from shop.clock")
    desk.change("insert into shop.order_items select 'o80', 1, 'p', 1, 9, 0, now from shop.clock")
    desk.type(f"sweep {DAY}")
    assert "clearwell build --full --reason TEXT" in desk.type("build", 1)
    assert desk.published_revenue() == 800
    desk.type(f"build --full {WHY}")
    desk.status(healthy=True)
    assert desk.published_revenue() == 809
    desk.type("ledger --recount")


def test_a_file_that_cannot_be_read_holds_its_dataset_until_it_is_replaced_or_removed(desk: Desk) -> None:
    broken = desk.home.landing / "2026-11-01" / "10" / "broken.jsonl.gz"
    for way_out in ("replaced", "removed"):
        broken.write_bytes(b"\x1f\x8b, and then no more")
        desk.deliver()
        assert broken.name in desk.type(f"sweep {DAY}")
        desk.type("build")
        events = desk.events()
        assert desk.status(healthy=False)["late"] == ["clickstream"]
        assert "clearwell heal" in desk.type("status", 1)
        if way_out == "replaced":
            broken.write_bytes(gzip.compress(b""))
        else:
            broken.unlink()
        desk.type("heal")
        desk.status(healthy=True)
        assert desk.events() == events


@pytest.fixture(scope="module")
def narrower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose contract of orders does not allow the shop's statuses."""
    root = tmp_path_factory.mktemp("narrower")
    project = Path(shutil.copytree(PROJECT, root / "project", ignore=shutil.ignore_patterns("target", "logs")))
    path = project / "models" / "staging" / "staging_orders.yml"
    text = path.read_text()
    assert "allowed: [created, paid, " in text
    path.write_text(text.replace("allowed: [created, paid, ", "allowed: [created, "))
    return project


@pytest.mark.parametrize("replay", [DAY, "--full"])
def test_a_replay_that_takes_from_readers_is_refused_until_it_is_accepted_or_dropped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, narrower: Path, replay: str
) -> None:
    before = desk.type("hash")
    with monkeypatch.context() as patch:
        patch.setattr(dbt, "PROJECT", narrower)
        told = desk.type(f"build {replay} {WHY}", 1)
        assert "held_batches_are_new" in told and "builds accept" in told
        found = desk.status(healthy=False)
        (held,) = found["held"]
        assert (held["dataset"], held["refused_records"], held["records"]) == ("orders", 40, 40)
        assert desk.type("hash") == before

        build_id = found["findings"][0]["build_id"]
        assert f"clearwell builds drop {build_id}" in told
        desk.type(f"builds drop {build_id}")
        desk.status(healthy=True)
        desk.type(f"builds drop {build_id}", 1)

        desk.type(f"build {replay} {WHY}", 1)
        desk.type(f"builds accept {held['finding']} {WHY}")
        desk.type(f"build {replay} {WHY}")
        desk.status(healthy=True)
        assert desk.value("select count(*) from silver.dead_letters") == 40
        assert desk.revenue() is None
        desk.balances()
