"""Which engine makes what and in which order, what one hands to the other, and how Spark fails. tests/spark runs Spark itself."""

import json
from contextlib import nullcontext
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from ingestion.land import silent
from warehouse import build as building
from warehouse import dbt, exchange, spark
from warehouse.engines import DUCKDB, SPARK
from warehouse.plan import Build, Request, make_trial_plan

NOW = datetime(2026, 11, 3, tzinfo=UTC)


def node(
    name: str, *reads: str, tags: tuple[str, ...] = (), sql: str = "", kind: str = "table", **meta: object
) -> dict:
    """Return a model as dbt's manifest has it."""
    layer, _, table = name.partition("_")
    return {
        "name": name,
        "schema": layer,
        "alias": table,
        "raw_code": sql,
        "original_file_path": f"models/{name}.sql",
        "depends_on": {"nodes": [f"model.clearwell.{one}" for one in reads]},
        "config": {"materialized": kind, "tags": [*tags], "meta": meta},
        "columns": {},
    }


def named(*nodes: dict) -> dict[str, dict]:
    return {one["name"]: one for one in nodes}


PROJECT = named(
    node("plan_batches", tags=(spark.BESIDE_STATE,)),
    node("staging_orders", "plan_batches"),
    node("plan_keys", "staging_orders", tags=(spark.BESIDE_STATE,)),
    node("ops_batches", "plan_keys", tags=(spark.ACCOUNTING, spark.BOTH)),
    node("records_orders", "staging_orders", "plan_keys", "ops_batches"),
    node("silver_all", "records_orders", kind="view"),
    node("silver_orders", "records_orders", kind="view", tags=(spark.BOTH,)),
    node("currencies", kind="seed"),
    node("ops_ledger", "records_orders", "currencies", tags=(spark.ACCOUNTING,)),
)


def test_of_a_whole_build_spark_makes_all_but_what_counts_it() -> None:
    makers = spark.engines(PROJECT, is_whole=True)
    assert makers[SPARK] == PROJECT.keys() - {"ops_ledger", "silver_all"}
    assert makers[DUCKDB] == {"ops_batches", "ops_ledger", "silver_all", "silver_orders", "currencies"}
    assert [turn.engine for turn in spark.turns(PROJECT, makers, first=SPARK)] == [SPARK, DUCKDB]


def test_a_model_in_python_is_made_by_duckdb_and_what_reads_it_by_spark() -> None:
    scores = node("silver_scores", "records_orders") | {"language": "python"}
    nodes = {**PROJECT, **named(scores, node("gold_risk", "silver_scores") | {"language": "sql"})}
    makers = spark.engines(nodes, is_whole=True)
    assert "silver_scores" in makers[DUCKDB] - makers[SPARK] and "gold_risk" in makers[SPARK] - makers[DUCKDB]
    turns = spark.turns(nodes, makers, first=SPARK)
    assert [turn.engine for turn in turns[:2]] == [SPARK, DUCKDB]
    assert turns[2:] == [spark.Turn(SPARK, ("gold_risk",)), spark.Turn(DUCKDB, ())], "DuckDB takes it over"


def test_otherwise_what_reads_more_of_the_state_is_made_beside_it_and_the_engines_take_turns() -> None:
    makers = spark.engines(PROJECT, is_whole=False)
    assert makers[SPARK] == {"staging_orders", "records_orders", "silver_orders", "currencies"}
    assert spark.turns(PROJECT, makers, first=DUCKDB) == [
        spark.Turn(DUCKDB, ("currencies", "plan_batches")),
        spark.Turn(SPARK, ("currencies", "staging_orders")),
        spark.Turn(DUCKDB, ("ops_batches", "plan_keys")),
        spark.Turn(SPARK, ("records_orders", "silver_orders")),
        spark.Turn(DUCKDB, ("ops_ledger", "silver_all", "silver_orders")),
    ]


@pytest.mark.parametrize(
    ("one", "tables"),
    [
        (node("gold_a", sql="from {{ before('gold_a') }}, {{ whole(\"silver_b\") }}"), {"gold_a", "silver_b"}),
        (node("silver_a", sql="{{ current_after('orders', dates) }}"), {"records_orders"}),
        (node("silver_a", sql="{{ current_in_view('orders', dates) }}"), {"records_orders"}),
        (
            node("silver_a", sql="{{ touched_sessions() }} {{ stale_dates('orders') }}"),
            {"silver_sessions", "ops_dates"},
        ),
        (node("silver_a", kind="changes"), {"silver_a"}),
        (node("staging_a"), {"records_decisions"}),
        (node("records_a", sql="{{ contest('a') }}"), {"records_a"}),
    ],
)
def test_the_sql_of_a_model_says_what_it_reads_of_the_state(one: dict, tables: set[str]) -> None:
    assert spark.state_read(one) == tables


