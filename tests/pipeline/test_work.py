"""A build reads as much of a long history as of a short one, and writes what changes. Rows are counted, not seconds."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from ingestion.contract import PROJECT
from ingestion.database import attached
from ingestion.home import Home
from ingestion.window import Window
from operations import decide, hashes, ledger
from tests.pipeline.copies import copied
from tests.pipeline.delivery import LINE, ORDER, RATE, Row, assert_repeats, land_lines, land_rows
from warehouse import build as warehouse
from warehouse import compiled, dbt, shape, state
from warehouse.apply import replacements
from warehouse.plan import Build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIRST, SECOND = "2026-11-01", "2026-11-02"
WINDOW = Window.parse(FIRST, SECOND)
# In a file with small row groups a few days are enough to tell a skipped part from a read one.
ROW_GROUP, COPIES = 2048, 60
BY_WINDOWS = "sorted by windows"
# These grow with customers, products and currencies, not with records.
SMALL = {"records.customers", "records.products", "records.exchange_rates", "gold.customers", "gold.daily_products"}
# What else models read of all history, and no more than that.
WHOLE_HISTORY = {
    # the keys that new records may share with old ones
    ("plan_keys_orders", "records.orders"),
    ("plan_keys_order_items", "records.order_items"),
    # the orders of changed lines, and the flags of orders and lines whose customer or product was unknown
    ("plan_orders", "silver.orders"),
    ("plan_orders", "silver.order_items"),
    # the earlier and later orders of the customers of the touched dates: one narrow row per order
    ("gold_campaigns", "silver.order_context"),
    ("gold_cohorts", "silver.order_context"),
    ("gold_customers", "silver.order_context"),
    ("silver_order_context", "silver.order_context"),
    ("silver_order_features", "silver.order_context"),
}

PACKED = "select compression from pragma_storage_info($1) where column_name = $2 and segment_type <> 'VALIDITY'"

# The models whose windows sort more rows of a longer history: one row a day, one row a customer, one row a purchase of an order. The last
# one sorts what changed since the first of the orders that are made again; here, their copies are orders of the same id.
SORTED = {
    "ops_completeness",
    "ops_differences",
    "ops_reconciliation",
    "gold_customers",
    "gold_campaigns",
    "silver_order_features",
}

BY_DATE = {
    "records.clickstream": "record_date",
    "records.order_items": "record_date",
    "records.orders": "record_date",
    "silver.order_context": "order_date",
    "silver.order_features": "order_date",
    "silver.order_items": "order_date",
    "silver.orders": "order_date",
    "silver.sessions": "session_date",
}


@pytest.fixture(scope="module")
def made(second_day: Home, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The build of a day on top of another one's, with its tables made and nothing applied."""
    home = copied(second_day, tmp_path_factory.mktemp("made") / "home")
    planned = warehouse.plan(home, warehouse.Request(), NOW)
    assert planned
    warehouse.transform(home, planned.build_id)
    return Build(home, planned.build_id)


def test_a_model_reads_no_more_of_a_long_history(made: Build, tmp_path: Path) -> None:
    short, long = (rows_read(made, tmp_path / f"{copies}.duckdb", copies) for copies in (0, COPIES))
    assert len(short) > 80, "the models were not explained"
    grown = {key for key, rows in long.items() if rows > 4 * ROW_GROUP and rows > COPIES / 4 * short[key]}
    assert not {key for key in grown - WHOLE_HISTORY if key[1] not in SMALL}
    assert ("plan_keys_orders", "records.orders") in grown, "the comparison does not see what is known to grow"
    windows = {model for (model, what), rows in long.items() if what == BY_WINDOWS and rows > short[model, what]}
    assert windows == SORTED


