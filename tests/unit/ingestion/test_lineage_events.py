"""Events go to the month's file or to the configured receiver; one that is dead or slow costs seconds and one warning."""

import http.server
import json
import logging
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion import lineage_events as events
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.window import Window

AT = datetime(2026, 11, 3, 4, 0, 0, 1500, tzinfo=UTC)
RUN = "34684c81-99a8-56a5-b9d5-850744770277"


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keep what is sent. `/slow` gives no answer until the test is over, `/broken` an error, `/once` one after the first event."""

    got: list[dict]
    over: threading.Event

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/slow":
            self.over.wait(60)
        is_refused = self.path == "/broken" or (self.path == "/once" and bool(self.got))
        if not is_refused:
            self.got.append(json.loads(body))
        self.send_response((400 if self.path == "/once" else 500) if is_refused else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Receiver, "got", [], raising=False)
    monkeypatch.setattr(Receiver, "over", threading.Event(), raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Receiver.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "false")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(events._Receiver, "has_failed", False)
    yield Home(tmp_path, tmp_path / "landing")
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE__")]:  # the client sets them
        del os.environ[name]


def event(at: datetime = AT, **facets: object) -> events.RunEvent:
    return events.run_event(events.COMPLETE, at, "ingest.orders", RUN, job_type="INGEST", run_facets=facets)


def written(home: Home) -> list[dict]:
    files = sorted(events.folder(home).glob("*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def test_events_are_lines_of_their_month(home: Home) -> None:
    events.emit(home, [event(), event(AT.replace(month=12))])
    events.emit(home, [event()])
    files = {path.name: len(path.read_text().splitlines()) for path in events.folder(home).iterdir()}
    assert files == {"2026-11.jsonl": 2, "2026-12.jsonl": 1}
    first = written(home)[0]
    assert (first["eventTime"], first["eventType"], first["run"]["runId"]) == (
        "2026-11-03T04:00:00.001Z",
        "COMPLETE",
        RUN,
    )
    assert first["job"]["namespace"] == "clearwell" and first["producer"].startswith("urn:clearwell:")


def test_only_the_last_months_are_kept(home: Home) -> None:
    events.emit(home, [event(AT.replace(month=month)) for month in range(6, 12)])
    assert sorted(path.stem for path in events.folder(home).iterdir()) == ["2026-09", "2026-10", "2026-11"]


def test_they_are_sent_where_the_client_is_configured_to(
    home: Home, receiver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", receiver)
    events.emit(home, [event(), event()])
    assert len(Receiver.got) == 2 and not events.folder(home).exists()
    monkeypatch.delenv("OPENLINEAGE_URL")
    Path("openlineage.yml").write_text(json.dumps({"transport": {"type": "http", "url": receiver}}))
    events.emit(home, [event()])
    assert len(Receiver.got) == 3 and Receiver.got[2]["run"]["runId"] == RUN


@pytest.mark.parametrize("fault", ["dead", "slow", "broken"])
def test_a_receiver_that_fails_is_given_up(
    fault: str, home: Home, receiver: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://me:secret@127.0.0.1:1" if fault == "dead" else receiver)
    monkeypatch.setenv("OPENLINEAGE_ENDPOINT", fault)
    monkeypatch.setattr(events, "_EVENT_SECONDS", 0.3)
    monkeypatch.setattr(events, "_ALL_SECONDS", 0.6)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            events.emit(home, [event(), event()])
    assert len(written(home)) == 6
    assert len(caplog.records) == 1 and "could not be sent" in caplog.text and "secret" not in caplog.text


def test_what_was_sent_before_a_failure_is_not_written(
    home: Home, receiver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", receiver)
    monkeypatch.setenv("OPENLINEAGE_ENDPOINT", "once")
    events.emit(home, [event(), event(AT.replace(hour=5))])
    assert [one["eventTime"][11:13] for one in Receiver.got] == ["04"]
    assert [one["eventTime"][11:13] for one in written(home)] == ["05"]


def test_a_run_is_part_of_another_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    assert events.parent_facets() == {}
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/dag.task/{RUN}")
    facet = events.parent_facets()["parent"]
    assert (facet.job.namespace, facet.job.name, facet.run.runId) == ("airflow", "dag.task", RUN)
    ours = events.parent_facets("build", RUN)["parent"]
    assert (ours.job.namespace, ours.job.name) == ("clearwell", "build")


def test_an_error_is_its_kind_and_the_next_command() -> None:
    told = events.error_facets(
        Permanent("ann@example.com is wrong", where="postgres://secret", todo="clearwell status")
    )
    assert told["errorMessage"].message == "Permanent. Next: clearwell status"
    assert events.error_facets(ValueError("ann@example.com"))["errorMessage"].message == "ValueError"
    assert (events.ended_by(ValueError()), events.ended_by(KeyboardInterrupt())) == (events.FAIL, events.ABORT)


def test_a_run_names_its_window() -> None:
    facet = events.window_facets(Window.parse("2026-11-01", "2026-11-02"))["nominalTime"]
    assert (facet.nominalStartTime, facet.nominalEndTime) == ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")


def test_many_processes_may_write(home: Home) -> None:
    threads = [threading.Thread(target=events.emit, args=(home, [event()] * 50)) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(written(home)) == 200
