"""Each way in which an address can fail is Transient or Permanent, with a one-line message that holds no secret."""

import base64
import gzip
import http.server
import io
import os
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from ingestion.addresses import shown
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.sources import places
from ingestion.sources.places import Limits, begin, check_there, fetch

BODY = b"rate_date,currency,rate\n" * 100
SILENT_SECONDS = 0.5
TOTAL_SECONDS = 1.5
LIMITS = Limits(bytes=10_000, silent_seconds=SILENT_SECONDS, total_seconds=TOTAL_SECONDS)


class Answer(http.server.BaseHTTPRequestHandler):
    """Answer each path in a different way."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        name = self.path.split("?")[0].strip("/")
        if name.isdigit():
            self.send_error(int(name))
        else:
            getattr(self, name)()

    def do_HEAD(self) -> None:
        self.close_connection = True
        name = self.path.strip("/")
        if name == "silent":
            self.server.enough.wait(5 * SILENT_SECONDS)  # type: ignore[attr-defined]
        else:
            self.begin(0, int(name) if name.isdigit() else 200)

    def begin(self, length: int | None = len(BODY), code: int = 200, **headers: str) -> None:
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for header, value in headers.items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()

    def whole(self) -> None:
        self.begin(Last_Modified="Tue, 03 Nov 2026 15:00:00 GMT")
        self.wfile.write(BODY)

    def undated(self) -> None:
        self.begin(Last_Modified="a while ago")
        self.wfile.write(BODY)

    def moved(self) -> None:
        self.begin(0, 302, Location="/whole")

    def round(self) -> None:
        self.begin(0, 302, Location="/round")

    def short(self) -> None:
        self.begin()
        self.wfile.write(BODY[:1000])

    def short_chunks(self) -> None:
        self.begin(None, Transfer_Encoding="chunked")
        self.wfile.write(b"3e8\r\n" + BODY[:1000] + b"\r\n3e8\r\n" + BODY[:10])

    def reset(self) -> None:
        self.begin()
        self.wfile.write(BODY[:1000])
        self.hang_up()

    def no_answer(self) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """Close so that the other side sees a reset."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()

    def nonsense(self) -> None:
        self.wfile.write(b"what?\r\n\r\n")

    def silent(self) -> None:
        self.begin()
        self.wfile.write(BODY[:1000])
        self.wfile.flush()
        self.server.enough.wait(5 * SILENT_SECONDS)  # type: ignore[attr-defined]

    def slow(self) -> None:
        self.begin()
        for place in range(50):
            if self.server.enough.wait(SILENT_SECONDS / 5):  # type: ignore[attr-defined]
                return
            self.wfile.write(BODY[place : place + 1])
            self.wfile.flush()

    def large(self) -> None:
        self.begin(None, Connection="close")
        self.wfile.write(BODY * 20)

    def private(self) -> None:
        expected = f"Basic {base64.b64encode(b'me@here:p:ss').decode()}"
        if self.headers.get("Authorization") == expected:
            self.begin(0, 302, Location="/elsewhere")
        else:
            self.send_error(401)

    def elsewhere(self) -> None:
        if self.headers.get("Authorization"):
            self.send_error(500)
        else:
            self.whole()

    def log_message(self, *_: object) -> None:
        pass


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Ignore errors: clients that hang up are part of the test."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = Quiet(("127.0.0.1", 0), Answer)
    server.enough = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.enough.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_body_is_whole_and_says_when_it_was_published(address: str) -> None:
    body, published_at = fetch(f"http://{address}/whole", LIMITS)
    assert body == BODY and published_at and published_at.isoformat() == "2026-11-03T15:00:00+00:00"
    assert fetch(f"http://{address}/undated", LIMITS) == (BODY, None)


def test_it_goes_where_it_is_sent(address: str) -> None:
    assert fetch(f"http://{address}/moved", LIMITS)[0] == BODY