def test_columns_that_their_yaml_wants_unpacked_are_stored_so(made: Build) -> None:
    """DuckDB takes a hundred times as long to read the others of 128 bits."""
    models = [one for one in dbt.read_nodes(made).values() if one["resource_type"] == "model"]
    wanted = {
        (f"{model['schema']}.{model['alias']}", column["name"])
        for model in models
        for column in model["columns"].values()
        if column["config"]["meta"].get("storage") == "uncompressed"
    }
    with state.connect(made.home.state) as connection:
        found = {
            (table, column): {one for (one,) in connection.execute(PACKED, [table, column]).fetchall()}
            for table, column in [*wanted, ("silver.order_items", "line_amount")]
            if state.has_table(connection, *table.split("."))
        }
    assert "BitPacking" in found.pop(("silver.order_items", "line_amount")), "nothing of this table is packed"
    assert len(found) > 5
    # of equal values, only one is written
    assert {"Uncompressed"} <= set().union(*found.values()) <= {"Uncompressed", "Constant"}, found


def test_clicks_are_written_once_and_read_as_before(made: Build) -> None:
    """`silver.clickstream` is a view: of all current records in the state, and in a build of those on the dates that it touches."""
    columns = (
        "event_id, event_time, visitor_id, nullif(customer_id, '') as customer_id, record_date, batch_id, record_no"
    )
    current = f"select {columns} from records.clickstream where fate = 'current' and not is_deleted"
    asked = f"select {columns.replace('record_date', 'event_date')} from silver.clickstream"
    view = "select sql from duckdb_views() where (database_name, schema_name, view_name) = (current_database(), 'silver', 'clickstream')"
    with state.connect(made.home.state) as connection:
        assert len(connection.execute(view).fetchall()) == 1
        before = {*connection.execute(current).fetchall()}
        assert len(before) > 900 and {*connection.execute(asked).fetchall()} == before
    with state.connect(made.file) as connection, attached(connection, made.home.state, "state"):
        assert len(connection.execute(view).fetchall()) == 1
        own = {*connection.execute(current).fetchall()}
        touched = {*connection.execute("select event_id, record_date from plan.keys_clickstream").fetchall()}
        dates = {day for (day,) in connection.execute("select event_date from plan.event_dates").fetchall()}
        others = {one for one in before if one[4] in dates and (one[0], one[4]) not in touched}
        assert own and others and {*connection.execute(asked).fetchall()} == own | others
    assert "clickstream" in {row["table"] for row in hashes.read(made.home, "silver")}


def test_a_build_of_many_dates_writes_its_tables_by_date(tmp_path: Path) -> None:
    """DuckDB then skips most of a long history for a later build, however the history came."""
    home, first = Home(tmp_path / "home", tmp_path / "landing"), date(2026, 11, 1)
    for back in range(8):  # the last date first
        day = first + timedelta(days=8 - back)
        window = Window.parse(str(day), str(day + timedelta(days=1)))
        at = f"{day} 10:00:00+00"
        orders = [
            dict(zip(ORDER, [f"o{back}{n}", "c", "paid", "EUR", None, "DE", "2.00", at, at], strict=True))
            for n in range(3)
        ]
        lines = [dict(zip(LINE, [f"o{back}{n}", "1", None, "1", "2.00", None, at], strict=True)) for n in range(3)]
        land_rows(home, "orders", ORDER, orders, NOW, window)
        land_rows(home, "order_items", LINE, lines, NOW, window)
        clicks = [
            json.dumps(
                {
                    "event_id": f"e{back}{n}",
                    "event_type": "click",
                    "event_time": f"{day}T10:00:00Z",
                    "visitor_id": f"v{n}",
                }
            )
            for n in range(3)
        ]
        land_lines(home, datetime(day.year, day.month, day.day, 10, tzinfo=UTC), clicks, NOW)
    warehouse.build(home, warehouse.Request(), NOW)
    with state.connect(home.state) as connection:
        for table, column in BY_DATE.items():
            found = [row[0] for row in connection.execute(f"select {column} from {table} order by rowid").fetchall()]
            assert len(found) == 24 and found == sorted(found), table
        hours = [
            row[0] for row in connection.execute("select order_hour from gold.hourly_revenue order by rowid").fetchall()
        ]
        assert len(hours) == 8 and hours == sorted(hours)


