"""Change models between builds while a reader is connected: add, drop, rename and retype columns and tables."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from ingestion.contract import PROJECT
from ingestion.errors import Permanent
from ingestion.home import Home
from operations import ledger, status
from tests.pipeline.delivery import land_lines, land_rows
from tests.pipeline.test_meaning import COLUMNS, FIRST, LANDED, NOW, make_events, make_shop
from warehouse import dbt
from warehouse.build import Request, build, plan

DATED = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]["restated"]
clock = iter(NOW + timedelta(minutes=n) for n in range(1000))
LATE = datetime.combine(FIRST + timedelta(days=9), datetime.min.time(), UTC)
NEW_MODEL = """
with final as (
    select order_date, currency, count(*) as lines from {{ ref('silver_order_items') }}
    where order_date is not null
    group by order_date, currency
)

select * from final
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Yield a home whose models have not changed yet; a reader keeps its published file open throughout."""
    root = tmp_path_factory.mktemp("home")
    home = Home(root, root / "landing")
    for dataset, rows in make_shop(3).items():
        land_rows(home, dataset, COLUMNS[dataset], rows, NOW)
    land_lines(home, LANDED, [json.dumps(event) for event in make_events(3)], NOW)
    build(home, Request(), next(clock))
    first = shapes(home.published)
    # under its own name: within one process, another connection to the same path would also see the old file
    (root / "reader.duckdb").hardlink_to(home.published)
    reader = duckdb.connect(str(root / "reader.duckdb"), read_only=True)
    yield home
    assert shapes_of(reader) == first, "an open reader keeps the version that it opened"
    reader.close()


class Project:
    """A checkout of the dbt project that an analytics engineer edits."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.models = Path(shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("target", "logs"))) / "models"
        monkeypatch.setattr(dbt, "PROJECT", folder)

    def file(self, table: str, kind: str) -> Path:
        return self.models / "gold" / f"gold_{table}.{kind}"

    def describe(self, table: str) -> dict[str, Any]:
        return yaml.safe_load(self.file(table, "yml").read_text())["models"][0]

    def write(self, table: str, model: dict[str, Any]) -> None:
        self.file(table, "yml").write_text(yaml.safe_dump({"models": [model]}, sort_keys=False))

    def select(self, table: str, what: str) -> None:
        """Wrap the last select of a model, taking only `what` from it."""
        path = self.file(table, "sql")
        text, changed = re.subn(
            r"\nselect (.*) from (final|\(.*\) as final)(?=\n)",
            lambda last: f"\nselect {what} from (select {last[1]} from {last[2]}) as final",
            path.read_text(),
        )
        assert changed == 1
        path.write_text(text)

    def add(self, table: str, name: str, kind: str, expression: str, *constraints: str) -> None:
        model = self.describe(table)
        entry = {"name": name, "data_type": kind, "description": "New."}
        model["columns"].append(entry | {"constraints": [{"type": one} for one in constraints]})
        self.write(table, model)
        self.select(table, f"*, cast({expression} as {kind}) as {name}")

    def drop(self, table: str, name: str) -> None:
        model = self.describe(table)
        model["columns"] = [column for column in model["columns"] if column["name"] != name]
        self.write(table, model)
        self.select(table, f"* exclude ({name})")

    def rename(self, table: str, name: str, new: str) -> None:
        self.write(table, self.changed(table, name, name=new))
        self.select(table, f"* rename ({name} as {new})")

    def retype(self, table: str, name: str, kind: str) -> None:
        self.write(table, self.changed(table, name, data_type=kind))
        self.select(table, f"* replace (cast({name} as {kind}) as {name})")

    def changed(self, table: str, column: str, **how: str) -> dict[str, Any]:
        model = self.describe(table)
        model["columns"] = [one | how if one["name"] == column else one for one in model["columns"]]
        text = re.sub(rf"\b{column}\b", how.get("name", column), json.dumps(model, default=str))
        return json.loads(text)

    def remove(self, table: str) -> None:
        for kind in ("sql", "yml"):
            self.file(table, kind).unlink()

    def create(self, table: str, sql: str, columns: dict[str, str], **meta: Any) -> None:
        self.file(table, "sql").write_text(sql)
        described = [{"name": name, "data_type": kind, "description": "A column."} for name, kind in columns.items()]
        self.write(table, {"name": f"gold_{table}", "config": {"meta": meta}, "columns": described})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path / "project", monkeypatch)


def shapes(path: Path) -> dict[str, dict[str, str]]:
    with duckdb.connect(str(path), read_only=True) as file:
        return shapes_of(file)