def test_the_password_is_sent_to_the_address_and_not_on_from_there(address: str) -> None:
    assert fetch(f"http://me%40here:p%3Ass@{address}/private", LIMITS)[0] == BODY


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("404", Permanent, "status 404"),
        ("403", Permanent, "status 403"),
        ("429", Transient, "status 429"),
        ("500", Transient, "status 500"),
        ("503", Transient, "status 503"),
        ("round", Permanent, "status 302"),
        ("short", Transient, "stopped after 1,000 of 2,400 bytes"),
        ("short_chunks", Transient, "IncompleteRead"),
        ("reset", Transient, "ConnectionResetError"),
        ("no_answer", Transient, "Connection|Disconnected"),
        ("nonsense", Transient, "BadStatusLine"),
        ("silent", Transient, "timed out"),
        ("slow", Transient, "incomplete after 1.5 seconds"),
        ("large", Permanent, "the most that is read at once"),
    ],
)
def test_each_trouble_has_its_kind_and_no_secret(address: str, path: str, kind: type[Exception], said: str) -> None:
    start = time.monotonic()
    with pytest.raises(ClearwellError, match=said) as caught:
        fetch(f"http://user:secret@{address}/{path}?token=secret", LIMITS)
    assert type(caught.value) is kind
    assert f"http://{address}/{path}" in str(caught.value)
    told = f"{caught.value!r} {caught.value} {caught.value.__cause__}"
    assert "secret" not in told and "user" not in told and "\n" not in str(caught.value)
    assert time.monotonic() - start < TOTAL_SECONDS + 2 * SILENT_SECONDS


def test_nobody_there_is_transient() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        with pytest.raises(Transient, match="ConnectionRefusedError"):
            fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/rates.csv", LIMITS)


def test_an_error_of_tls_is_transient(address: str) -> None:
    with pytest.raises(Transient, match="TLS: "):
        fetch(f"https://{address}/whole", LIMITS)


@pytest.mark.parametrize(
    "place", ["http://host:port/x?secret", "http://ho st/x?secret", "http://[::1/x?secret", "http:///x"]
)
def test_an_address_that_is_none_is_permanent(place: str) -> None:
    with pytest.raises(ClearwellError) as caught:
        fetch(place, LIMITS)
    assert type(caught.value) is Permanent
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__}"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("https://me:pass@rates.example:8443/a/b.csv?key=1#part", "https://rates.example:8443/a/b.csv"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("/data/rates.csv", "/data/rates.csv"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(place: str, said: str) -> None:
    assert shown(place) == said


def test_a_file_over_the_limit_is_not_read(tmp_path: Any) -> None:
    path = tmp_path / "large.csv"
    path.write_bytes(BODY * 20)
    with pytest.raises(Permanent, match="the most that is read at once"):
        fetch(str(path), LIMITS)
    assert fetch(str(path))[0] == BODY * 20
    assert places.LIMITS.bytes == 1 << 30


@pytest.mark.parametrize(
    ("path", "kind"), [("404", Permanent), ("403", Permanent), ("500", Transient), ("silent", Transient)]
)
def test_a_server_is_asked_for_the_head_alone(address: str, path: str, kind: type[ClearwellError]) -> None:
    with pytest.raises(kind):
        check_there(f"http://{address}/{path}", LIMITS)


@pytest.mark.parametrize("path", ["whole", "reset", "405", "501"])
def test_a_server_that_answers_or_knows_no_head_is_there(address: str, path: str) -> None:
    check_there(f"http://{address}/{path}", LIMITS)


def test_a_file_or_folder_is_there(tmp_path: Any) -> None:
    (tmp_path / "here.csv").touch()
    check_there(str(tmp_path / "here.csv"))
    check_there(str(tmp_path))
    check_there("package:ingestion/errors.py")
    for place, said in (
        (tmp_path / "gone.csv", "the path does not exist"),
        ("package:ingestion/gone.csv", "cannot be read"),
    ):
        with pytest.raises(Permanent, match=said):
            check_there(str(place))
    with pytest.raises(Permanent, match="cannot be read"):
        check_there("http://ho st/x?secret")