def test_a_table_that_lands_whole_again_and_again_is_no_more_work_each_time(tmp_path: Path) -> None:
    """Its old duplicates stay as they are, unless a batch leaves; and a full build makes the same of them."""
    home = Home(tmp_path / "home", tmp_path / "landing")
    columns = ["customer_id", "country", "created_at", "updated_at"]
    hours = iter(NOW + timedelta(hours=number) for number in range(100))

    def land(number: int) -> tuple[str, int]:
        """Land 40 known customers and a new one; return the batch, and how many rows the build makes of it."""
        at = f"{FIRST} 10:00:00+00"
        ids = [*(f"c{n}" for n in range(40)), f"new {number}"]
        rows = [dict(zip(columns, [one, "DE", at, at], strict=True)) for one in ids]
        batch = land_rows(home, "customers", columns, rows, next(hours))
        planned = warehouse.plan(home, warehouse.Request(), next(hours))
        assert planned
        warehouse.transform(home, planned.build_id)
        with state.connect(Build(home, planned.build_id).file) as connection:
            (made,) = connection.execute("select count(*) from records.customers").fetchall()[0]
        warehouse.audit(home, planned.build_id, next(hours))
        warehouse.publish(home, planned.build_id)
        assert ledger.recount(home) == ([], True)
        return batch, made

    batches, made = zip(*(land(number) for number in range(4)), strict=True)
    # those that land, and the one that each is a copy of
    assert made == (41, 81, 81, 81)
    # the first copies leave, so that others take their place
    decide.retract(home, min(batches), decide.By("tester", next(hours), "test"))
    warehouse.build(home, warehouse.Request(), next(hours))
    assert land(4)[1] == 81
    assert_repeats(home, next(hours))


def test_records_are_read_again_and_not_kept_in_memory(made: Build) -> None:
    """DuckDB keeps what a query reads twice, which may be millions of wide rows. A few columns of keys may be kept."""
    settings = yaml.safe_load((PROJECT / "profiles.yml").read_text())["clearwell"]["outputs"]["build"]["config_options"]
    switched_off = settings["disabled_optimizers"]
    assert kept_in_memory(made, switched_off) <= {"crowded", "ruled"}
    assert any(name.startswith("__common") for name in kept_in_memory(made, "")), "so this test can fail"


