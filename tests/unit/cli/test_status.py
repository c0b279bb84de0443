"""The first line of `status` names the home; the last says whether all is well, what is not, and what to do."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from operations import status

GAP = {"source": "orders", "from": "2026-11-01", "to": "2026-11-02", "why": "missing"}
WELL: dict[str, Any] = {**status._UNKNOWN, "healthy": True, "unhealthy": [], "broken": []}


@pytest.mark.parametrize(
    ("found", "said", "exit_code"),
    [
        ({}, "healthy", 0),
        ({"gaps": [GAP]}, "healthy, with 1 gap: clearwell heal", 0),
        ({"gaps": [GAP, GAP]}, "healthy, with 2 gaps: clearwell heal", 0),
        ({"healthy": False, "unhealthy": ["late: orders", "1 held"]}, "not healthy: late: orders; 1 held", 1),
        (
            {"healthy": False, "unhealthy": ["1 held"], "gaps": [GAP]},
            "not healthy: 1 held; with 1 gap: clearwell heal",
            1,
        ),
    ],
)
def test_the_verdict(found: dict, said: str, exit_code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    monkeypatch.setattr(status, "read", lambda home, now: {"home": str(home.root), **WELL, **found})
    shown = CliRunner().invoke(main, ["status"])
    lines = shown.stdout.splitlines()
    assert (lines[0], lines[-1], shown.exit_code) == (f"home: {tmp_path}", said, exit_code)


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (None, "No watchdog looks at this home"),
        (timedelta(minutes=6), ""),
        (timedelta(days=3), "The watchdog last looked 3 d ago"),
    ],
)
def test_a_watchdog_that_does_not_look_is_told(
    ago: timedelta | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    monkeypatch.setattr(
        status,
        "read",
        lambda home, now: {
            "home": str(home.root),
            **WELL,
            "builds": [{"build_id": "b"}],
            "watched_at": None if ago is None else now - ago,
        },
    )
    shown = CliRunner().invoke(main, ["status"])
    assert shown.exit_code == 0 and ("atchdog l" in shown.output) == bool(said) and said in shown.output


def test_a_person_who_is_not_forgotten_yet_is_told_by_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    (tmp_path / "forgotten").mkdir()
    (tmp_path / "forgotten" / "abc.order.json").write_text('{"value": "c1"}')
    shown = CliRunner().invoke(main, ["status"])
    assert "abc (receipts)" in shown.output and "a person is not forgotten yet" in shown.stdout.splitlines()[-1]
    assert shown.exit_code == 1


def test_json_is_one_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path / "new"))
    shown = CliRunner().invoke(main, ["status", "--json"])
    found = json.loads(shown.stdout)
    assert shown.exit_code == 1 and found["findings"] == [] and found["unhealthy"][0] == "nothing is published"
    assert found["home"] == str(tmp_path / "new") and not (tmp_path / "new").exists()