def rows(reader: dict, table: dict, dates: list[date]) -> list[tuple]:
    """Return the rows of the state that a model is handed, of a table with two keys on each of three dates."""
    with duckdb.connect() as connection:
        for statement in (
            "attach ':memory:' as state; attach ':memory:' as build",
            f"create schema state.{table['schema']}; create schema build.plan",
            f"create table state.{table['schema']}.{table['alias']} as "
            "select unnest(['a', 'b']) as id, day, 'x' as fate, 'y' as text "
            "from unnest(['2026-11-01'::date, '2026-11-02'::date, null]) as t (day)",
            "create table build.plan.touched as select 'a' as id, null::date as day",
        ):
            connection.execute(statement)
        query = spark.touched_rows(reader, table, node("plan_touched"), dates)
        return connection.execute(f"from ({query}) order by all").fetchall()


def test_a_model_is_handed_the_rows_on_its_dates_and_with_its_keys() -> None:
    by = {"match": "plan_touched", "by": {"id": "id", "some_date": "day"}}
    table = node("silver_b", apply=by) | {"columns": {"id": {}, "day": {}}}
    first = [date(2026, 11, 1)]
    assert rows(node("silver_a", apply=by), table, first) == [
        ("a", first[0], "x", "y"),
        ("a", None, "x", "y"),
    ]
    # the other rows of the date belong to the table that it makes
    own = table | {"config": {"materialized": "changes", "tags": [], "meta": {"apply": by}}}
    assert [row[:2] for row in rows(own, own, first)] == [
        ("a", first[0]),
        ("a", None),
        ("b", first[0]),
        ("b", None),
    ]
    assert [row[1] for row in rows(own, own, [])] == [None, None]


def test_of_what_is_known_a_model_is_handed_the_columns_that_it_names() -> None:
    table = node("records_things", apply={"match": "plan_keys", "by": ["id"]}) | {
        "columns": {"id": {}, "fate": {}, "text": {}, "day": {}}
    }
    reader = node("silver_a", sql="{{ current_after('things', only=['id', 'day']) }}")
    assert rows(reader, table, [])[0] == ("a", "x", date(2026, 11, 1))


def test_a_model_that_reads_more_than_its_dates_is_refused() -> None:
    reader = node("gold_all", sql="{{ whole('silver_b') }}", apply={"replace": True})
    with pytest.raises(Permanent, match=r"gold_all cannot be built on Spark.*add the tag beside_state"):
        rows(reader, node("silver_b"), [])


def test_dates_are_read_as_far_as_a_change_reaches() -> None:
    assert spark.looked_back([date(2026, 11, 3), date(2026, 11, 2)], ["0", "1"]) == [
        date(2026, 11, 1),
        date(2026, 11, 2),
        date(2026, 11, 3),
    ]


def test_the_rows_that_spark_made_are_read_with_the_types_of_their_model(tmp_path: Path) -> None:
    columns = {name: {"name": name, "data_type": kind} for name, kind in (("day", "date"), ("amount", "decimal(38,4)"))}
    sales = node("gold_sales") | {"columns": columns}
    for folder, amount in {"gold/sales": 1.5, "changed/gold_sales": 2.5}.items():
        (tmp_path / folder).mkdir(parents=True)
        made = f"select {amount} as amount, '2026-11-01' as day"
        duckdb.execute(f"copy ({made}) to '{tmp_path / folder / 'part-0.parquet'}'")
        found = duckdb.sql(f"select typeof(day), amount::varchar from ({spark.selected(sales, tmp_path)})")
        assert found.fetchall() == [("DATE", f"{amount}000")]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A build whose project is one model that Spark makes, in a home whose Spark is not installed."""
    home = Home(tmp_path / "home", tmp_path / "landing")
    made = Build(home, "20261103T000000Z-test")
    make_trial_plan(made, [], NOW)
    building.prepare(made)
    monkeypatch.setenv(spark.FOLDER, str(tmp_path / "venv"))
    monkeypatch.delenv(exchange.PLACE, raising=False)
    one = node("staging_orders") | {"resource_type": "model"}
    monkeypatch.setattr(dbt, "read_nodes", lambda _: {"model.clearwell.staging_orders": one})
    return made


def making(tmp_path: Path, tables: Path | str) -> str:
    """Return the part of a script that makes the one table, as Spark would."""
    duckdb.sql("select 1 as n").write_parquet(str(tmp_path / "made.parquet"))
    return f"mkdir -p {tables}/staging/orders; cp {tmp_path}/made.parquet {tables}/staging/orders/part.parquet;"


def install(tmp_path: Path, script: str) -> None:
    """Put a script in the place of Spark's Python."""
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "dbt").touch()
    (folder / "python").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "python").chmod(0o755)


