"""A Spark that does not see the home makes the tables that DuckDB makes, and nothing is left where the two meet.

They meet at an address of S3. Hadoop has a file system that takes any address for a folder: here, S3 is one for Spark and Clearwell.
"""

import itertools
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from ingestion import compaction
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.sources import s3
from operations import decide, hashes, ledger, listings
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from tests.pipeline.test_any_order import Shop, make_shop
from tests.spark.reading import Asked
from tests.spark.test_engines import rows_that_differ
from tests.unit.macros.dbt_like import project_of
from warehouse import exchange, spark
from warehouse.build import Request, build
from warehouse.engines import SPARK

pytestmark = pytest.mark.spark

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PLACE = "of us/ü+%41"
OF_OTHERS = {f"{PLACE}/clearwell-of-others/a.parquet"}
# What S3 is to Spark: a folder of this machine.
SETTINGS = """
spark.hadoop.fs.s3a.impl org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme
spark.hadoop.fs.viewfs.mounttable.bucket.linkFallback file://{bucket}
"""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let Clearwell and Spark take a folder for a bucket of S3, in which others have an object, and yield the folder."""
    root = tmp_path_factory.mktemp("s3")
    bucket, conf = root / "bucket", root / "conf"
    for name in OF_OTHERS:
        (bucket / name).parent.mkdir(parents=True)
        (bucket / name).touch()
    conf.mkdir()
    quick = (Path(__file__).parent / "conf" / "spark-defaults.conf").read_text()
    (conf / "spark-defaults.conf").write_text(quick + SETTINGS.format(bucket=bucket))
    store = fs.SubTreeFileSystem(str(root), fs.LocalFileSystem())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(conf))
        patch.setenv(exchange.PLACE, f"s3a://bucket/{PLACE}/")
        patch.setattr(s3, "filesystem", lambda: store)
        yield bucket


def objects(bucket: Path) -> set[str]:
    return {str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file()}


@pytest.fixture
def turns(homes: tuple[Home, Home], bucket: Path, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Move what Spark reads out of the home whenever it has its turn. Return what the bucket had when each turn began."""
    root, run, seen = homes[1].root, spark._run, []

    def run_without_home(*told: Any) -> None:
        hidden = [homes[1].bronze, *root.glob("builds/*/batches.jsonl"), *root.glob("builds/*/spark/handed")]
        seen.append(objects(bucket))
        tables = {*root.glob("builds/*/spark/tables/*/*/*")}
        for path in hidden:
            path.rename(path.with_name(f"{path.name}-hidden"))
        try:
            run(*told)
        finally:
            for path in hidden:
                path.with_name(f"{path.name}-hidden").rename(path)
        assert {*root.glob("builds/*/spark/tables/*/*/*")} == tables, "Spark wrote its tables to the home"

    monkeypatch.setattr(spark, "_run", run_without_home)
    return seen


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop(20261103)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> tuple[Home, Home]:
    """Two homes with the same bronze, some of it compacted. The second one's path has characters that addresses write otherwise."""
    root = tmp_path_factory.mktemp("homes")
    home, other = Home(root / "one", root / "landing"), Home(root / "it's 100%+ü é", root / "landing")
    for part in range(2):
        for dataset, columns, rows in (("orders", ORDER, shop.orders), ("order_items", LINE, shop.lines)):
            land_rows(home, dataset, columns, rows[part::2], NOW)
        land_lines(home, datetime(2026, 11, 3, part, tzinfo=UTC), shop.events[part:-3:2], NOW)
    groups = compaction.find(home, date(2026, 11, 10), lambda _: True)
    assert {one.dataset for one in groups} == {"orders", "order_items", "clickstream"}
    assert all(compaction.compact(home, one) for one in groups)
    shutil.copytree(home.root, other.root)
    return home, other


def in_both(homes: tuple[Home, Home], request: Request, hour: int) -> list[str]:
    """Build in both homes, the second by Spark, compare every row, and return what the second said."""
    by_duckdb, by_spark = homes
    said: list[str] = []
    shutil.copytree(by_duckdb.bronze, by_spark.bronze, dirs_exist_ok=True)
    build(by_duckdb, request, NOW.replace(hour=hour))
    build(by_spark, Request(**{**vars(request), "engine": SPARK}), NOW.replace(hour=hour), said.append)
    assert rows_that_differ(by_duckdb.state, by_spark.state) == {}
    assert hashes.read(by_duckdb) == hashes.read(by_spark)
    assert rows_that_differ(by_duckdb.published, by_spark.published) == {}
    assert ledger.recount(by_spark) == ([], True)
    return said