def compressed(kind: str, body: bytes) -> bytes:
    return gzip.compress(body) if kind == "gzip" else zstandard.ZstdCompressor(write_checksum=True).compress(body)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_what_is_compressed_is_inflated_whatever_its_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "rates"
    path.write_bytes(compressed(kind, BODY))
    assert fetch(str(path))[0] == BODY
    path.write_bytes(compressed(kind, BODY) + compressed(kind, BODY))  # parts put end to end, as `cat` does
    assert fetch(str(path))[0] == BODY * 2
    path.write_bytes(compressed(kind, b""))
    assert fetch(str(path))[0] == b""


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_compressed_file_that_is_cut_is_never_half_a_file(tmp_path: Path, kind: str) -> None:
    whole = compressed(kind, os.urandom(300))
    path = tmp_path / "rates.csv.x"
    for size in range(4, len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(Transient, match="truncated") as raised:
            fetch(str(path))
        assert str(path) in str(raised.value)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_compressed_file_that_is_damaged_is_an_error(tmp_path: Path, kind: str) -> None:
    whole = bytearray(compressed(kind, BODY))
    whole[len(whole) // 2] ^= 255
    path = tmp_path / "rates.csv.x"
    path.write_bytes(whole)
    with pytest.raises(ClearwellError, match=f"the file, of {kind}, is (corrupt|truncated|cannot be read)"):
        fetch(str(path))


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_the_limit_is_that_of_what_is_inflated(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "large.x"
    path.write_bytes(compressed(kind, bytes(20_000)))
    assert path.stat().st_size < LIMITS.bytes
    with pytest.raises(Permanent, match="the most that is read at once"):
        fetch(str(path), LIMITS)


@pytest.mark.parametrize("change", ["written", "replaced", "deleted"])
def test_a_file_that_changes_while_it_is_read_is_transient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = tmp_path / "rates.csv"
    path.write_bytes(BODY)
    fstat = os.fstat

    def change_then(number: int) -> os.stat_result:
        before = fstat(number)
        if change == "written":
            path.write_bytes(BODY + b"x")
        elif change == "replaced":
            (tmp_path / "new").write_bytes(BODY)
            (tmp_path / "new").replace(path)
        else:
            path.unlink(missing_ok=True)
        return before

    monkeypatch.setattr(places.os, "fstat", change_then)
    with pytest.raises(Transient, match=r"(changed|deleted) while it was read"):
        fetch(str(path))


def test_a_file_that_is_gone_since_it_was_listed_is_transient(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="gone since it was listed"):
        fetch(str(tmp_path / "rates.csv"), is_listed=True)
    with pytest.raises(Permanent, match="No such file"):
        fetch(str(tmp_path / "rates.csv"))


def zipped(body: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.csv", body)
        archive.writestr("more", os.urandom(100_000))
    return written.getvalue()


LINES = b"".join(f"{number},{number * number}\n".encode() for number in range(200_000))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress, zipped])
@pytest.mark.parametrize("size", [1, 1000, len(LINES) - 1, len(LINES), len(LINES) + 1])
def test_a_beginning_is_that_of_the_whole(tmp_path: Path, pack: Callable[[bytes], bytes], size: int) -> None:
    (tmp_path / "x").write_bytes(pack(LINES))
    assert begin(str(tmp_path / "x"), size) == (LINES[:size], size >= len(LINES))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_of_a_file_of_any_size_only_the_beginning_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    plain = os.urandom(4 << 20)
    (tmp_path / "x").write_bytes(pack(plain))
    read: list[int] = []
    real = places._unpacked

    def unpacked(body: bytes, *rest: Any, **more: Any) -> bytes:
        read.append(len(body))
        return real(body, *rest, **more)

    monkeypatch.setattr(places, "_unpacked", unpacked)
    body, is_all = begin(str(tmp_path / "x"), 1000, Limits(bytes=1 << 20))
    assert (body, is_all) == (plain[:1000], False) and read == [1000 + places._MARGIN]


def test_the_beginning_of_an_address_and_of_a_damaged_file(address: str, tmp_path: Path) -> None:
    assert begin(f"http://{address}/whole", 10_000, LIMITS) == (BODY, True)
    assert begin(f"http://{address}/whole", 100, LIMITS) == (BODY[:100], False)
    (tmp_path / "cut").write_bytes(gzip.compress(LINES)[:-100])
    with pytest.raises(Transient, match="truncated"):
        begin(str(tmp_path / "cut"), 10_000_000)
    with pytest.raises(Permanent, match="cannot be read"):
        begin(str(tmp_path / "none"), 100)
