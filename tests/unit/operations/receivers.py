"""Real servers on free ports that take what is sent to them: a webhook and a mail server. Closed when the test ends."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Web:
    """An HTTP server: what it got, and the status it answers with."""

    port: int = 0
    status: int = 200
    got: list[tuple[str, Any]] = field(default_factory=list)

    def texts(self) -> list[str]:
        """Return the texts of Slack-compatible messages."""
        return [body["text"] for _, body in self.got]


@contextmanager
def web() -> Iterator[Web]:
    """Run a webhook server."""
    server = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def answer(self, body: Any) -> None:
            if server.status == 200:
                server.got.append((self.path, body))
            self.send_response(server.status)
            if 300 <= server.status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.port = httpd.server_address[1]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


@contextmanager
def dripping(begins: bytes) -> Iterator[int]:
    """Run a server whose answer begins like this, goes on a byte at a time, and never ends; yield its port."""
    is_over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.sendall(begins)
                while not is_over.wait(0.02):
                    self.request.sendall(b"x")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            is_over.set()
            server.shutdown()
            thread.join()


@dataclass
class Mail:
    """A mail server: the letters it took, and whether a login was given."""

    port: int = 0
    letters: list[str] = field(default_factory=list)
    logins: int = 0


@contextmanager
def mail() -> Iterator[Mail]:
    """Run a mail server that takes every login."""
    server = Mail()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(line.encode() + b"\r\n")

        def handle(self) -> None:
            self.say("220 ready")
            while line := self.rfile.readline().decode().strip():
                word = line.split()[0].upper()
                if word == "EHLO":
                    self.say("250-here")
                    self.say("250 AUTH PLAIN LOGIN")
                elif word == "AUTH":
                    server.logins += 1
                    self.say("235 welcome")
                elif word == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (part := self.rfile.readline().decode()) != ".\r\n":
                        lines.append(part)
                    server.letters.append("".join(lines))
                    self.say("250 taken")
                elif word == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True

    tcp = Server(("127.0.0.1", 0), Handler)
    server.port = tcp.server_address[1]
    thread = threading.Thread(target=tcp.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        tcp.shutdown()
        tcp.server_close()
        thread.join()
