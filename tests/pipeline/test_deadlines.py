"""A run that hangs misses its deadline under a real scheduler: a webhook is told once, and told again when the run has ended."""

import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.home import Home
from ingestion.land import silent
from ingestion.locks import hold
from operations import airflow, alerts
from tests.unit.operations.receivers import web

pytestmark = pytest.mark.long

LIMIT_SECONDS = 900.0
# What the DAGs promise, in hours, is shortened in a copy of them: everything else is as it runs anywhere.
PROMISED, SHORTENED = "interval=limit,", "interval=timedelta(seconds=1),"


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.5)


@pytest.fixture
def dags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let Airflow run a copy of the DAGs whose deadlines are a second after a run is queued."""
    folder = tmp_path / "copy" / "dags"
    shutil.copytree(airflow.REPOSITORY / "dags", folder, ignore=shutil.ignore_patterns("__pycache__"))
    common = folder / "common.py"
    text = common.read_text()
    assert text.count(PROMISED) == 1
    common.write_text(text.replace(PROMISED, SHORTENED))
    usual = airflow.environment

    def environment(home: Home, port: int = 0) -> dict[str, str]:
        return {
            **usual(home, port),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "PYTHONPATH": f"{folder.parent}:{airflow.REPOSITORY}",
        }

    monkeypatch.setattr(airflow, "environment", environment)
    return folder


def test_a_run_that_hangs_is_told_when_its_deadline_has_passed_and_when_it_is_over(
    dags: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home", tmp_path / "landing")
    home.staging.mkdir(parents=True)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    for number in range(3):  # the run may own the next hour, if that ends meanwhile
        folder = home.landing / f"{hour + timedelta(hours=number):%Y-%m-%d/%H}"
        folder.mkdir(parents=True)
        (folder / "part.jsonl").write_text(f'{{"event_id": "{number}"}}\n')
        os.utime(folder / "part.jsonl", (hour.timestamp(), hour.timestamp()))
    with web() as server:
        monkeypatch.setenv("CLEARWELL_ALERTS", f"mmost://127.0.0.1:{server.port}/token")
        monkeypatch.setenv("CLEARWELL_SOURCES", "clickstream")
        try:
            airflow.start(home)
            # the run of the last hour waits for another landing, as it would for one that hangs
            with hold(home.staging / "clickstream.lock", "lands clicks", silent):
                airflow.unpause(home, ["ingest_clickstream"])
                wait_for(lambda: bool(server.texts()))
                assert [one.entry.alert.key for one in alerts.read(home)] == ["deadline:ingest_clickstream"]
            wait_for(lambda: len(server.texts()) > 1)
        finally:
            airflow.stop(home)
        told = server.texts()
    assert len(told) == 2 and "alert: deadline: ingest_clickstream" in told[0], told
    assert "web-team" in told[0] and "clearwell status" in told[0] and "scheduled__" in told[0]
    assert "over: deadline: ingest_clickstream" in told[1]
    assert alerts.read(home) == []