def test_a_failed_model_leaves_nothing_there(
    homes: tuple[Home, Home], bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = exchange.Exchange.put

    def lose_the_plan(self: exchange.Exchange, *told: Any) -> None:
        put(self, *told)
        (plan,) = bucket.glob(f"{PLACE}/*/builds/*/batches.jsonl")
        plan.unlink()
        assert len(objects(bucket)) > 1

    monkeypatch.setattr(exchange.Exchange, "put", lose_the_plan)
    with pytest.raises(Permanent, match=r"Spark could not build plan_batches: \[PATH_NOT_FOUND\].*s3a://bucket/"):
        build(homes[1], Request(engine=SPARK), NOW.replace(hour=11))
    assert objects(bucket) == OF_OTHERS


def test_a_whole_build_of_compacted_batches(homes: tuple[Home, Home], bucket: Path, turns: list[set[str]]) -> None:
    said = in_both(homes, Request(), 12)
    assert len([line for line in said if line.startswith("transform: copying") and "s3a://bucket/" in line]) == 2
    # nothing that the build does not read: of the compacted batches, three files and no manifest
    (before,) = turns
    names = [Path(name) for name in before - OF_OTHERS]
    assert sorted(name.name for name in names) == ["batches.jsonl", *["part-0.parquet"] * 3]
    assert {name.parts[-4] for name in names if name.suffix == ".parquet"} == {"orders", "order_items", "clickstream"}
    assert objects(bucket) == OF_OTHERS


def test_what_is_new_with_late_events_a_correction_and_a_range_that_is_read_again(
    homes: tuple[Home, Home], shop: Shop, bucket: Path, turns: list[set[str]]
) -> None:
    home, by = homes[0], decide.By("tester", NOW.replace(hour=13), "test")
    land_rows(home, "orders", ORDER, shop.restored, NOW)
    land_lines(home, datetime(2026, 11, 3, 5, tzinfo=UTC), shop.events[-3:], NOW)
    letter = next(
        one
        for one in listings.dead_letter_records(home, "order_items", None, 100)
        if shop.wrong_line["order_id"] in str(one) and shop.wrong_line["line_number"] in str(one)
    )
    file = home.root / "corrected.json"
    file.write_text(json.dumps({"record": letter["record"], "raw": shop.mended_line}))
    decide.resubmit(home, file, by)
    in_both(homes, Request(date(2026, 11, 1), date(2026, 11, 5), reason="test"), 14)
    first, copied = turns[0], set().union(*turns)
    assert any("/compacted-" in name for name in first)
    # rows of the state, and tables of this build that DuckDB made
    assert any("/handed/" in name and ".state." in name for name in copied)
    assert any(name.endswith("/handed/plan_batches.parquet") for name in first)
    # what is in the bucket is not copied again, nor are Spark's tables taken away before the end
    assert {name for name in copied if "/bronze/" in name} == {name for name in first if "/bronze/" in name}
    assert all(before <= after for before, after in itertools.pairwise(turns)) and len(turns) > 2
    assert any("/spark/tables/" in name for name in turns[-1])
    assert objects(bucket) == OF_OTHERS


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_path_that_becomes_data_is_that_of_the_home(asked: Asked, tmp_path: Path, scheme: str) -> None:
    home, place = tmp_path / "it's 100%+ü é", tmp_path / "of us" / "ü+%41" / "clearwell-0123456789abcdef"
    variables = {"CLEARWELL_HOME": str(home), "CLEARWELL_SPARK_HOME": f"{scheme}{place}"}
    macros = project_of("spark", asked.values)
    macros["env_var"] = lambda name, _: variables[name]
    files = [f"bronze/orders/2026-11-0{day}/b 100%+é/part-0.parquet" for day in (1, 2)]
    for chosen in (files, files[:1]):
        for name in chosen:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"n": [1]}), place / name)
        paths = [str(home / name) for name in chosen]
        query = f"select {macros['path_of_file']()} as path from {macros['spark__parquet'](paths)} order by path"
        assert asked.values(query) == [tuple(paths)]