def test_late_records_write_few_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A click, an order with its line, a new version of an order, and the same rate come late to dates with many others."""
    home = Home(tmp_path, tmp_path / "landing")
    clicks = [click(f"e{number}", f"v{number % 40}") for number in range(2000)]
    orders = [order(f"o{number}", "paid") for number in range(400)]
    lines = [line(f"o{number}", n) for number in range(400) for n in (1, 2)]
    rate = dict(zip(RATE, [FIRST, "USD", "1.1", f"{FIRST}T16:00:00Z"], strict=True))
    rows = {"orders": (ORDER, orders), "order_items": (LINE, lines), "exchange_rates": (RATE, [rate])}
    for dataset, (columns, values) in rows.items():
        land_rows(home, dataset, columns, values, NOW)
    land_lines(home, WINDOW.start, clicks, NOW)
    warehouse.build(home, warehouse.Request(), NOW)

    later = NOW + timedelta(hours=1)
    land_lines(home, WINDOW.start, [click("late", "v1")], later)
    land_rows(home, "orders", ORDER, [order("late", "paid"), order("o7", "shipped")], later)
    land_rows(home, "order_items", LINE, [line("late", 1)], later)
    land_rows(home, "exchange_rates", RATE, [rate | {"rate": "1.10", "updated_at": f"{SECOND}T16:00:00Z"}], later)
    planned = warehouse.plan(home, warehouse.Request(), later)
    assert planned
    warehouse.transform(home, planned.build_id)
    written = rows_written(Build(home, planned.build_id))
    assert written["records.exchange_rates"] == 2
    assert written["records.clickstream"] == 1
    assert (written["silver.orders"], written["silver.order_items"]) == (2, 3)
    assert (written["silver.order_context"], written["silver.order_features"]) == (2, 2)
    assert max(written.values()) < 100, written
    with duckdb.connect(str(Build(home, planned.build_id).file), read_only=True) as connection:
        connection.execute(f"attach '{home.state}' as state (read_only)")
        tables = ("clickstream", "orders", "order_items")
        counts = [connection.execute(f"select count(*) from silver.{name}").fetchall()[0][0] for name in tables]
        assert counts == [2001, 401, 801], "models read the whole date"

    # a build that is not small makes two models at once
    monkeypatch.setattr(dbt, "_FEW_RECORDS", 0)
    warehouse.transform(home, planned.build_id)
    assert rows_written(Build(home, planned.build_id)) == written

    with duckdb.connect(str(home.state)) as connection:
        connection.execute("update ops.dates set model_version = 'older'")
    warehouse.transform(home, planned.build_id)
    written = rows_written(Build(home, planned.build_id))
    names = ("silver.orders", "silver.order_items", "silver.order_features")
    assert [written[name] for name in names] == [401, 801, 401], "a date of other models is made again as a whole"


def test_only_numbers_that_a_change_can_reach_are_judged_again(tmp_path: Path) -> None:
    """A month of orders came in one window; then a day follows, with a change of an order of the tenth."""
    home, days = Home(tmp_path, tmp_path / "landing"), [date(2026, 10, 1) + timedelta(days=day) for day in range(31)]
    *month, last = days
    land_rows(home, "orders", ORDER, [order(f"o{day}", "paid", day) for day in month], NOW, window_of(month))
    for day in month:
        land_lines(home, window_of([day]).start, [click(f"e{day}", "v", day)], NOW)
    warehouse.build(home, warehouse.Request(), NOW)

    changed = [order(f"o{month[9]}", "shipped", month[9]), order(f"o{last}", "paid", last)]
    land_rows(home, "orders", ORDER, changed, NOW, window_of([last]))
    land_lines(home, window_of([last]).start, [click(f"e{last}", "v", last)], NOW)
    planned = warehouse.plan(home, warehouse.Request(), NOW)
    assert planned
    warehouse.transform(home, planned.build_id)
    with duckdb.connect(str(Build(home, planned.build_id).file), read_only=True) as connection:
        found = connection.execute("select dataset, record_date from plan.judged order by all").fetchall()
    # of clicks, dates whose sessions may have changed, and that of the window before: it is over now
    assert found == [("clickstream", day) for day in days[-3:]] + [("orders", day) for day in days[9:]]


def window_of(days: list[date]) -> Window:
    return Window.parse(str(days[0]), str(days[-1] + timedelta(days=1)))


def click(event_id: str, visitor: str, day: date | str = FIRST) -> str:
    event = {"event_id": event_id, "event_type": "click", "event_time": f"{day}T10:00:00Z", "visitor_id": visitor}
    return json.dumps(event)


def order(order_id: str, status: str, day: date | str = FIRST) -> Row:
    at = f"{day} 10:00:00+00"
    changed = f"{day} 11:00:00+00" if status == "shipped" else at
    return dict(zip(ORDER, [order_id, None, status, "EUR", None, "DE", "2.00", at, changed], strict=True))


def line(order_id: str, number: int) -> Row:
    return dict(zip(LINE, [order_id, str(number), None, "1", "2.00", None, f"{FIRST} 10:00:00+00"], strict=True))


def rows_written(build: Build) -> dict[str, int]:
    """Count the rows that an apply of the build inserts into each table of the state."""
    with state.connect(build.home.state) as connection, attached(connection, build.file, "build"):
        built, had = shape.read(connection, "build"), shape.read(connection)
        replaced = replacements(connection, dbt.changes(build), built, had)
        return {
            f"{one.change.schema}.{one.change.table}": state.rows(
                connection, f"select count(*) as n from {one.source}"
            )[0]["n"]
            for one in replaced
            if one.source
        }


def rows_read(build: Build, state: Path, copies: int) -> Counter[tuple[str, str]]:
    """Run each model's query over a state with so many copies of its days before them; count the rows read, by model and table."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{build.home.state}' as original (read_only)")
        connection.execute(f"attach '{state}' as state (row_group_size {ROW_GROUP})")
        connection.execute("copy from database original to state")
        connection.execute("detach original")
        lengthen(connection, copies)
        connection.execute("checkpoint state")
        for name, file in (("build", build.file), ("scratch", build.scratch), ("previous", build.empty)):
            connection.execute(f"attach '{file}' as {name} (read_only)")
        read: Counter[tuple[str, str]] = Counter()
        for node in json.loads(build.made_by.read_text())["nodes"].values():
            if node["resource_type"] == "model" and not node["config"]["meta"].get("apply", {}).get("view"):
                compiled = build.target / "compiled" / node["package_name"] / node["original_file_path"]
                explained = connection.execute(f"explain (analyze, format json) {compiled.read_text()}").fetchall()
                for table, rows in scans(json.loads(explained[0][1])):
                    read[node["name"], table] += rows
        return read


