"""Numbers for Prometheus."""

import base64
import hmac
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import click
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from cli.context import NewFile, now
from ingestion.errors import Permanent
from ingestion.home import Home
from operations import metrics
from operations.output import say, tell

TOKEN = "CLEARWELL_METRICS_TOKEN"
Start = Callable[[str, list[tuple[str, str]]], Any]


@click.command("metrics")
@click.option(
    "--output",
    type=NewFile(),
    help="Write to this file, as for the node exporter, instead of printing.",
)
@click.option(
    "--serve",
    metavar="[HOST:]PORT",
    help=f"Serve at /metrics until stopped. Needs {TOKEN}, which readers give as a bearer token or a password.",
)
def show_metrics(output: Path | None, serve: str | None) -> None:
    """Print numbers for Prometheus: how complete each dataset is, how long stages take, what is refused, held or unusual.

    The alert rules and a Grafana dashboard are in deploy/.
    """
    home = Home.from_environment()
    if output and serve:
        raise click.UsageError("give --output or --serve")
    if serve:
        _serve(home, serve)
    elif output:
        metrics.write(home, now(), output)
        tell(f"wrote {output}")
    else:
        click.echo(metrics.exposition(home, now()).decode(), nl=False)


def application(home: Home, token: str) -> Callable[[dict[str, Any], Start], Iterable[bytes]]:
    """Return the WSGI application: /metrics, for those who know the token."""

    def answer(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if not _is_allowed(environ.get("HTTP_AUTHORIZATION", ""), token):
            start("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="clearwell"'), ("Content-Type", "text/plain")])
            return [b"give the token\n"]
        if environ.get("PATH_INFO") != "/metrics" or environ.get("REQUEST_METHOD") != "GET":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"GET /metrics\n"]
        body = metrics.exposition(home, now())
        start("200 OK", [("Content-Type", CONTENT_TYPE_LATEST), ("Content-Length", str(len(body)))])
        return [body]

    return answer


def _is_allowed(header: str, token: str) -> bool:
    kind, _, given = header.partition(" ")
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return False
    return kind.lower() in ("basic", "bearer") and hmac.compare_digest(given.encode(), token.encode())


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    # Each connection has a thread: one that asks nothing, or reads no answer, must not have it for ever.
    timeout = 30.0

    def handle(self) -> None:
        """Answer one request; a client that is too slow, or gone, is no error."""
        with suppress(TimeoutError, ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Log no request: a scrape every few seconds would bury everything else."""


def _serve(home: Home, address: str) -> None:
    token = os.environ.get(TOKEN, "")
    if not token:
        raise Permanent("the numbers are not served to everybody", where=TOKEN, todo=f"set {TOKEN} to a secret")
    host, _, port = address.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{port!r} is no port", param_hint="--serve")
    try:
        server = make_server(host.strip("[]") or "127.0.0.1", int(port), application(home, token), _Server, _Quiet)
    except OSError as error:
        raise Permanent(f"cannot listen on {address}: {error.strerror}", todo="name another port or address") from None
    with server:
        say(f"serving http://{server.server_name}:{server.server_port}/metrics; Ctrl-C stops")
        server.serve_forever()
