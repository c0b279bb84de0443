"""What the watchdog's command loads: it runs every five minutes."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from ingestion.home import Home
from operations import alerts, notify
from tests.unit.operations.receivers import web

HEAVY = ("pyarrow", "psycopg", "numpy", "pandas", "dbt", "airflow", "great_expectations")


def test_a_pass_loads_only_what_it_needs(tmp_path: Path) -> None:
    program = f"""
import sys
from cli.main import main
sys.argv = ["clearwell", "watch"]
try:
    main()
except SystemExit as end:
    print("ended with", end.code)
print("loaded:", *(name for name in {HEAVY!r} if name in sys.modules))
"""
    environment = {"CLEARWELL_HOME": str(tmp_path), "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-2:] == ["ended with 1", "loaded:"], done.stderr


def test_whom_nobody_tells_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    shown = CliRunner().invoke(main, ["watch"])
    assert "CLEARWELL_ALERTS is not set" in shown.output and "CLEARWELL_WATCH_PING_URL is not set" in shown.output


def test_a_failure_is_ended_by_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    home, found = Home(tmp_path, tmp_path), alerts.Alert("task_failed", "it failed", "wait", "me", "decide.carry_out")
    alerts.update(home, datetime(2026, 11, 20, tzinfo=UTC), [found], lambda _: False, [notify.Log(print)])
    refused = CliRunner().invoke(main, ["watch", "--over", "task_failed:decide"])
    assert refused.exit_code == 1 and "choose one of: task_failed:decide.carry_out" in refused.stderr
    done = CliRunner().invoke(main, ["watch", "--over", "task_failed:decide.carry_out"])
    assert done.exit_code == 0 and "Clearwell over: task failed: decide.carry_out" in done.stderr
    assert alerts.read(home) == []


def test_an_endpoint_that_takes_no_test_message_is_an_alert_to_the_others_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a month without an alert nobody would notice a webhook that was revoked."""
    monkeypatch.setattr(notify, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    with web() as up, web() as other:
        monkeypatch.setenv("CLEARWELL_ALERTS", " ".join(f"mmost://127.0.0.1:{one.port}/t" for one in (up, other)))
        for status, exit_code in ((200, 0), (404, 1), (404, 1), (200, 0)):
            other.status = status
            assert CliRunner().invoke(main, ["watch", "--test-alert"]).exit_code == exit_code
        told = [text.splitlines()[0].strip("# ") for text in up.texts() if "endpoint" in text]
        tests = [text for text in up.texts() if "This is a test" in text]
    assert len(tests) == 4
    assert [line.removeprefix("Clearwell ") for line in told] == [
        "alert: endpoint: endpoint 2 (mmost)",
        "over: endpoint: endpoint 2 (mmost)",
    ]
    assert alerts.read(Home(tmp_path, tmp_path)) == []
