"""The lineage of a small shop: events of landings and builds, by OpenLineage's own classes, with every column of silver and gold."""

import json
from collections import defaultdict
from datetime import UTC, date, datetime

import pytest
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

from demo import simulate
from ingestion import bronze, lineage_events, run_log, sources
from ingestion.home import Home
from ingestion.window import Window
from warehouse import build_events, state
from warehouse.build import DOCS, Request, build, write_docs

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = Window.parse("2026-11-01", "2026-11-02")
# What a reader of the SQL says: the origins of a column, and how each enters.
EXPECTED = {
    "gold.daily_revenue.net_usd": {"silver.daily_sales.net_usd": "IDENTITY"},
    "gold.daily_revenue.net_amount_7_days": {
        "silver.daily_sales.net_amount": "AGGREGATION",
        "silver.daily_sales.country": "INDIRECT",
        "silver.daily_sales.currency": "INDIRECT",
        "silver.daily_sales.order_date": "INDIRECT",
    },
    "gold.daily_funnel.country": {"silver.sessions.country": "TRANSFORMATION"},
    "gold.daily_funnel.purchase_sessions": {"silver.sessions.purchase_events": "INDIRECT"},
    "silver.orders.status": {"records.orders.status": "IDENTITY"},
    "silver.orders.country": {"records.orders.shipping_country": "TRANSFORMATION"},
    "silver.orders.order_date": {"records.orders.record_date": "IDENTITY"},
    "silver.orders.is_known_customer": {
        "records.orders.customer_id": "TRANSFORMATION",
        "records.customers.customer_id": "TRANSFORMATION",
    },
    "silver.purchases.purchased_at": {"silver.clickstream.event_time": "IDENTITY"},
}
# What a row of silver or gold has that comes from no column.
CONSTANT: set[str] = set()


@pytest.fixture(scope="module")
def told(shop: Home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, list[dict]]:
    """Land a day, build it twice, and return the home and its events."""
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 2), orders_per_day=60, events_per_day=600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENLINEAGE_DISABLED", "false")
        for name in ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG"):
            patch.delenv(name, raising=False)
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        for source in sources.SOURCES:
            sources.ingest(source, DAY, shop, NOW)
        build(shop, Request(), NOW)
        build(shop, Request(date(2026, 11, 1), date(2026, 11, 2), False, "again"), NOW)
    files = sorted(lineage_events.folder(shop).glob("*.jsonl"))
    return shop, [json.loads(line) for path in files for line in path.read_text().splitlines()]


