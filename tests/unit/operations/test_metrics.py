"""What Prometheus reads is what the published tables say, and the rules and the dashboard name numbers that exist."""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingestion.home import Home
from operations import metrics, status
from tests.unit.project.test_docs import ROOT

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "clearwell.rules.yml"
PUBLISHED = """
    create schema ops;
    create table ops.completeness as select 'orders' as dataset, timestamp '2026-11-20 10:00' as complete_until, timestamp '2026-11-20 10:00' as latest_window_end,
        2 as holes, 1 as short_windows, [date '2026-11-01'] as unreconciled_dates
    union all select 'silent', null, null, 0, 0, [];
    create table ops.ledger as from (values
        ('orders', 'current', 90, date '2026-11-19'), ('orders', 'dead_letter', 10, date '2026-11-19'),
        ('orders', 'current', 100, date '2026-11-01')) as t (dataset, fate, records, record_date);
    create table ops.builds as select 7 as build_number, timestamp '2026-11-20 09:00' as audited_at;
    create table ops.anomalies as from (values
        ('orders', true, false, timestamp '2026-11-19', 'a', 1, 2, -9), ('orders', true, true, timestamp '2026-11-19', 'b', 1, 2, -9),
        ('orders', false, false, timestamp '2026-11-19', 'c', 1, 2, -9), ('orders', true, false, timestamp '2026-11-01', 'd', 1, 2, -9))
        as t (dataset, is_alert, is_accepted, period_start, anomaly, value, expected, score);
    create table ops.runs as from (values
        ('ingest', 'orders', 'orders', 2.5, 100, 1000, timestamp '2026-11-20 08:00', 'ok'),
        ('ingest', 'orders', 'orders', 0.5, 0, 0, timestamp '2026-11-20 09:00', 'transient'),
        ('apply', null, null, 1.0, 100, 1000, timestamp '2026-11-20 08:00', 'ok'))
        as t (stage, source, dataset, seconds, records, bytes, started_at, result);
"""
FOUND = {
    "healthy": False,
    "held": [{}, {}],
    "gaps": [{}],
    "batches_waiting": 3,
    "broken": [],
    "late": ["orders"],
    "findings": [
        {"result": "fail", "consequence": "alert"},
        {"result": "fail", "consequence": "accepted"},
        {"result": "warn", "consequence": ""},
    ],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = Home(tmp_path, tmp_path / "landing")
    home.published.parent.mkdir()
    with duckdb.connect(str(home.published)) as connection:
        connection.execute(PUBLISHED)
    monkeypatch.setattr(status, "read", lambda home, now: FOUND)
    return home


def numbers(home: Home) -> dict[str, float]:
    """Return each line by its name and labels, as Prometheus' own reader has it."""
    text = metrics.exposition(home, NOW).decode()
    return {
        f"{sample.name.removeprefix('clearwell_')}{list(sample.labels.values()) or ''}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_numbers_are_those_of_the_tables(home: Home) -> None:
    found = numbers(home)
    at_ten = datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()
    expected = {
        "read_timestamp_seconds": NOW.timestamp(),
        "readable": 1,
        "healthy": 0,
        "held_batches": 2,
        "gaps": 1,
        "waiting_batches": 3,
        "late['orders']": 1,
        "findings['fail']": 1,
        "findings['warn']": 1,
        "complete_until_timestamp_seconds['orders']": at_ten,
        "holes['orders']": 2,
        "short_windows['orders']": 1,
        "unreconciled_dates['orders']": 1,
        "records['orders', 'current']": 190,
        "records['orders', 'dead_letter']": 10,
        "refused_share['orders']": 0.1,
        "anomalies['orders']": 1,
        "build_number": 7,
        "audited_timestamp_seconds": at_ten - 3600,
        "run_seconds['orders', 'orders', 'ingest']": 0.5,
        "run_records['orders', 'orders', 'ingest']": 0,
        "run_records['', '', 'apply']": 100,
        "run_started_timestamp_seconds['orders', 'orders', 'ingest']": at_ten - 3600,
        "run_succeeded_timestamp_seconds['orders', 'orders', 'ingest']": at_ten - 7200,
        "run_failures['orders', 'orders', 'ingest']": 1,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found["file_bytes['published']"] == home.published.stat().st_size
    assert "complete_until_timestamp_seconds['silent']" not in found, "what is not known has no line"


def test_an_empty_home_and_a_damaged_one_are_told(tmp_path: Path) -> None:
    assert numbers(Home(tmp_path / "none", tmp_path / "landing"))["readable"] == 1
    home = Home(tmp_path, tmp_path / "landing")
    home.published.parent.mkdir()
    home.published.write_bytes(b"no database" * 1000)
    assert numbers(home)["readable"] == 0 or numbers(home)["damaged_files"] == 1


def test_a_file_is_whole_or_not_there(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "clearwell.prom"
    metrics.write(home, NOW, path)
    lines = [
        [line for line in text.splitlines() if b"disk_free" not in line]
        for text in (path.read_bytes(), metrics.exposition(home, NOW))
    ]
    assert lines[0] == lines[1] and not list(tmp_path.glob(".*"))


def test_rules_and_dashboard_name_numbers_that_exist(home: Home) -> None:
    names = {family.name for family in text_string_to_metric_families(metrics.exposition(home, NOW).decode())}
    recorded = set(re.findall(r"record: (\S+)", RULES.read_text()))
    dashboard = json.loads((DEPLOY / "grafana" / "clearwell.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    texts = [*re.findall(r"expr: (.+)", RULES.read_text()), *asked]
    named = {name for text in texts for name in re.findall(r"clearwell[_:]\w+", text)}
    assert named and named <= names | recorded, named - names - recorded


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_the_rules_pass_their_own_tests() -> None:
    for command in (["check", "rules", RULES.name], ["test", "rules", "clearwell.test.yml"]):
        done = subprocess.run(["promtool", *command], cwd=RULES.parent, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
