"""The watchdog over a home that was really built: the tables it reads are those that builds write."""

from datetime import UTC, date, datetime, timedelta

import duckdb

from demo import simulate
from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from operations import query, status, watch
from operations.clocks import Clock
from tests.unit.operations.test_alerts import Inbox
from warehouse.build import Request, build

LANDED = datetime(2026, 11, 3, 0, 30, tzinfo=UTC)
DAY = ("2026-11-01", "2026-11-02")


def clock(hours: float) -> Clock:
    return Clock(LANDED + timedelta(hours=hours), 1000 + hours * 3600, "boot")


def test_a_built_home_is_well_until_nothing_new_comes(shop: Home) -> None:
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 2), orders_per_day=60, events_per_day=600)
    for source in sources.SOURCES:
        sources.ingest(source, Window.parse(*DAY), shop, LANDED)
    verdict = build(shop, Request(), LANDED).verdict
    assert verdict
    levels = {one.check_name: one.result for one in verdict.findings if one.check_name.startswith("service_level")}
    assert levels == dict.fromkeys(
        ("service_level freshness", "service_level completeness", "service_level error_budget"), "pass"
    )
    box = Inbox()
    assert watch.watch(shop, clock(1), [box], print, lambda: "").groups == () and box.got == []
    assert status.read(shop, clock(1).now)["late"] == []

    outcome = watch.watch(shop, clock(3), [box], print, lambda: "")
    assert [one.entry.alert.kind for one in outcome.groups] == ["no_build"]
    outcome = watch.watch(shop, clock(5), [box], print, lambda: "")
    assert [(one.entry.alert.kind, [i.key for i in one.implied]) for one in outcome.groups] == [
        ("no_build", ["stale:clickstream", "stale:orders"])
    ]
    assert status.read(shop, clock(5).now)["late"] == ["clickstream", "customers", "order_items", "orders", "products"]
    assert len(box.got) == 1

    # how far each dataset and each gold table is complete; its source has not counted yet
    with duckdb.connect(str(shop.published), read_only=True) as connection:
        until = connection.sql(
            "select dataset, complete_until, reconciled_until from ops.completeness order by 1"
        ).fetchall()
        gold = connection.sql(
            "select gold_table, datasets, complete_until, reconciled_until from ops.gold_completeness"
        )
        tables = {name: rest for name, *rest in gold.fetchall()}
        published = {
            name
            for (name,) in connection.sql(
                "select table_name from duckdb_tables() where schema_name = 'gold'"
            ).fetchall()
        }
        dated = connection.sql("select gold_table from ops.gold_completeness where row_date is not null").fetchall()
        views = {
            name: connection.sql(f"select bool_and(is_complete), bool_or(is_reconciled) from gold_complete.{name}")
            for (name,) in dated
        }
        said = {name: found.fetchall() for name, found in views.items()}
    # a query over the state, as `clearwell sql` asks it, finds the same
    for name, found in said.items():
        asked = query.run(shop, f"select bool_and(is_complete), bool_or(is_reconciled) from gold_complete.{name}")
        assert asked[1] == found, name
    end = datetime(2026, 11, 2)
    orders = ["customers", "exchange_rates", "order_items", "orders", "products"]
    assert until == [(name, end, None) for name in ("clickstream", *orders)]
    assert set(tables) == published
    assert {"daily_revenue", "daily_traffic", "hourly_revenue"} <= set(said) < published
    assert said["daily_traffic"] == said["daily_revenue"] == [(True, None)]
    assert tables["daily_traffic"] == [["clickstream"], end, None] and tables["daily_revenue"] == [orders, end, None]

    # a build after days without one says so itself
    late = LANDED + timedelta(days=2)
    sources.ingest("clickstream", Window.parse("2026-11-01", "2026-11-02T01:00"), shop, late)
    (shop.landing / "2026-11-02" / "01").mkdir(parents=True)
    (shop.landing / "2026-11-02" / "01" / "one.jsonl").write_text("no json\n")
    sources.ingest("clickstream", Window.parse("2026-11-02T01:00", "2026-11-02T02:00"), shop, late)
    sources.sweep("orders", Window.parse(*DAY), shop, late, print)
    verdict = build(shop, Request(), late).verdict
    assert verdict
    (freshness,) = [one for one in verdict.findings if one.check_name == "service_level freshness"]
    assert freshness.result == "warn" and freshness.failed_rows == 5 and "burn_rate" in freshness.examples
    with duckdb.connect(str(shop.published), read_only=True) as connection:
        complete = "select dataset from ops.completeness where reconciled_until = timestamp '2026-11-02' order by 1"
        counted = ["customers", "order_items", "orders", "products"]
        assert connection.sql(complete).fetchall() == [(name,) for name in counted]
        complete = "select gold_table from ops.gold_completeness where reconciled_until is null order by 1"
        only_clicks = [
            "daily_funnel",
            "daily_sessions",
            "daily_traffic",
            "last_hour",
            "search_terms",
            "visitor_features",
        ]
        assert [name for (name,) in connection.sql(complete).fetchall()] == only_clicks