def test_without_spark_the_error_says_how_to_install_it(build: Build) -> None:
    with pytest.raises(Permanent, match=r"Spark is not installed.*make spark.*or choose the engine duckdb"):
        spark.run_models(build, silent)
    with pytest.raises(Permanent, match="Spark is not installed"):
        building.plan(build.home, Request(engine=SPARK), NOW)


def test_a_failed_model_is_named(build: Build, tmp_path: Path) -> None:
    answer = json.dumps({"failed": ["gold_sales: [NO_COLUMN] no such column"], "is_alive": True})
    install(tmp_path, f"read turn; echo '{answer}'; read end")
    with pytest.raises(Permanent, match=r"Spark could not build gold_sales: \[NO_COLUMN\].*spark\.log"):
        spark.run_models(build, silent)


@pytest.mark.parametrize("script", ["echo out of memory >&2; exit 137", """read turn; echo '{"failed": ["a"]}'"""])
def test_a_spark_that_ends_early_may_be_tried_again(build: Build, tmp_path: Path, script: str) -> None:
    install(tmp_path, script)
    with pytest.raises(Transient, match="Spark ended in the middle of a build"):
        spark.run_models(build, silent)


def test_spark_is_told_the_plan_and_what_it_is_handed(build: Build, tmp_path: Path) -> None:
    install(
        tmp_path,
        f"""read turn; echo "$turn" > {tmp_path}/told; {making(tmp_path, build.folder / "spark" / "tables")}
        echo '{{"failed": [], "is_alive": true}}'; read end""",
    )
    with duckdb.connect(str(build.home.state)) as state:
        state.execute("create schema ops; create table ops.batches as select 'b1' as batch_id, 1 as n")
    spark.run_models(build, silent)
    told = json.loads((tmp_path / "told").read_text())
    assert told["models"] == ["staging_orders"] and told["vars"]["plan"] == str(build.batches)
    (file,) = told["vars"]["handed"]["every_model"].values()
    assert duckdb.sql(f"from '{file}'").fetchall() == [("b1",)]
    assert "--target" in spark.arguments(tmp_path)


@pytest.mark.parametrize("failed", [[], ["staging_orders: no memory"]])
def test_where_spark_does_not_see_the_home_it_is_told_addresses_of_the_place(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: list[str]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setenv(exchange.PLACE, str(place))
    install(
        tmp_path,
        f"""read turn; echo "$turn" > {tmp_path}/told; cp -r {place} {tmp_path}/seen; env > {tmp_path}/env; {making(tmp_path, "$CLEARWELL_SPARK_TABLES")}
        echo '{json.dumps({"failed": failed, "is_alive": True})}'; read end""",
    )
    with duckdb.connect(str(build.home.state)) as state:
        state.execute("create schema ops; create table ops.batches as select 'b1' as batch_id")
    with pytest.raises(Permanent, match="no memory") if failed else nullcontext():
        spark.run_models(build, silent)
    told = json.loads((tmp_path / "told").read_text())
    (own,) = (tmp_path / "seen").iterdir()
    assert told["vars"]["plan"] == f"{place}/{own.name}/builds/{build.build_id}/batches.jsonl"
    (file,) = told["vars"]["handed"]["every_model"].values()
    assert duckdb.sql(f"from '{file.replace(str(place), str(tmp_path / 'seen'))}'").fetchall() == [("b1",)]
    env = (tmp_path / "env").read_text().splitlines()
    assert f"CLEARWELL_SPARK_HOME={place}/{own.name}" in env
    assert f"CLEARWELL_SPARK_TABLES={place}/{own.name}/builds/{build.build_id}/spark/tables" in env
    assert [*place.iterdir()] == []