def shapes_of(file: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in file.sql(
        "select table_name, column_name, data_type from duckdb_columns() where schema_name = 'gold' order by all"
    ).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


def ask(path: Path, question: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as file:
        return file.sql(question).fetchall()


def measure(project: Project, table: str) -> str:
    """Return a numeric column of a table that is never null."""
    return next(
        column["name"]
        for column in project.describe(table)["columns"]
        if column["data_type"] == "bigint" and "constraints" in column
    )


@pytest.mark.long
def test_what_would_leave_old_rows_that_are_wrong_is_said_before_anything_is_built(
    home: Home, project: Project
) -> None:
    before = (shapes(home.state), shapes(home.published), sorted(home.builds.iterdir()))
    project.retype("daily_traffic", "visitors", "varchar")
    project.retype("daily_sessions", "events", "decimal(18,2)")
    project.rename("search_terms", "searches", "times_searched")
    project.add("daily_funnel", "orders_seen", "bigint", "sessions", "not_null")
    shutil.move(project.file("cohorts", "sql"), project.file("customer_cohorts", "sql"))
    project.write("customer_cohorts", project.describe("cohorts") | {"name": "gold_customer_cohorts"})
    project.file("cohorts", "yml").unlink()
    with pytest.raises(Permanent) as caught:
        plan(home, Request(date(2020, 12, 24), date(2021, 1, 10), reason="test"), next(clock))
    for said in (
        "gold.daily_traffic.visitors was BIGINT and is now VARCHAR",
        "gold.daily_sessions.events was BIGINT and is now DECIMAL(18,2)",
        "gold.search_terms has times_searched but no longer searches",
        "gold.daily_funnel.orders_seen is new and must not be null",
        "gold.customer_cohorts appeared and gold.cohorts disappeared",
    ):
        assert said in caught.value.what
    assert "clearwell build --full --reason" in caught.value.todo
    assert (shapes(home.state), shapes(home.published), sorted(home.builds.iterdir())) == before


@pytest.mark.long
def test_columns_and_models_come_and_go_with_the_next_build(home: Home, project: Project) -> None:
    for table in DATED:
        project.add(table, "twice", "bigint", f"2 * {measure(project, table)}")
    project.add("customers", "label", "varchar", "rfm_class || country")
    project.drop("order_risk", "scored_by")
    project.create(
        "daily_lines",
        NEW_MODEL,
        {"order_date": "date", "currency": "varchar", "lines": "bigint"},
        apply={"match": "plan_order_dates", "by": ["order_date"]},
        grain=["order_date", "currency"],
    )
    told: list[str] = []
    land_orders(home, "late")
    build(home, Request(), next(clock), told.append)
    for file in (home.state, home.published):
        found = shapes(file)
        assert "scored_by" not in found["order_risk"]
        assert found["daily_lines"] == {"order_date": "DATE", "currency": "VARCHAR", "lines": "BIGINT"}
        for table in DATED:
            # `twice` is set where rows were rebuilt, null in older rows, and never anything else
            wrong = f"select count(*) from gold.{table} where twice is distinct from 2 * {measure(project, table)} and twice is not null"
            assert ask(file, wrong) == [(0,)], table
        for table in ("daily_revenue", "daily_traffic", "daily_products"):
            assert ask(file, f"select count(twice) > 0, count(*) > count(twice) from gold.{table}") == [(True, True)]
    for said in ("gold.daily_revenue.twice is new", "gold.order_risk.scored_by is dropped", "gold.daily_lines is new"):
        assert any(said in line for line in told), said
    assert not ask(home.published, "from ops.restatements where measure = 'twice'")
    stale = status.read(home, next(clock))["stale"]
    assert {row["dataset"] for row in stale} >= {"orders", "clickstream"}
    assert ledger.recount(home) == ([], True)

    project.remove("cohorts")
    build(home, Request(FIRST, FIRST + timedelta(days=40), reason="twice"), next(clock), told.append)
    assert any("makes gold.cohorts any more" in line for line in told)
    assert "cohorts" not in shapes(home.state) and "cohorts" not in shapes(home.published)
    for table in DATED:
        assert ask(home.published, f"select count(*) from gold.{table} where twice is null") == [(0,)], table
    lines = "from silver.order_items where order_date is not null group by all order by all"
    assert ask(home.published, "from gold.daily_lines order by all") == ask(
        home.state, f"select order_date, currency, count(*) {lines}"
    )
    # records without a date have the date of their landing, which is outside the range
    stale = status.read(home, next(clock))["stale"]
    assert not {"orders", "clickstream"} & {row["dataset"] for row in stale}


@pytest.mark.long
def test_a_full_build_takes_any_change(home: Home, project: Project) -> None:
    had = ask(home.published, "select activity_date, product_id, stock_quantity from gold.daily_products order by all")
    project.retype("daily_products", "stock_quantity", "varchar")
    project.retype("daily_revenue", "net_usd", "double")
    project.rename("daily_products", "stock_cover_days", "days_of_stock")
    land_orders(home, "later")
    with pytest.raises(Permanent, match="no longer match"):
        build(home, Request(), next(clock))
    build(home, Request(full=True, reason="models"), next(clock))
    for file in (home.state, home.published):
        found = shapes(file)
        assert found["daily_products"]["stock_quantity"] == "VARCHAR" and found["daily_revenue"]["net_usd"] == "DOUBLE"
        assert "days_of_stock" in found["daily_products"] and "stock_cover_days" not in found["daily_products"]
        assert "cohorts" in found and "daily_lines" not in found
    text = "select activity_date, product_id, stock_quantity::bigint from gold.daily_products order by all"
    assert ask(home.published, text) == had
    assert ledger.recount(home) == ([], True)
    # the next build continues from there
    land_orders(home, "last")
    build(home, Request(), next(clock))
    assert ledger.recount(home) == ([], True)


def land_orders(home: Home, name: str) -> None:
    """Land an order with one line, and a click, on a date in the middle."""
    at = LATE.isoformat(sep=" ")
    order = dict.fromkeys(COLUMNS["orders"]) | {
        **{"order_id": name, "customer_id": "c1", "status": "paid", "currency": "EUR", "shipping_country": "DE"},
        **{"total_amount": "5.00", "ordered_at": at, "updated_at": at},
    }
    line = dict.fromkeys(COLUMNS["order_items"]) | {
        **{"order_id": name, "line_number": "1", "product_id": "p1", "quantity": "2", "unit_price": "2.50"},
        **{"updated_at": at},
    }
    land_rows(home, "orders", COLUMNS["orders"], [order], next(clock))
    land_rows(home, "order_items", COLUMNS["order_items"], [line], next(clock))
    event = {"event_id": name, "event_type": "page_view", "event_time": LATE.isoformat(), "visitor_id": "v1"}
    land_lines(home, LANDED, [json.dumps(event | {"product_id": "p1"})], next(clock))
