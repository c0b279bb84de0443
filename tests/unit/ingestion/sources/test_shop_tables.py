"""The shop's four tables, as contracts declare them: what a window holds, and what becomes of late rows."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg import sql

from ingestion import bronze, sources
from ingestion.contract import Contract
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.sources import copied, database_tables, ingest, sweep
from ingestion.window import Window
from tests.unit.ingestion.conftest import SHOP

Shop = psycopg.Connection[Any]
Land = Callable[..., Landing]
DAY = ("2026-11-01", "2026-11-02")


def order(shop: Shop, order_id: str, ordered: str | None, updated: str | None, customer: str | None = None) -> None:
    shop.execute(
        "insert into shop.orders values (%s, %s, 'paid', 'EUR', 'card', 'DE', 1.5, %s, %s)",
        (order_id, customer, ordered, updated),
    )


def line(shop: Shop, order_id: str | None, number: int, product: str, updated: str | None = None) -> None:
    shop.execute(
        "insert into shop.order_items values (%s, %s, %s, 1, 1.5, 0, %s)", (order_id, number, product, updated)
    )


def rows(home: Home, landing: Landing, dataset: str) -> list[dict[str, Any]]:
    (manifest,) = (manifest for manifest in landing.manifests if manifest.dataset == dataset)
    bronze.verify(home, manifest)
    found = [row for path in bronze.parquet_files(home, manifest) for row in pq.read_table(path).to_pylist()]
    assert [row.pop("record_no") for row in found] == list(range(1, manifest.records_written + 1))
    assert len(found) == manifest.counted_by_source
    return found


def keys(home: Home, landing: Landing, dataset: str) -> list[str]:
    return [
        "/".join(list(row.values())[: 2 if dataset == "order_items" else 1]) for row in rows(home, landing, dataset)
    ]


def test_the_window_holds_what_was_placed_or_changed_and_what_that_refers_to(shop: Shop, shop_home: Home, land: Land):
    shop.execute("insert into shop.customers select 'c' || n from generate_series(1, 9) as n")
    shop.execute("update shop.customers set created_at = '2026-11-01T03:00Z' where customer_id = 'c7'")
    shop.execute("update shop.customers set updated_at = '2026-11-01T03:00Z' where customer_id = 'c8'")
    shop.execute("insert into shop.products select 'p' || n from generate_series(1, 9) as n")
    shop.execute("update shop.products set updated_at = '2026-10-31T23:30Z' where product_id = 'p8'")
    order(shop, "placed", "2026-11-01T00:00Z", "2026-11-05", "c1")
    order(shop, "placed-never-changed", "2026-11-01T12:00Z", None, "unknown")
    order(shop, "changed", "2026-10-01", "2026-11-01T23:59:59.999999Z", "c2")
    order(shop, "changed-late-commit", "2026-10-01", "2026-10-31T23:00Z")
    order(shop, "before", "2026-10-31T23:59Z", "2026-10-31T22:59Z", "c3")
    order(shop, "after", "2026-11-02T00:00Z", "2026-11-02T00:00Z", "c4")
    line(shop, "placed", 1, "p1", "2026-10-01")
    line(shop, "placed", 2, "p1")
    line(shop, "changed", 1, "p2", "2026-11-01T01:00Z")
    line(shop, "before", 1, "p3", "2026-10-31T10:00Z")
    line(shop, "before", 2, "p4", "2026-11-01T10:00Z")
    line(shop, "nowhere", 1, "unknown", "2026-11-01T10:00Z")
    landing = land("orders", *DAY, home=shop_home)
    assert keys(shop_home, landing, "orders") == ["changed", "changed-late-commit", "placed", "placed-never-changed"]
    assert keys(shop_home, landing, "order_items") == ["before/2", "changed/1", "nowhere/1", "placed/1", "placed/2"]
    assert keys(shop_home, landing, "customers") == ["c1", "c2", "c7", "c8"]
    assert keys(shop_home, landing, "products") == ["p1", "p2", "p4", "p8"]


def test_every_value_is_the_databases_own_text(shop: Shop, shop_home: Home, land: Land):
    odd = [
        'a "quoted" one',
        "two\nlines\r\nand a\rreturn",
        "comma, and ; tab\t",
        "",
        None,
        "\\N",
        "\\.",
        "NULL",
        " é€ 🙂 ",
    ]
    for number, text in enumerate(odd):
        order(shop, f"o{number}", "2026-11-01T10:00:00.123456+02", None, text)
    shop.execute("update shop.orders set total_amount = 'NaN' where order_id = 'o1'")
    shop.execute("update shop.orders set total_amount = 12345678901234.5678, status = '' where order_id = 'o2'")
    shop.execute("alter database postgres set timezone to 'Asia/Tokyo'")
    try:
        found = rows(shop_home, land("orders", *DAY, home=shop_home), "orders")
    finally:
        shop.execute("alter database postgres reset timezone")
    assert [row["customer_id"] for row in found] == odd
    assert [row["total_amount"] for row in found[:3]] == ["1.5000", "NaN", "12345678901234.5678"]
    assert {row["ordered_at"] for row in found} == {"2026-11-01 08:00:00.123456+00"}
    assert (found[2]["status"], found[2]["updated_at"]) == ("", None)


def test_rows_of_any_length_and_number_arrive(shop: Shop, shop_home: Home, land: Land, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(copied, "CHUNK_BYTES", 1000)
    shop.execute(
        "insert into shop.orders select 'o' || n, repeat('x', case when n = 500 then 3000000 else n % 7 end),"
        " 'paid', 'EUR', null, null, n, '2026-11-01'::timestamptz + n * interval '1 second', null"
        " from generate_series(1, 2000) as n"
    )
    found = rows(shop_home, land("orders", *DAY, home=shop_home), "orders")
    assert len(found) == 2000
    assert max(len(row["customer_id"]) for row in found) == 3_000_000


def test_the_same_rows_are_the_same_batches_whatever_their_order(shop: Shop, shop_home: Home, land: Land):
    for number in range(20):
        order(shop, f"o{number}", "2026-11-01", None)
        line(shop, f"o{number}", 1, "p1")
    first = land("orders", *DAY, home=shop_home)
    assert len(first.new) == 4
    shop.execute("create table again as select * from shop.orders order by md5(order_id)")
    shop.execute("truncate shop.orders")
    shop.execute("insert into shop.orders select * from again")
    shop.execute("drop table again")
    second = land("orders", *DAY, home=shop_home)
    assert second.new == frozenset()
    assert second.manifests == first.manifests
    assert list(shop_home.staging.iterdir()) == []


def test_a_snapshot_names_its_batches_and_shares_what_did_not_change(shop: Shop, shop_home: Home, land: Land):
    order(shop, "o1", "2026-11-01", None, "c1")
    shop.execute("insert into shop.customers (customer_id) values ('c1')")
    first = land("orders", *DAY, home=shop_home)
    order(shop, "o2", "2026-11-01", None, "c1")
    second = land("orders", *DAY, home=shop_home)
    assert len(second.new) == 1
    batches = {manifest.dataset: manifest.batch_id for manifest in second.manifests}
    (new,) = (manifest for manifest in second.manifests if manifest.batch_id in second.new)
    assert (new.dataset, new.snapshot_batches) == ("orders", batches)
    assert new.snapshot_id != first.manifests[0].snapshot_id
    assert len(bronze.committed(shop_home)) == 5


def test_a_new_column_is_kept(shop: Shop, shop_home: Home, land: Land):
    order(shop, "o1", "2026-11-01", None)
    first = land("orders", *DAY, home=shop_home)
    shop.execute('alter table shop.orders add column "Odd, name" jsonb default \'{"a": [1, 2]}\'')
    second = land("orders", *DAY, home=shop_home)
    assert second.manifests[0].columns == (*first.manifests[0].columns, "Odd, name")
    assert rows(shop_home, second, "orders")[0]["Odd, name"] == '{"a": [1, 2]}'


def test_a_column_may_have_any_name(shop: Shop, shop_home: Home, land: Land):
    order(shop, "o1", "2026-11-01", None)
    odd = [
        "record_no",
        "is_deleted",
        "batch_id",
        "Status",
        "STATUS",
        "{{ ref('x') }}",
        'a "b"',
        "o",
        "s",
        "select",
        " ",
        "🙂",
    ]
    for name in odd:
        column, text = sql.Identifier(name), sql.Literal(f"of {name}")
        shop.execute(sql.SQL("alter table shop.orders add column {} text default {}").format(column, text))
    landing = land("orders", *DAY, home=shop_home)
    assert landing.manifests[0].columns[-len(odd) :] == tuple(odd)
    renamed = landing.manifests[0].renamed
    assert renamed == {
        "record_no": "record_no_2", "is_deleted": "is_deleted_2", "Status": "Status_3", "STATUS": "STATUS_2"
    }  # fmt: skip
    row = rows(shop_home, landing, "orders")[0]
    assert {name: row[renamed.get(name, name)] for name in odd} == {name: f"of {name}" for name in odd}
    assert row["status"] == "paid"


def test_bytes_that_are_not_utf8_are_told_by_table_key_and_column(
    postgres: str, home: Home, contracts: dict[str, Contract]
):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("drop database if exists plain")
        connection.execute("create database plain encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'")
    url = postgres.rpartition("/")[0] + "/plain"
    with psycopg.connect(url, client_encoding="SQL_ASCII", autocommit=True) as shop:
        shop.execute(SHOP)
        shop.execute(b"insert into shop.customers values ('c\xe9', 'caf\xe9', 'ok', 'DE', '2026-11-01', null)")
        order(shop, "o1", "2026-11-01", None)
    said: list[str] = []
    landing = ingest(
        "orders", Window.parse(*DAY), Home(home.root, home.landing, url), datetime(2100, 1, 1, tzinfo=UTC), said.append,
        contracts,
    )  # fmt: skip
    assert "shop.customers: customer_id c\\xe9: customer_id, email is not utf-8" in said
    assert {manifest.dataset: manifest.records_written for manifest in landing.manifests} == {
        "orders": 1,
        "order_items": 0,
        "customers": 1,
        "products": 0,
    }


def test_no_row_at_all_where_some_are_expected_is_an_incident(shop: Shop, shop_home: Home, land: Land):
    with pytest.raises(Permanent, match="no records of orders for"):
        land("orders", *DAY, home=shop_home)
    assert bronze.list_batches(shop_home) == []
    hour = land("orders", "2026-11-01T10:00", "2026-11-01T11:00", home=shop_home)
    assert [(manifest.records_written, manifest.files) for manifest in hour.manifests] == [(0, ())] * 4


def test_rows_that_came_before_are_enough(shop: Shop, shop_home: Home, land: Land):
    order(shop, "o1", "2026-11-01", None)
    land("orders", *DAY, home=shop_home)
    shop.execute("truncate shop.orders")
    assert len(land("orders", *DAY, home=shop_home).new) == 1


def test_orders_that_no_window_holds_are_told(shop: Shop, shop_home: Home, contracts: dict[str, Contract]):
    order(shop, "o1", "2026-11-01", None)
    order(shop, "o2", None, None)
    order(shop, "o3", "infinity", None)
    order(shop, "o4", "0044-03-15 BC", "-infinity")
    said: list[str] = []
    at = datetime(2100, 1, 1, tzinfo=UTC)
    landing = sweep("orders", Window.parse(*DAY), shop_home, at, said.append, contracts)
    assert landing.messages == (
        "3 rows of shop.orders have no ordered_at and updated_at in the years 1 to 9999, so they are in no window and do not land",
    )
    assert said[0] == "orders 2026-11-01T00:00:00Z/2026-11-02T00:00:00Z: 1 records"


def test_a_row_that_is_lost_while_it_is_read_is_refused(
    shop: Shop, shop_home: Home, land: Land, monkeypatch: pytest.MonkeyPatch
):
    for name in ("o1", "o2"):
        order(shop, name, "2026-11-01", None)
    chunks = copied._chunks
    monkeypatch.setattr(copied, "_chunks", lambda rows: chunks(list(rows)[:-1]))
    with pytest.raises(Permanent, match="the source counted 2 records, but 1 were written"):
        land("orders", *DAY, home=shop_home)
    assert bronze.list_batches(shop_home) == []


def test_one_snapshot_holds_whatever_is_written_meanwhile(
    shop: Shop, shop_home: Home, land: Land, monkeypatch: pytest.MonkeyPatch
):
    order(shop, "o1", "2026-11-01", None)
    take = database_tables.take

    def write_then_take(*arguments: Any, **more: Any) -> Any:
        taken = take(*arguments, **more)
        line(shop, "o1", shop.execute("select count(*) from shop.order_items").fetchone()[0] + 1, "p1")  # type: ignore[index]
        return taken

    monkeypatch.setattr(database_tables, "take", write_then_take)
    landing = land("orders", *DAY, home=shop_home)
    assert {manifest.dataset: manifest.records_written for manifest in landing.manifests} == {
        "orders": 1,
        "order_items": 0,
        "customers": 0,
        "products": 0,
    }


def missed(landing: Landing) -> dict[str, int]:
    return {one.dataset: one.records_written for one in landing.manifests if one.part == "missed"}


def test_a_late_row_of_a_window_that_began_long_ago_is_found(shop: Shop, shop_home: Home, land: Land):
    order(shop, "o1", "2026-08-01", None)
    land("orders", "2026-08-01", "2026-11-01", home=shop_home)
    order(shop, "late", "2026-10-31T12:00Z", "2026-10-31T12:00Z")
    order(shop, "too late", "2026-10-29T12:00Z", "2026-10-29T12:00Z")
    line(shop, "late", 1, "p1", "2026-10-31T12:00Z")
    found = land("orders", "2026-11-01T05:00", "2026-11-01T06:00", home=shop_home)
    assert missed(found) == {"orders": 1, "order_items": 1}
    assert missed(land("orders", "2026-11-01T06:00", "2026-11-01T07:00", home=shop_home)) == {}


def test_a_window_that_never_landed_is_not_looked_at(shop: Shop, shop_home: Home, land: Land):
    order(shop, "o1", "2026-10-31T05:00Z", None)
    land("orders", "2026-10-31T05:00", "2026-10-31T06:00", home=shop_home)
    order(shop, "of another hour", "2026-10-31T06:00Z", "2026-10-31T08:00Z")
    assert missed(land("orders", "2026-11-01T05:00", "2026-11-01T06:00", home=shop_home)) == {}


@pytest.fixture
def swept(shop_home: Home, contracts: dict[str, Contract]) -> Callable[..., set[str]]:
    """Sweep a day, and return the days that were counted."""

    def run(**more: Any) -> set[str]:
        landing = sweep(
            "orders", Window.parse(*DAY), shop_home, datetime(2100, 1, 1, tzinfo=UTC), contracts=contracts, **more
        )
        return {str(one.window.date) for one in landing.manifests if one.dataset == "source_counts"}

    return run


def test_a_sweep_looks_back_at_days_within_a_window_that_began_before_them(
    shop: Shop, shop_home: Home, land: Land, swept: Callable[..., set[str]]
):
    for day in (30, 31):
        order(shop, f"o{day}", f"2026-10-{day}", None)
    order(shop, "o1", "2026-11-01", None)
    land("orders", "2026-10-01", "2026-11-01", home=shop_home)
    assert swept(is_backfill=True) == {"2026-11-01"}
    assert swept() == {"2026-10-30", "2026-10-31"}, "the day itself is counted as before"


@pytest.mark.parametrize("moved_to", ["2026-10-01T10:00Z", None, "infinity"])
def test_an_order_that_moves_without_a_new_version_lands_as_it_is_now(
    shop: Shop, shop_home: Home, land: Land, contracts: dict[str, Contract], moved_to: str | None
):
    order(shop, "o1", "2026-11-01T10:00Z", None)
    line(shop, "o1", 1, "p1")
    order(shop, "stays", "2026-11-01T10:00Z", None)
    land("orders", *DAY, home=shop_home)
    shop.execute("update shop.orders set ordered_at = %s where order_id = 'o1'", [moved_to])
    at = datetime(2100, 1, 1, tzinfo=UTC)
    found, again = (sweep("orders", Window.parse(*DAY), shop_home, at, contracts=contracts) for _ in range(2))
    assert missed(found) == {"orders": 1, "order_items": 1} and not again.new
    assert [one for one in found.manifests if one.part == "gone"] == []


def test_a_sweep_compares_no_day_that_it_lands_whole(
    shop: Shop, shop_home: Home, land: Land, swept: Callable[..., set[str]], monkeypatch: pytest.MonkeyPatch
):
    for day in (28, 29, 30, 31):
        order(shop, f"o{day}", f"2026-10-{day}", None)
        land("orders", f"2026-10-{day}", f"2026-10-{day}T23:00", home=shop_home)
    order(shop, "o1", "2026-11-01", None)
    order(shop, "late", "2026-10-29T03:00Z", "2026-10-29T03:00Z")
    compared: list[str] = []
    versions = database_tables._Snapshot._versions

    def compare(self: Any, table: Any, query: str, values: Any) -> list[str]:
        if "start" in values:
            compared.append(str(values["start"]))
        return versions(self, table, query, values)

    monkeypatch.setattr(database_tables._Snapshot, "_versions", compare)
    assert swept() == {"2026-10-30", "2026-10-31", "2026-11-01"}
    assert {one[:10] for one in compared} == {"2026-10-28", "2026-10-29"}
    found = [bronze.read_manifest(shop_home, ref) for ref in bronze.list_batches(shop_home, "orders")]
    assert [one.records_written for one in found if one.part == "missed"] == [1]


def test_bronze_is_listed_once_for_each_dataset_of_a_landing(
    shop: Shop, shop_home: Home, land: Land, monkeypatch: pytest.MonkeyPatch
):
    order(shop, "o1", "2026-10-31", None)
    land("orders", "2026-10-31", "2026-11-01", home=shop_home)
    order(shop, "o2", "2026-11-01", None)
    listed: list[str] = []
    list_batches = bronze.list_batches

    def count(home: Home, dataset: str, day: date | None = None) -> Any:
        listed.append(dataset)
        return list_batches(home, dataset, day)

    monkeypatch.setattr(bronze, "list_batches", count)
    land("orders", *DAY, home=shop_home)
    assert sorted(listed) == ["customers", "order_items", "orders", "products"]


def test_what_would_keep_the_shop_from_landing_is_found(
    shop: Shop, shop_home: Home, contracts: dict[str, Contract]
) -> None:
    assert sources.check("orders", shop_home, contracts) == []
    shop.execute("alter table shop.products rename product_id to id")
    shop.execute("alter table shop.customers rename created_at to since")
    found = {one.dataset: one.what for one in sources.check("orders", shop_home, contracts)}
    assert found.keys() == {"products", "customers"}
    assert "product_id" in found["products"] and "created_at" in found["customers"]
    nobody = Home(shop_home.root, shop_home.landing, "postgresql://127.0.0.1:1/shop")
    (problem,) = sources.check("orders", nobody, contracts)
    assert (problem.dataset, "did not answer" in problem.what) == ("", True)
    assert bronze.list_batches(shop_home) == []
