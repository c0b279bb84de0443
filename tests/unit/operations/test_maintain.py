"""What nothing reads any more is removed, and nothing else."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from ingestion.home import Home
from ingestion.locks import locked
from operations import listings, maintain
from warehouse import rewrite
from warehouse.plan import Build, Plan

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LAST, REFUSED = "20260801T000000Z-last", "20260802T000000Z-refused"


def finding(result: str) -> dict[str, object]:
    return {
        "check_name": "dates_balance",
        "result": result,
        "failed_rows": 0,
        "message": "",
        "examples": "",
        "consequence": "stopped" if result == "fail" else "",
    }


def planned(home: Home, build_id: str, result: str = "pass") -> Build:
    build = Build(home, build_id)
    (build.folder / "logs").mkdir(parents=True)
    (build.folder / "logs" / "dbt.log").write_text("log")
    build.batches.write_text("manifests")
    build.verdict.write_text(json.dumps([finding(result)]))
    Plan(build_id, "", 1, False, "", NOW.isoformat(), (), ()).save(build.folder)
    return build


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home with builds of many ages, and with leftovers of killed processes."""
    home = Home(tmp_path / "home", tmp_path / "landing")
    home.published.parent.mkdir(parents=True)
    for path in (home.state, home.published):
        with duckdb.connect(str(path)) as database:
            database.execute("create schema ops")
            database.execute(f"create table ops.builds as select '{LAST}' as build_id, 3 as build_number")
            columns = "'fail' as result, 4 as failed_rows, 'm' as message, '[]' as examples, '' as consequence"
            database.execute(
                f"create table ops.findings as select '20260101T000000Z-old' as build_id, 'a' as check_name, {columns}"
            )
    for build_id in ("20260101T000000Z-old", LAST, "20261119T000000Z-young"):
        planned(home, build_id)
    planned(home, REFUSED, "fail")
    (home.builds / "20261120T115900Z-killed").mkdir()
    (home.builds / "recount").mkdir()
    for name in ("orders-killed", "orders-living"):
        (home.staging / name).mkdir(parents=True)
        (home.staging / name / "part-0.parquet").write_bytes(b"records")
    spill = home.root / "warehouse.duckdb.tmp"
    spill.mkdir()
    for name, age in (("old", timedelta(days=2)), ("young", timedelta(minutes=1))):
        (spill / name).write_bytes(b"rows")
        os.utime(spill / name, times=((NOW - age).timestamp(),) * 2)
    return home


def files(home: Home) -> set[str]:
    locks = {home.root / f"{name}.lock" for name in ("build", "state", "recount")}
    return {str(path.relative_to(home.root)) for path in home.root.rglob("*") if path not in locks}


GONE = {
    "builds/20260101T000000Z-old/logs",
    "builds/20260101T000000Z-old/findings.json",
    "builds/20261120T115900Z-killed",
    "staging/orders-killed",
    "warehouse.duckdb.tmp/old",
}


def test_what_nothing_reads_any_more_goes_and_nothing_else(home: Home) -> None:
    before = files(home)
    with locked(home.staging / "orders-living"):
        told = maintain.maintain(home, NOW, dry_run=True)
        assert files(home) == before
        assert {str(one.path.relative_to(home.root)) for one in told} == GONE
        assert {one.path.name: one.size for one in told if one.path.name in ("logs", "orders-killed", "old")} == {
            "logs": len("log"),
            "orders-killed": len("records"),
            "old": len("rows"),
        }
        assert maintain.maintain(home, NOW) == told
        assert before - files(home) == GONE | {
            "builds/20260101T000000Z-old/logs/dbt.log",
            "staging/orders-killed/part-0.parquet",
        }
        assert maintain.maintain(home, NOW) == []


def test_the_days_that_files_stay_can_be_chosen(home: Home) -> None:
    with locked(home.staging / "orders-living"):
        maintain.maintain(home, NOW, keep_days=3650)
    assert (home.builds / "20260101T000000Z-old" / "logs").is_dir()


def test_an_old_build_still_shows_its_findings(home: Home) -> None:
    maintain.maintain(home, NOW)
    assert [(row["check_name"], row["failed_rows"]) for row in listings.build(home, "20260101T000000Z-old")] == [
        ("a", 4)
    ]


def test_a_home_without_anything_has_nothing_to_remove(tmp_path: Path) -> None:
    assert maintain.maintain(Home(tmp_path / "new", tmp_path / "landing"), NOW) == []


def test_an_uploaded_file_waits_a_week_for_its_run_to_be_repeated(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "landing")
    home.uploads.mkdir()
    for name, days in (("old", 8), ("new", 6)):
        path = home.uploads / name
        path.write_text("records")
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(path, (at, at))
    found = maintain.maintain(home, NOW)
    assert [(one.path.name, one.kind) for one in found] == [("old", "uploaded file that was not resubmitted")]
    assert [path.name for path in home.uploads.iterdir()] == ["new"]


