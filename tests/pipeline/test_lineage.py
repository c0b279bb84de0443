"""The lineage of a small shop: events of landings and builds, by OpenLineage's own classes, with every column of silver and gold."""

import json
import os
import pkgutil
from collections import defaultdict
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attr
import duckdb
import pytest
from jsonschema import Draft202012Validator
from openlineage.client import generated
from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent, RunState
from openlineage.client.generated.base import BaseFacet
from referencing import Registry, Resource

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


# The client's class of each facet, by the address of its schema.
FACETS = {
    one._get_schema(): one
    for module in pkgutil.iter_modules(generated.__path__)
    for one in vars(import_module(f"{generated.__name__}.{module.name}")).values()
    if isinstance(one, type) and issubclass(one, BaseFacet)
}


def odd(kind: Any, value: Any, name: str = "") -> list[str]:
    """Return what a value of JSON has that the client's class of it does not, or the other way round."""
    if kind is Any or isinstance(kind, str):
        return []
    if get_origin(kind) in (Union, UnionType):
        ways = [odd(one, value, name) for one in get_args(kind)]
        return [] if [] in ways else ways[0]
    if get_origin(kind) is list:
        return (
            [one for item in value for one in odd(get_args(kind)[0], item, name)]
            if isinstance(value, list)
            else [f"{name} is no list"]
        )
    if get_origin(kind) is dict:
        return [one for key in value for one in odd(get_args(kind)[1], value[key], f"{name}.{key}")]
    if not attr.has(kind):
        return [] if isinstance(value, kind) else [f"{name} is {value!r}"]
    hints, fields = get_type_hints(kind), {one.name: one for one in attr.fields(kind)}
    given = {key: item for key, item in value.items() if key not in ("_producer", "_schemaURL", "schemaURL")}
    inner = f"{name}." if name else ""
    return [
        *(f"{inner}{key} is unknown" for key in given if key not in fields),
        *(
            f"{inner}{key} is missing"
            for key, one in fields.items()
            if one.init and one.default is attr.NOTHING and key not in given
        ),
        *(one for key, item in given.items() if key in fields for one in odd(hints[key], item, f"{inner}{key}")),
    ]


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


def test_each_event_has_what_the_official_client_knows_and_of_its_types(told: tuple[Home, list[dict]]) -> None:
    """The client's classes are generated from the standard's schemas, each with the address of its own."""
    _, events = told
    assert len(events) > 200
    seen = set()
    for one in events:
        outer = {**one, "run": {**one["run"], "facets": {}}, "job": {**one["job"], "facets": {}}}
        parts = [("inputs", InputDataset), ("outputs", OutputDataset)]
        for name, _ in parts:
            outer[name] = [{key: part[key] for key in ("namespace", "name")} for part in one[name]]
        assert odd(RunEvent, {**outer, "eventType": RunState[one["eventType"]]}) == []
        for part in (one["run"], one["job"], *one["inputs"], *one["outputs"]):
            assert all(part["namespace"] and part["name"] for _ in [0] if "name" in part)
            for kind in ("facets", "inputFacets", "outputFacets"):
                for facet in part.get(kind, {}).values():
                    assert odd(FACETS[facet["_schemaURL"]], facet) == []
                    seen.add(facet["_schemaURL"].rpartition("/")[2])
    assert {
        "OutputStatisticsOutputDatasetFacet",
        "InputStatisticsInputDatasetFacet",
        "ColumnLineageDatasetFacet",
    } <= seen


def test_what_is_no_event_is_found_by_the_same_comparison() -> None:
    url = "OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet"
    (statistics,) = [one for address, one in FACETS.items() if address.endswith(url)]
    assert odd(statistics, {"rowCount": 3}) == []
    assert odd(statistics, {"rowCount": "3"}) == ["rowCount is '3'"]
    assert odd(statistics, {"rows": 3}) == ["rows is unknown"]
    (schema,) = [one for address, one in FACETS.items() if address.endswith("/SchemaDatasetFacet")]
    assert odd(schema, {"fields": [{"type": "text"}]}) == ["fields.name is missing"]


