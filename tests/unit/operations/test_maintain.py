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
    locks = {home.root / "build.lock", home.root / "state.lock"}
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
