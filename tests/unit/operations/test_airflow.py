"""What is asked of Airflow, and whose run a run is: pure, so tested without one."""

from datetime import date
from pathlib import Path

import pytest

from ingestion.home import Home
from operations import airflow


def test_a_backfill_asks_for_a_half_open_range_in_airflows_closed_one() -> None:
    asked = airflow.backfill_request("sweep_sources", date(2026, 1, 1), date(2026, 1, 3))
    assert (asked["from_date"], asked["to_date"]) == ("2026-01-01T00:00:00Z", "2026-01-02T23:59:59Z")


def test_the_schedules_own_run_after_midnight_is_not_waited_on() -> None:
    def is_ours(logical_date: str | None) -> bool:
        return airflow.starts_before({"logical_date": logical_date}, date(2026, 1, 3))

    assert is_ours("2026-01-02T23:00:00Z") and is_ours(None)
    assert not is_ours("2026-01-03T00:00:00Z")


def test_a_backfill_that_a_busy_database_did_not_take_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer is SQLite's; what it left is cancelled, which fails its runs, so those are asked for too."""
    fake = tmp_path / "airflow"
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/typed\n'
        f'[ $(wc -l < {tmp_path}/typed) -gt 1 ] || {{ echo "(sqlite3) database is locked" >&2; exit 1; }}\n'
    )
    fake.chmod(0o755)
    cancelled: list[str] = []
    monkeypatch.setattr(airflow, "_bin", lambda: tmp_path)
    monkeypatch.setattr(airflow, "_running", lambda home: airflow.Running(1, {}))
    monkeypatch.setattr(airflow, "_Api", lambda home: None)
    monkeypatch.setattr(airflow, "_cancel_backfills", lambda api, dag_id: cancelled.append(dag_id))
    typed = ["backfill", "create", "--dag-id", "sweep_sources", "--from-date", "2026-01-01"]
    assert airflow.command(Home(tmp_path, tmp_path), typed) == 0
    assert cancelled == ["sweep_sources"]
    first, second = (tmp_path / "typed").read_text().splitlines()
    assert first == " ".join(typed) and second == f"{first} --reprocess-behavior failed"


def test_another_command_of_airflow_is_typed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "airflow"
    fake.write_text(f"#!/bin/sh\necho x >> {tmp_path}/typed\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr(airflow, "_bin", lambda: tmp_path)
    monkeypatch.setattr(airflow, "_running", lambda home: airflow.Running(1, {}))
    assert airflow.command(Home(tmp_path, tmp_path), ["dags", "list"]) == 3
    assert (tmp_path / "typed").read_text() == "x\n"