def kept_in_memory(build: Build, without_optimizers: str) -> set[str]:
    """Return what DuckDB would keep in memory to make the records of clicks, orders and lines, by its names."""
    found: set[str] = set()
    with duckdb.connect(
        str(build.file), read_only=True, config={"disabled_optimizers": without_optimizers}
    ) as connection:
        for name, file in (("scratch", build.scratch), ("state", build.home.state), ("previous", build.empty)):
            connection.execute(f"attach '{file}' as {name} (read_only)")
        models = models_of(build)
        for name in ("records_clickstream", "records_orders", "records_order_items"):
            plan = json.loads(connection.execute(f"explain (format json) {models[name]}").fetchall()[0][1])
            found |= {name for operator in plan for name in ctes(operator)}
    return found


def ctes(operator: dict[str, Any]) -> set[str]:
    """Return the names of what an operator and those below it keep."""
    own = (operator.get("extra_info") or {}).get("CTE Name")
    return {str(own)} - {"None"} | {name for child in operator.get("children", []) for name in ctes(child)}


def lengthen(connection: duckdb.DuckDBPyConnection, copies: int) -> None:
    """Add copies of all dated rows of the state, each 400 days before the one after it."""
    columns = connection.execute(
        "select schema_name, table_name, list((column_name, data_type) order by column_index) from duckdb_columns() "
        "inner join duckdb_tables() using (database_name, schema_name, table_name) where database_name = 'state' group by all"
    ).fetchall()
    for schema, table, named in columns:
        if any(kind == "DATE" for _, kind in named):
            moved = ", ".join(
                f"cast({name} - interval (400 * back) days as {kind}) as {name}"
                if kind in ("DATE", "TIMESTAMP")
                else name
                for name, kind in named
            )
            connection.execute(
                f"insert into state.{schema}.{table} "
                f"select {moved} from state.{schema}.{table}, range(1, {copies + 1}) as copies (back)"
            )


def scans(operator: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the tables of the state that an operator and those below it read, each with its rows, and those that windows sort."""
    table = str((operator.get("extra_info") or {}).get("Table") or "")
    found = [(table.removeprefix("state."), operator["operator_rows_scanned"])] if table.startswith("state.") else []
    if operator.get("operator_name") == "WINDOW":
        found.append((BY_WINDOWS, operator["operator_cardinality"]))
    return found + [scan for child in operator.get("children", []) for scan in scans(child)]


def test_most_models_are_compiled_once_for_all_builds_and_to_what_dbt_compiles(
    made: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their SQL was kept by the build of another day."""
    request = warehouse.Request(date(2026, 11, 1), date(2026, 11, 2), reason="another plan for the same models")
    planned = warehouse.plan(made.home, request, NOW)
    assert planned
    other = Build(made.home, planned.build_id)
    warehouse.transform(made.home, other.build_id)
    known = compiled.read(made.home, PROJECT, "models", dbt._columns_of_state(other))
    by_known = models_of(other)
    assert len(known) > len(by_known) / 2
    assert known.items() <= by_known.items()
    monkeypatch.setattr(compiled, "read", lambda *_: {})
    warehouse.transform(made.home, other.build_id)
    assert models_of(other) == by_known


def models_of(build: Build) -> dict[str, str]:
    """Return the SQL of each model of a build, as dbt ran it."""
    return {
        node["name"]: dbt.compiled_sql(build, node)
        for node in dbt.nodes_of(build).values()
        if node["resource_type"] == "model"
    }
