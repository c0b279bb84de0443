"""A landing begins and ends with an event, whatever happens, and is never stopped by one."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion import lineage_events, log
from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Landing, Run
from ingestion.landing_events import landing_events
from ingestion.manifest import File, Manifest
from ingestion.window import Window

AT = datetime(2026, 11, 3, 4, tzinfo=UTC)
DAY = Window.parse("2026-11-01", "2026-11-02")
OLD = Manifest("clickstream", "b1", "clickstream", DAY, 1, AT, 3, 3, files=(File("a.parquet", 100, ""),))
NEW = replace(OLD, batch_id="b2", records_written=5)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "false")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Run(DAY, Home(tmp_path, tmp_path / "landing"), read_contracts(), AT)


def told(run: Run) -> list[dict]:
    paths = lineage_events.folder(run.home).glob("*.jsonl")
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def test_a_landing_names_the_new_batches(run: Run) -> None:
    clock = iter(AT + timedelta(minutes=minute) for minute in range(9))
    with log.bound(run_id=log.run_id("a"), clock=lambda: next(clock)), landing_events("clickstream", run) as found:
        found.append(Landing("clickstream", DAY, (OLD, NEW), frozenset({"b2"})))
    first, last = told(run)
    assert (first["eventType"], last["eventType"]) == ("START", "COMPLETE")
    assert first["run"]["runId"] == last["run"]["runId"] == log.run_id("a")
    (output,) = last["outputs"]
    assert output["name"] == str(run.home.bronze / "clickstream")
    assert [tag["value"] for tag in output["facets"]["tags"]["tags"]] == ["b2"]
    counts = output["outputFacets"]["outputStatistics"]
    assert (counts["rowCount"], counts["size"], counts["fileCount"]) == (5, 100, 1)
    assert [one["name"] for one in output["facets"]["schema"]["fields"]] == ["raw"]
    assert "event_id" in {one["name"] for one in last["inputs"][0]["facets"]["schema"]["fields"]}


@pytest.mark.parametrize(("error", "state"), [(Permanent("ann@example.com"), "FAIL"), (KeyboardInterrupt(), "ABORT")])
def test_a_failure_is_told_without_its_words(error: BaseException, state: str, run: Run) -> None:
    with pytest.raises(type(error)), log.bound(run_id=log.run_id("a")), landing_events("clickstream", run):
        raise error
    last = told(run)[-1]
    assert last["eventType"] == state and "ann@" not in json.dumps(last)
    assert last["run"]["facets"]["errorMessage"]["message"] == type(error).__name__


def test_no_event_stops_a_landing(run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(lineage_events, "emit", broken)
    caplog.set_level("WARNING")  # tests of Airflow, in the same process, set another
    with log.bound(run_id=log.run_id("a")), landing_events("clickstream", run) as found:
        found.append(Landing("clickstream", DAY, (NEW,), frozenset({"b2"})))
    assert "left out" in caplog.text and told(run) == []


def test_nothing_is_told_if_it_is_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    with landing_events("clickstream", run):
        pass
    assert not lineage_events.folder(run.home).exists()
