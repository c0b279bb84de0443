"""A real Prometheus reads the numbers, and a real Alertmanager tells that something is wrong and that it is over."""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from demo.server import free_port
from ingestion import bronze, sources
from ingestion.home import Home
from ingestion.window import Window, parse_time

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "clearwell.rules.yml"
WAIT_SECONDS = 90
EVENT = {"event_id": "1", "event_type": "page_view", "event_time": "2026-11-01T10:00:00Z", "visitor_id": "v"}

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (shutil.which("prometheus") and shutil.which("prometheus-alertmanager")),
        reason="Debian's prometheus and prometheus-alertmanager are not installed",
    ),
]


@contextmanager
def running(*command: str, **environment: str) -> Iterator[None]:
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def receiver() -> Iterator[tuple[int, "queue.Queue[dict[str, str]]"]]:
    """Take what Alertmanager sends to a webhook: the name and the status of each alert."""
    got: queue.Queue[dict[str, str]] = queue.Queue()

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for one in body["alerts"]:
                got.put({**one["labels"], **one["annotations"], "status": one["status"]})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with HTTPServer(("127.0.0.1", 0), Take) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, got
        finally:
            server.shutdown()
            thread.join()


def test_a_damaged_file_is_told_and_that_it_is_restored(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "landing")
    lines = home.landing / "2026-11-01" / "10" / "a.jsonl"
    lines.parent.mkdir(parents=True)
    lines.write_text(json.dumps(EVENT) + "\n")
    sources.ingest(
        "clickstream", Window.parse("2026-11-01T10:00", "2026-11-01T11:00"), home, parse_time("2026-11-01T12:00:00Z")
    )
    (manifest,) = bronze.committed(home)
    parquet = Path(bronze.parquet_files(home, manifest)[0])
    intact = parquet.read_bytes()
    parquet.write_bytes(intact[:9])
    numbers, prometheus, alertmanager = map(free_port, ("numbers", "prometheus", "alertmanager"))
    with ExitStack() as stack:
        webhook, got = stack.enter_context(receiver())
        (tmp_path / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(RULES)],
                    "scrape_configs": [
                        {
                            "job_name": "clearwell",
                            "authorization": {"credentials": "secret"},
                            "static_configs": [{"targets": [f"127.0.0.1:{numbers}"]}],
                        }
                    ],
                    "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
                }
            )
        )
        route = {"receiver": "webhook", "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
        hook = {"url": f"http://127.0.0.1:{webhook}/", "send_resolved": True}
        (tmp_path / "alertmanager.yml").write_text(
            json.dumps({"route": route, "receivers": [{"name": "webhook", "webhook_configs": [hook]}]})
        )
        stack.enter_context(
            running(
                *(sys.executable, "-m", "cli", "metrics", "--serve", str(numbers)),
                CLEARWELL_HOME=str(home.root),
                CLEARWELL_METRICS_TOKEN="secret",
            )
        )
        stack.enter_context(
            running(
                "prometheus-alertmanager",
                f"--config.file={tmp_path / 'alertmanager.yml'}",
                f"--storage.path={tmp_path / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{alertmanager}",
                "--cluster.listen-address=",
            )
        )
        stack.enter_context(
            running(
                "prometheus",
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{prometheus}",
            )
        )
        fired = next_of(got, "ClearwellDamaged")
        assert (fired["status"], fired["severity"], fired["summary"]) == ("firing", "critical", "1 files are damaged.")
        parquet.write_bytes(intact)
        assert next_of(got, "ClearwellDamaged")["status"] == "resolved"


def next_of(got: "queue.Queue[dict[str, str]]", name: str) -> dict[str, str]:
    """Wait for the next message about an alert."""
    while True:
        one = got.get(timeout=WAIT_SECONDS)
        if one["alertname"] == name:
            return one
