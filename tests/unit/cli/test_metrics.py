"""Numbers are served to those who know the token, printed, and written to a file."""

import base64
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from wsgiref.simple_server import make_server

import pytest
from click.testing import CliRunner

from cli import metrics as command
from cli.main import main
from ingestion.home import Home
from operations import metrics

TOKEN = "a secret"


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(metrics, "exposition", lambda home, now: b"clearwell_readable 1.0\n")
    application = command.application(Home(tmp_path, tmp_path), TOKEN)
    with make_server("127.0.0.1", 0, application, handler_class=command._Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def get(address: str, authorization: str = "") -> tuple[int, bytes]:
    request = urllib.request.Request(address, headers={"Authorization": authorization} if authorization else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"prometheus:{password}".encode()).decode()


def test_who_knows_the_token_gets_the_numbers(address: str) -> None:
    for header in (f"Bearer {TOKEN}", basic(TOKEN)):
        assert get(f"{address}/metrics", header) == (200, b"clearwell_readable 1.0\n")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer a", basic(""), basic("a"), "Basic %%%", f"Digest {TOKEN}", "Bearer é"]
)
def test_who_does_not_gets_nothing(address: str, header: str) -> None:
    status, body = get(f"{address}/metrics", header.encode().decode("latin-1"))
    assert status == 401 and b"clearwell" not in body


def test_a_client_that_asks_nothing_is_sent_away_and_others_are_answered(
    address: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A port scanner, or a balancer that only connects: each would keep a thread and a file for ever."""
    monkeypatch.setattr(command._Quiet, "timeout", 0.1)
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as idle:
        assert idle.recv(1) == b""
    assert get(f"{address}/metrics", f"Bearer {TOKEN}")[0] == 200
    assert capfd.readouterr().err == ""


def test_there_is_nothing_else(address: str) -> None:
    assert get(f"{address}/", f"Bearer {TOKEN}")[0] == 404


def test_without_a_token_nothing_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    monkeypatch.delenv(command.TOKEN, raising=False)
    found = CliRunner().invoke(main, ["metrics", "--serve", "0"])
    assert found.exit_code == 1 and f"set {command.TOKEN} to a secret" in found.stderr


def test_it_prints_or_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    monkeypatch.setattr(metrics, "exposition", lambda home, now: b"clearwell_readable 1.0\n")
    assert CliRunner().invoke(main, ["metrics"]).stdout == "clearwell_readable 1.0\n"
    path = tmp_path / "clearwell.prom"
    assert CliRunner().invoke(main, ["metrics", "--output", str(path)]).exit_code == 0
    assert path.read_text() == "clearwell_readable 1.0\n"
    assert CliRunner().invoke(main, ["metrics", "--serve", "1", "--output", str(path)]).exit_code == 2
