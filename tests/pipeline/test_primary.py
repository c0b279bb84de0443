"""Rows that the shop's primary has and the copy lacks are shown in the status."""

from dataclasses import replace
from datetime import UTC, datetime

import psycopg

from demo.postgres import make_tables
from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from operations import status
from warehouse.build import Request, build

NOW = datetime(2026, 11, 9, tzinfo=UTC)
DAY = Window.parse("2026-11-01", "2026-11-02")
ROWS = """
    insert into shop.orders select 'o' || n, null, 'paid', 'EUR', 'card', 'DE', 9, '2026-11-01T10:00Z', '2026-11-01T10:00Z'
    from generate_series(1, 3) as n;
    insert into shop.order_items select 'o' || n, 1, 'p', 1, 9, 0, '2026-11-01T10:00Z'
    from generate_series(1, 3) as n
"""


def test_what_the_copy_lacks_is_an_alert_that_says_so(shop: Home) -> None:
    with psycopg.connect(shop.database_url(), autocommit=True) as primary:
        primary.execute("create database copy")
        primary.execute(ROWS)
    home = replace(shop, shop_url=shop.database_url().rpartition("/")[0] + "/copy", primary_url=shop.database_url())
    home.landing.mkdir(parents=True)
    with psycopg.connect(home.database_url(), autocommit=True) as copy:
        make_tables(copy)
        copy.execute(ROWS)
        copy.execute("delete from shop.orders where order_id = 'o3'")
    sources.sweep("orders", DAY, home, NOW)
    build(home, Request(), NOW)
    found = {one["finding"]: one for one in status.read(home, NOW)["differences"]}
    assert found.keys() == {"difference:orders:2026-11-01", "difference:order_items:2026-11-01"}
    assert {(one["source_records"], one["landed_records"]) for one in found.values()} == {(3, 2)}
    assert all("at the primary; the copy that is read holds 2" in one["note"] for one in found.values())
