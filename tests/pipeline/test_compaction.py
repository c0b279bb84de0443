"""Compacted bronze is the same bronze: to a build, the recount, a trace, a look for damage, repair and dbt typed by hand."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import duckdb
import pytest

from demo import simulate
from ingestion import bronze, compacted, sources
from ingestion.home import Home
from ingestion.land import silent
from ingestion.window import Window
from operations import damage, hashes, ledger, maintain, repair, trace
from tests.pipeline.test_dbt_by_hand import dbt
from warehouse import state
from warehouse.build import Request, build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOURS = [f"2026-11-01T{hour:02}:00" for hour in range(0, 24, 6)] + ["2026-11-02T00:00"]


@pytest.fixture(scope="module")
def built(shop: Home) -> Home:
    """Return a home with a day that landed in four windows."""
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 2), orders_per_day=60, events_per_day=600)
    for start, end in pairwise(HOURS):
        for source in ("orders", "clickstream"):
            sources.ingest(source, Window.parse(start, end), shop, NOW)
    sources.ingest("exchange_rates", Window.parse("2026-11-01", "2026-11-02"), shop, NOW)
    build(shop, Request(), NOW)
    return shop


def identities(home: Home) -> list[tuple[object, ...]]:
    return [(one, one.records_written, one.bytes) for one in bronze.committed(home)]


def landed(home: Home) -> list[state.Row]:
    query = "select * exclude (build_id, model_version) from ops.batches order by batch_id"
    return state.read(home.state, "ops.batches", query)


def test_it_is_the_same_before_and_after(built: Home) -> None:
    before = identities(built), hashes.read(built), landed(built)
    query = "select batch_id || ':' || record_no as record from records.clickstream order by all"
    found = state.read(built.state, "records.clickstream", query)
    names = [found[0]["record"], found[-1]["record"]]
    traced = [trace.record(built, name) for name in names]

    done = [one for one in maintain.maintain(built, NOW) if one.does == maintain.REWRITTEN]
    assert {one.path.parent.name for one in done} >= {"clickstream", "orders", "order_items"}
    files = [path for one in bronze.committed(built) for path in bronze.parquet_files(built, one)]
    shared = [path for path in files if compacted.is_shared(path)]
    assert len(shared) >= 12
    assert len(set(shared)) == len(done)

    assert identities(built) == before[0]
    assert [trace.record(built, name) for name in names] == traced
    assert damage.search(built) == damage.glance(built) == []
    assert ledger.recount(built)[1]
    build(built, Request(full=True, reason="from compacted batches"), NOW + timedelta(hours=1))
    assert (identities(built), hashes.read(built), landed(built)) == before


def test_dbt_typed_by_hand_finds_every_record(built: Home) -> None:
    done = dbt(built, "run", "-s", "plan_batches")
    assert done.returncode == 0, done.stdout[-3000:]
    with duckdb.connect(str(built.root / "dev.duckdb"), read_only=True) as dev:
        planned = dict(dev.sql("select batch_id, files from plan.batches").fetchall())
    assert planned == {one.batch_id: bronze.parquet_files(built, one) for one in bronze.committed(built)}


def test_lost_indexes_are_told_and_repaired_without_the_source(built: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = identities(built)
    for path in built.bronze.rglob(compacted.INDEX):
        path.unlink()
    found = damage.glance(built)
    assert {one.ref.dataset for one in found if one.ref} >= {"clickstream", "orders", "order_items"}
    with monkeypatch.context() as patch:
        patch.setattr(sources, "ingest", lambda *_: pytest.fail("the source is not needed"))
        assert repair.repair(built, found, NOW, silent) == []
    assert damage.search(built) == [] and identities(built) == before


def test_a_damaged_file_is_repaired_from_the_source(built: Home) -> None:
    before = identities(built)
    batch = next(
        one
        for one in bronze.committed(built)
        if one.dataset == "clickstream" and compacted.is_shared(bronze.parquet_files(built, one)[0])
    )
    path = bronze.records_folder(built, batch) / batch.files[0].name
    path.write_bytes(path.read_bytes()[:-9])
    found = damage.glance(built)
    assert {one.ref.dataset for one in found if one.ref} == {"clickstream"}
    assert repair.repair(built, found, NOW, silent) == []
    assert damage.search(built) == []
    assert identities(built) == before
    maintain.maintain(built, NOW)
    assert identities(built) == before
    assert damage.search(built) == []