@pytest.mark.skipif("OPENLINEAGE_SPEC" not in os.environ, reason="needs the folder spec/ of OpenLineage's repository")
def test_each_event_is_valid_by_the_schemas_of_the_standard(told: tuple[Home, list[dict]]) -> None:
    """The schemas are not part of the client: OPENLINEAGE_SPEC names a folder that has them."""
    spec = Path(os.environ["OPENLINEAGE_SPEC"])
    bodies = [
        json.loads(path.read_text()) for path in [spec / "OpenLineage.json", *sorted((spec / "facets").glob("*.json"))]
    ]
    known = Registry().with_resources((one["$id"], Resource.from_contents(one)) for one in bodies)
    # facets name the version that the client knows, which may be older than the folder's
    newest = {one["$id"].rpartition("/")[2]: one["$id"] for one in bodies}
    event = Draft202012Validator({"$ref": f"{newest['OpenLineage.json']}#/$defs/RunEvent"}, registry=known)
    for one in told[1]:
        event.validate(one)
        for part in (one["run"], one["job"], *one["inputs"], *one["outputs"]):
            for kind in ("facets", "inputFacets", "outputFacets"):
                for facet in part.get(kind, {}).values():
                    file, _, place = facet["_schemaURL"].rpartition("/spec/facets/")[2].partition("/")[2].partition("#")
                    Draft202012Validator({"$ref": f"{newest[file]}#{place}"}, registry=known).validate(facet)


def test_each_model_says_how_many_rows_it_wrote(told: tuple[Home, list[dict]]) -> None:
    """After the first build, which touched all dates, the state has these rows."""
    home, events = told
    written: dict[str, list[int | None]] = defaultdict(list)
    for one in events:
        for output in one["outputs"] if one["job"]["name"].startswith("build.") else ():
            counts = output.get("outputFacets", {}).get("outputStatistics", {})
            written[output["name"].removeprefix("warehouse.")].append(counts.get("rowCount"))
    with duckdb.connect(str(home.state), read_only=True) as connection:
        for table in (
            "silver.orders",
            "silver.clickstream",
            "gold.daily_revenue",
            "gold.daily_funnel",
            "gold.customers",
        ):
            (there,) = connection.execute(f"select count(*) from {table}").fetchone() or (0,)
            assert there and written[table][0] == there, table
    assert len(written) > 50 and all(len(found) == 2 for found in written.values())
    # views
    assert {table for table, found in written.items() if None in found} == {
        "silver.linked_sessions",
        "silver.set_aside",
    }


def test_each_input_has_the_rows_that_the_model_before_it_wrote(told: tuple[Home, list[dict]]) -> None:
    """By the parents of the runs, an input and the output that it was are of the same build."""
    written, read = {}, []
    for one in told[1]:
        if one["job"]["name"].startswith("build.") and one["outputs"]:
            stage = one["run"]["facets"]["parent"]["run"]["runId"]
            for output in one["outputs"]:
                written[stage, output["name"]] = (
                    output.get("outputFacets", {}).get("outputStatistics", {}).get("rowCount")
                )
            read += [(stage, one["outputs"][0]["name"], part) for part in one["inputs"]]
    counted = [(stage, by, part) for stage, by, part in read if part.get("inputFacets")]
    assert len(counted) > 60
    for stage, by, part in counted:
        count = part["inputFacets"]["inputStatistics"]["rowCount"]
        assert count == written.get((stage, part["name"]), count), (by, part["name"])
    # 60 orders a day were made, and each is a record
    home, _ = told
    (orders,) = [one.records_written for one in bronze.committed(home) if one.dataset == "orders"]
    (first, _) = [
        part
        for _, by, part in counted
        if by == "warehouse.records.orders" and part["name"] == "warehouse.staging.orders"
    ]
    assert first["inputFacets"]["inputStatistics"]["rowCount"] == orders >= 60


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
        (counted,) = [
            one["inputFacets"]["inputStatistics"]["rowCount"]
            for one in landed["inputs"]
            if one["name"].endswith(f".shop.{batch.dataset}")
        ]
        assert counted == batch.counted_by_source
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