def test_each_event_is_what_the_client_accepts(told: tuple[Home, list[dict]]) -> None:
    _, events = told
    assert len(events) > 200
    for one in events:
        RunEvent(
            eventType=RunState[one["eventType"]],
            eventTime=one["eventTime"],
            run=Run(one["run"]["runId"]),
            job=Job(one["job"]["namespace"], one["job"]["name"]),
            producer=one["producer"],
        )
        parts = [one["run"], one["job"], *one["inputs"], *one["outputs"]]
        facets = [
            facet
            for part in parts
            for kind in ("facets", "inputFacets", "outputFacets")
            for facet in part.get(kind, {}).values()
        ]
        assert all(facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/") for facet in facets)
        assert all(part["namespace"] and part["name"] for part in parts[2:])


def test_each_run_begins_and_ends_once(told: tuple[Home, list[dict]]) -> None:
    states = defaultdict(list)
    for one in told[1]:
        states[one["run"]["runId"]].append(one["eventType"])
    assert {tuple(sorted(found)) for found in states.values()} == {("COMPLETE", "START")}


def test_a_landing_says_what_it_added(told: tuple[Home, list[dict]]) -> None:
    home, events = told
    (landed,) = [one for one in events if one["job"]["name"] == "ingest.orders" and one["eventType"] == "COMPLETE"]
    assert {one["name"].split(".", 1)[1] for one in landed["inputs"]} == {
        f"shop.{name}" for name in ("orders", "order_items", "customers", "products")
    }
    assert landed["run"]["facets"]["nominalTime"]["nominalStartTime"] == "2026-11-01T00:00:00Z"
    batches = {one.dataset: one for one in bronze.committed(home) if one.source == "orders"}
    for output in landed["outputs"]:
        batch = batches[output["name"].rsplit("/", 1)[1]]
        counts = output["outputFacets"]["outputStatistics"]
        assert (counts["rowCount"], counts["size"]) == (batch.records_written, batch.bytes)
        assert [one["value"] for one in output["facets"]["tags"]["tags"]] == [batch.batch_id]
    lines = {line.run_id.split("/")[0] for line in run_log.read(home) if line.stage == "ingest"}
    assert landed["run"]["runId"] in lines


def test_each_model_is_part_of_a_stage_and_that_of_a_build(told: tuple[Home, list[dict]]) -> None:
    home, events = told
    jobs = {one["run"]["runId"]: one["job"]["name"] for one in events}
    parents = {
        one["run"]["runId"]: one["run"]["facets"].get("parent", {}).get("run", {}).get("runId") for one in events
    }
    models = [run for run, job in jobs.items() if job == "build.gold_daily_revenue"]
    assert len(models) == 2
    for run in models:
        assert jobs[parents[run]] == "build.transform" and jobs[parents[parents[run]]] == "build"
    built = {row["build_id"] for row in state.read(home.state, "ops.builds", "select build_id from ops.builds")}
    tagged = {
        tag["value"] for one in events if one["job"]["name"] == "build" for tag in one["run"]["facets"]["tags"]["tags"]
    }
    assert built <= tagged


def columns(events: list[dict]) -> dict[str, dict[str, str]]:
    found = {}
    for one in events:
        for output in one["outputs"]:
            for column, field in output["facets"].get("columnLineage", {}).get("fields", {}).items():
                how = {
                    f"{origin['name']}.{origin['field']}".removeprefix("warehouse."): (
                        "INDIRECT" if (by := origin["transformations"][0])["type"] == "INDIRECT" else by["subtype"]
                    )
                    for origin in field["inputFields"]
                }
                found[f"{output['name']}.{column}".removeprefix("warehouse.")] = how
    return found


def test_columns_come_from_where_the_sql_says(told: tuple[Home, list[dict]]) -> None:
    found = columns(told[1])
    assert {column: found.get(column) for column in EXPECTED} == EXPECTED


def test_no_column_of_silver_or_gold_is_missing(told: tuple[Home, list[dict]]) -> None:
    home, events = told
    query = """
        select concat_ws('.', schema_name, table_name, column_name) as name from duckdb_columns()
        where schema_name in ('silver', 'gold') and not internal
    """
    every = {row["name"] for row in state.read(home.state, "silver.orders", query)}
    assert len(every) > 200 and every - set(columns(events)) == CONSTANT


def test_columns_are_told_once_a_month_for_each_version(told: tuple[Home, list[dict]]) -> None:
    outputs = [
        one["outputs"][0] for one in told[1] if one["job"]["name"] == "build.gold_daily_revenue" and one["outputs"]
    ]
    assert [set(one["facets"]) for one in outputs] == [{"schema", "documentation", "columnLineage"}, set()]
    assert len({one["name"] for one in outputs}) == 1


def test_checks_are_assertions_about_their_tables(told: tuple[Home, list[dict]]) -> None:
    audits = [one for one in told[1] if one["job"]["name"] == "build.audit" and one["eventType"] == "COMPLETE"]
    tables = {
        table["name"]: table["inputFacets"]["dataQualityAssertions"]["assertions"] for table in audits[0]["inputs"]
    }
    orders = {(one["assertion"], one["success"]) for one in tables["warehouse.silver.orders"]}
    assert ("unique_grain", True) in orders


def test_nothing_of_a_person_is_told(told: tuple[Home, list[dict]]) -> None:
    home, _ = told
    query = """
        select email as word from silver.customers union all select full_name from silver.customers
        union all select customer_id from silver.customers union all select visitor_id from silver.clickstream
    """
    words = {row["word"] for row in state.read(home.state, "silver.customers", query) if row["word"]}
    assert len(words) > 50
    texts = [path.read_text() for path in lineage_events.folder(home).iterdir()]
    texts.append(write_docs(home, NOW).read_text(encoding="utf-8"))
    for text in texts:
        assert [word for word in words if word in text] == []


def test_the_models_are_documented_as_one_page(told: tuple[Home, list[dict]]) -> None:
    home, _ = told
    page = write_docs(home, NOW)
    text = page.read_text(encoding="utf-8")
    assert page == home.root / DOCS and "gold_daily_revenue" in text and "INLINE DATA" not in text
    assert str(home.root) not in text and str(build_events.PROJECT) not in text
    assert '"send_anonymous_usage_stats": false' in text