def test_copies_of_manifests_stay_for_repair(home: Home) -> None:
    maintain.maintain(home, NOW)
    assert Build(home, "20260101T000000Z-old").batches.read_text() == "manifests"
    assert Build(home, "20260101T000000Z-old").plan().number == 1


def test_old_logs_go_and_young_ones_stay(home: Home) -> None:
    runs, logs = home.root / "runs", home.airflow / "logs"
    runs.mkdir()
    for month in ("2026-06", "2026-07", "2026-08", "2026-10", "2026-11"):
        (runs / f"{month}.jsonl").write_text("{}\n")
    for name, age in (("old", timedelta(days=91)), ("young", timedelta(days=89))):
        log = logs / f"dag_id={name}" / "run_id=1" / "attempt=1.log"
        log.parent.mkdir(parents=True)
        log.write_text("log")
        os.utime(log, times=((NOW - age).timestamp(),) * 2)
    for path in (logs / "dag_id=old" / "run_id=1", logs / "dag_id=old"):
        os.utime(path, times=((NOW - timedelta(days=91)).timestamp(),) * 2)
    told = {str(one.path.relative_to(home.root)) for one in maintain.maintain(home, NOW) if "log of" in one.kind}
    assert told == {"runs/2026-06.jsonl", "runs/2026-07.jsonl", "airflow/logs/dag_id=old/run_id=1/attempt=1.log"}
    assert sorted(path.name for path in runs.iterdir()) == ["2026-08.jsonl", "2026-10.jsonl", "2026-11.jsonl"]
    assert sorted(path.name for path in logs.rglob("*.log")) == ["attempt=1.log"]


def test_the_months_that_a_build_reads_stay_however_old(home: Home) -> None:
    (home.root / "runs").mkdir()
    for month in ("2024-01", "2024-02"):
        (home.root / "runs" / f"{month}.jsonl").write_text("{}\n")
    maintain.maintain(home, NOW)
    assert len(list((home.root / "runs").iterdir())) == 2


def test_what_a_killed_publish_left_goes(home: Home) -> None:
    left = [home.published.with_name(".next.duckdb"), home.root / ".warehouse.rewritten.duckdb"]
    for path in left:
        path.write_bytes(b"half")
    told = maintain.maintain(home, NOW)
    assert {one.path for one in told if one.kind == "file of a killed publish"} == {*left}
    assert not any(path.exists() for path in left)


def test_a_state_that_is_half_empty_is_rewritten(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite, "_LEAST_BYTES", 1_000_000)
    with duckdb.connect(str(home.state)) as database:
        database.execute(
            "create table ops.large as select md5(n::varchar) as text from range(300000) as t (n); checkpoint"
        )
        # behind it, so that the file cannot simply be cut off
        database.execute("create table ops.kept as from ops.large limit 100000; checkpoint")
        database.execute("drop table ops.large; checkpoint")
    size = home.state.stat().st_size
    told = [one for one in maintain.maintain(home, NOW, dry_run=True) if one.does == maintain.REWRITTEN]
    assert [one.path for one in told] == [home.state] and told[0].size > size / 2
    assert home.state.stat().st_size == size
    maintain.maintain(home, NOW)
    assert home.state.stat().st_size < size / 2
    assert listings.build(home, "20260101T000000Z-old")


def test_only_batches_that_no_build_or_landing_reads_are_compacted(home: Home) -> None:
    rows = [
        *(("orders", "a", "orders"), ("orders", "b", "orders"), ("orders", "c", "corrections")),
        *(("decisions", "d", "decisions"), ("source_counts", "e", "orders"), ("orders", "planned", "orders")),
    ]
    with duckdb.connect(str(home.state)) as database:
        database.execute(
            "create table ops.batches (dataset varchar, window_date date, batch_id varchar, source varchar)"
        )
        database.executemany("insert into ops.batches values ($1, date '2026-08-01', $2, $3)", rows)
    Plan("20261119T000000Z-young", LAST, 4, False, "", NOW.isoformat(), ("planned",), ()).save(
        Build(home, "20261119T000000Z-young").folder
    )
    assert {ref.batch_id for ref in maintain._settled(home)} == {"a", "b"}


def test_every_layer_is_listed_with_its_bytes(home: Home) -> None:
    listed = {one.layer: one for one in maintain.layers(home, 30)}
    assert listed["state"].bytes == home.state.stat().st_size
    assert listed["bronze"].kept == listed["state"].kept == "for ever"
    assert listed["logs and findings of builds"].kept == "30 days"
    files = [path for path in home.builds.rglob("*") if path.is_file()]
    assert listed["plans of builds"].bytes + listed["logs and findings of builds"].bytes == sum(
        path.stat().st_size for path in files
    )
