"""What a build tells dbt on Spark, what it takes over, and how it fails. tests/spark runs Spark itself."""

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import silent
from warehouse import build as building
from warehouse import spark
from warehouse.plan import SPARK, Build, Request, make_trial_plan

NODE = {
    "schema": "gold",
    "alias": "sales",
    "columns": {
        "day": {"name": "day", "data_type": "date", "constraints": [{"type": "not_null"}]},
        "amount": {"name": "amount", "data_type": "decimal(38,4)", "constraints": []},
    },
}


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    home = Home(tmp_path / "home", tmp_path / "landing")
    made = Build(home, "20261103T000000Z-test")
    make_trial_plan(made, [], datetime(2026, 11, 3, tzinfo=UTC))
    building.prepare(made)
    monkeypatch.setenv(spark.FOLDER, str(tmp_path / "venv"))
    return made


def install(tmp_path: Path, script: str) -> None:
    """Put a command in the place of dbt."""
    command = tmp_path / "venv" / "bin" / "dbt"
    command.parent.mkdir(parents=True)
    command.write_text(f"#!/bin/sh\nmkdir -p target\n{script}\n")
    command.chmod(0o755)


def test_without_spark_the_error_says_how_to_install_it(build: Build) -> None:
    with pytest.raises(Permanent, match=r"Spark is not installed.*make spark"):
        spark.run_models(build, silent)


def test_a_failed_model_is_named(build: Build, tmp_path: Path) -> None:
    results = {
        "results": [
            {"unique_id": "model.clearwell.silver_orders", "status": "success", "message": "OK"},
            {
                "unique_id": "model.clearwell.gold_sales",
                "status": "error",
                "message": "Runtime Error\n  [NO_COLUMN] no such column\n'Project",
            },
            {"unique_id": "model.clearwell.gold_more", "status": "skipped", "message": None},
        ]
    }
    assert list(spark.failures(results)) == ["gold_sales: [NO_COLUMN] no such column"]
    (tmp_path / "results.json").write_text(json.dumps(results))
    install(tmp_path, f"cp {tmp_path}/results.json target/run_results.json; exit 1")
    with pytest.raises(Permanent, match=r"Spark could not build gold_sales.*spark\.log"):
        spark.run_models(build, silent)


def test_a_dbt_that_ends_early_is_an_error(build: Build, tmp_path: Path) -> None:
    install(tmp_path, "echo out of memory; exit 137")
    with pytest.raises(Permanent, match="dbt could not run on Spark"):
        spark.run_models(build, silent)
    assert (build.folder / "logs" / "spark.log").read_text() == "out of memory\n"


def test_tables_are_taken_over_with_the_types_and_constraints_of_their_models(build: Build, tmp_path: Path) -> None:
    install(tmp_path, f"cp {tmp_path}/manifest.json target/; cp -r {tmp_path}/made tables")
    nodes = {"gold": NODE, "staging": {"schema": "staging", "alias": "orders", "columns": {}}}
    (tmp_path / "manifest.json").write_text(json.dumps({"nodes": nodes}))
    for folder, query in {
        "gold/sales": "select 1.5 as amount, '2026-11-01' as day",
        "staging/orders": "select 1 as n",
    }.items():
        (tmp_path / "made" / folder).mkdir(parents=True)
        duckdb.execute(f"copy ({query}) to '{tmp_path / 'made' / folder / 'part-0.parquet'}'")
    spark.run_models(build, silent)
    with duckdb.connect(str(build.file)) as made:
        assert made.execute("select day::varchar, amount::varchar from gold.sales").fetchall() == [
            ("2026-11-01", "1.5000")
        ]
        with pytest.raises(duckdb.ConstraintException):
            made.execute("insert into gold.sales values (null, 1)")
    with duckdb.connect(str(build.scratch), read_only=True) as scratch:
        assert scratch.execute("from staging.orders").fetchall() == [(1,)]


def test_spark_is_told_the_plan_and_what_it_is_handed(build: Build, tmp_path: Path) -> None:
    options = spark.arguments(build, tmp_path, {"previous.ops.batches": "/some/file.parquet"})
    told = json.loads(options[options.index("--vars") + 1])
    assert told["plan"] == str(build.batches)
    assert told["handed"] == {"previous.ops.batches": "/some/file.parquet"}
    assert options[options.index("--target") + 1] == "spark"


def test_only_whole_builds_are_made_on_spark() -> None:
    with pytest.raises(Permanent, match=r"whole builds only.*--full"):
        Request(engine=SPARK)
    assert Request(full=True, engine=SPARK).engine == SPARK
