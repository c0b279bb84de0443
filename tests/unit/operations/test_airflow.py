"""What is requested from Airflow, and which runs are waited for, tested without an Airflow."""

import json
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

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


def test_a_command_of_airflow_is_typed_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "airflow"
    fake.write_text(f"#!/bin/sh\necho x >> {tmp_path}/typed\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr(airflow, "_bin", lambda: tmp_path)
    monkeypatch.setattr(airflow, "_running", lambda home: airflow.Running(1, {}))
    monkeypatch.setattr(airflow, "_database", lambda home: "postgresql+psycopg://here")
    assert airflow.command(Home(tmp_path, tmp_path), ["dags", "list"]) == 3
    assert (tmp_path / "typed").read_text() == "x\n"


@pytest.mark.parametrize("last", [["--to-date", "2026-01-02"], ["--to-date=2026-01-02"]])
def test_the_last_day_of_a_backfill_is_a_whole_one(last: list[str]) -> None:
    command = ["backfill", "create", "--dag-id", "ingest_orders", "--from-date", "2026-01-01"]
    assert airflow.whole_days([*command, *last]) == [*command, "--to-date", "2026-01-02T23:59:59"]
    exact = [*command, "--to-date", "2026-01-02T05:00"]
    assert airflow.whole_days(exact) == exact
    assert airflow.whole_days(["tasks", "list", *last]) == ["tasks", "list", *last]


def test_each_source_that_is_on_has_a_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(airflow.dag_ids()) == {
        *("ingest_orders", "ingest_clickstream", "ingest_exchange_rates"),
        *("sweep_sources", "build_warehouse", "maintain", "check_sources", "decide"),
    }
    monkeypatch.setenv("CLEARWELL_SOURCES", "clickstream")
    assert airflow.dag_ids() == (
        *("ingest_clickstream", "sweep_sources", "build_warehouse", "maintain", "check_sources", "decide"),
    )


def run_of(dag_id: str, state: str, end: str) -> dict[str, str]:
    return {"dag_id": dag_id, "state": state, "end_date": end}


def test_a_build_is_waited_for_when_builds_are_and_a_landing_of_the_day_itself_never() -> None:
    day = date(2026, 1, 3)
    build = {"dag_id": "build_warehouse", "logical_date": "2026-01-03T05:30:00Z"}
    hour = {"dag_id": "ingest_orders", "logical_date": "2026-01-03T04:00:00Z"}
    before = {"dag_id": "sweep_sources", "logical_date": "2026-01-02T00:00:00Z"}
    found = [
        [run for run in (build, hour, before) if airflow.is_waited_for(run, day, builds=builds)]
        for builds in (True, False)
    ]
    assert found == [[build, before], [before]]


def test_a_build_that_failed_is_forgiven_by_a_later_one_and_a_landing_is_not() -> None:
    failed = [run_of("build_warehouse", "failed", "2026-01-01T10"), run_of("sweep_sources", "failed", "2026-01-01T09")]
    built = [run_of("build_warehouse", "success", "2026-01-01T11")]
    assert airflow.unmended(failed) == failed
    assert airflow.unmended(failed + built) == failed[1:]
    assert airflow.unmended([*failed[:1], run_of("build_warehouse", "success", "2026-01-01T09")]) == failed[:1]


def test_what_a_task_last_printed_is_read_from_its_log(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path)
    task = {"dag_id": "build_warehouse", "dag_run_id": "r", "task_id": "transform", "try_number": 2}
    assert airflow.last_line(home, task) == ""
    log = home.airflow / "logs" / "dag_id=build_warehouse" / "run_id=r" / "task_id=transform" / "attempt=2.log"
    log.parent.mkdir(parents=True)
    lines = [{"logger": "task.stdout", "event": "models 9 of 99"}, {"logger": "airflow", "event": "x"}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"logger": "task.st')
    assert airflow.last_line(home, task) == "models 9 of 99"


class Airflow(ThreadingHTTPServer):
    """The part of Airflow's API that a backfill needs. Every second answer is a 500, as from a busy machine."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.runs: dict[str, str] = {}
        self.backfills: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.count = 0


class Answer(BaseHTTPRequestHandler):
    server: Airflow

    def do(self) -> None:
        self.server.count += 1
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
        status, answer = (500, {}) if self.server.count % 2 else (200, self.answer(body))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def answer(self, body: Any) -> Any:
        path, asked = urlsplit(self.path).path.removeprefix("/api/v2"), parse_qs(urlsplit(self.path).query)
        if self.command != "GET" and path != "/auth/token":
            self.server.asked.append(f"{self.command} {path} {json.dumps(body)}" if body else f"{self.command} {path}")
        if path == "/auth/token":
            return {"access_token": "token"}
        if path == "/backfills" and self.command == "GET":
            listed = [dict(one) for one in self.server.backfills]
            for one in self.server.backfills:  # a running backfill ends soon, a paused one never
                if not one["is_paused"]:
                    one["completed_at"] = "2026-01-04T00:00:00Z"
            return {"backfills": listed}
        if path.endswith("/unpause"):
            self.server.backfills[0]["is_paused"] = False
        if path.endswith("/dagRuns"):
            runs = [
                {"logical_date": f"{day}T00:00:00Z", "state": state} for day, state in sorted(self.server.runs.items())
            ]
            first = int(asked["offset"][0])
            return {"dag_runs": runs[first : first + int(asked["limit"][0])]}
        return {}

    do_GET = do_POST = do_PATCH = do_PUT = do

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    server = Airflow()
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(airflow, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(airflow, "_running", lambda _home: airflow.Running(server.server_port, {}))
    monkeypatch.setattr(airflow, "_check_alive", lambda *_: None)
    airflow.passwords(Home(tmp_path, tmp_path)).parent.mkdir(parents=True)
    airflow.passwords(Home(tmp_path, tmp_path)).write_text('{"admin": "secret"}')
    yield server
    server.shutdown()
    server.server_close()


def complete(folder: Path, days: int = 3) -> list[str]:
    said: list[str] = []
    airflow.complete(Home(folder, folder), "sweep_sources", date(2026, 1, 1), date(2026, 1, 1 + days), said.append)
    return said


def test_only_days_without_a_run_or_with_one_that_failed_are_asked_for(api: Airflow, tmp_path: Path) -> None:
    api.runs = {"2026-01-01": "success", "2026-01-02": "failed"}
    assert any("2 days from 2026-01-02 to 2026-01-03" in line for line in complete(tmp_path))
    request = json.dumps(airflow.backfill_request("sweep_sources", date(2026, 1, 1), date(2026, 1, 4), again="failed"))
    assert api.asked == ['PATCH /dags/sweep_sources {"is_paused": true}', f"POST /backfills {request}"]


def test_days_that_were_landed_are_not_asked_for_again(api: Airflow, tmp_path: Path) -> None:
    api.runs = {f"2026-01-{day:02}": "success" for day in range(1, 4)} | {"2026-01-03": "running"}
    assert any("have landed already" in line for line in complete(tmp_path)) and api.asked == []


def test_an_unfinished_backfill_ends_first_and_is_waited_for(api: Airflow, tmp_path: Path) -> None:
    api.backfills = [{"id": 7, "completed_at": None, "is_paused": True}]
    assert any("waiting for an earlier backfill" in line for line in complete(tmp_path))
    assert api.asked[:2] == ["PUT /backfills/7/unpause", 'PATCH /dags/sweep_sources {"is_paused": false}']
    assert api.asked[-1].startswith("POST /backfills")


def test_a_list_is_read_to_its_end(api: Airflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow, "_PAGE", 2)
    api.runs = {f"2026-01-{day:02}": "success" for day in range(1, 6)}
    complete(tmp_path, 5)
    assert api.asked == []


def test_what_runs_do_is_asked_only_for_somebody_who_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question takes the API's process some of the machine that the runs need."""
    asked: list[str] = []

    class Api:
        running = airflow.Running(0, {}, "2026-01-01T00:00:00Z")

        def __init__(self, *_: object) -> None:
            self.active = [{"dag_id": "sweep_sources", "logical_date": "2026-01-01T00:00:00Z", "state": "running"}]

        def runs(self, *_: str, since: str = "") -> list[dict[str, Any]]:
            found = [] if since else list(self.active)
            self.active.clear()
            return found

        def ask(self, _method: str, path: str) -> dict[str, Any]:
            asked.append(path)
            return {"total_entries": 0, "task_instances": []}

    monkeypatch.setattr(airflow, "Api", Api)
    monkeypatch.setattr(airflow, "_check_alive", lambda *_: None)
    monkeypatch.setattr(airflow, "_RUNS_POLL_SECONDS", 0.01)
    home, said = Home(tmp_path, tmp_path), list[str]()
    airflow.wait(home, before=date(2026, 1, 2), builds=False)
    assert asked == []
    airflow.wait(home, said.append, before=date(2026, 1, 2), builds=False)
    assert asked and "now sweep_sources 2026-01-01" in said[0]
