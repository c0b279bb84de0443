"""A store of objects on this machine that speaks as S3 does, as far as reading needs it: list, head, and get by range."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

# Listings come in pages of this many; they say the time of a change to the millisecond, other answers to the second.
PAGE = 3
LISTED, TOLD = "2026-11-03T15:00:00.123Z", "Tue, 03 Nov 2026 15:00:00 GMT"


@dataclass
class Store:
    """The objects of one bucket, `exports`; what was asked for; and how to fail, by method and path."""

    address: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    fail: Callable[[str, str], tuple[int, str] | None] = lambda _method, _path: None


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A head and a body are two packets: the second one would wait 40 ms for the answer to the first.
    disable_nagle_algorithm = True
    server: "_Server"

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_POST(self) -> None:
        """Begin to write an object: it is refused, as nothing can be written."""
        self._refuse(*(self.server.store.fail("POST", self.path) or (501, "NotImplemented")), has_body=True)

    def _answer(self, *, has_body: bool) -> None:
        store, parts = self.server.store, urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        store.asked.append(f"{self.command} {key or query.get('prefix', '')}")
        failure = store.fail(self.command, key)
        if failure:
            self._refuse(*failure, has_body=has_body)
        elif bucket != "exports":
            self._refuse(404, "NoSuchBucket", has_body=has_body)
        elif not key:
            self._send(200, _listing(store.objects, query) if "list-type" in query else b"", has_body=has_body)
        elif key not in store.objects:
            self._refuse(404, "NoSuchKey", has_body=has_body)
        else:
            self._give(store.objects[key], has_body=has_body)

    def _give(self, body: bytes, *, has_body: bool) -> None:
        headers = {"Last-Modified": TOLD, "ETag": f'"{md5(body, usedforsecurity=False).hexdigest()}"'}
        asked = self.headers.get("Range")
        if asked:
            first, last = (int(text) for text in asked.removeprefix("bytes=").split("-"))
            piece = body[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{first + len(piece) - 1}/{len(body)}"
            self._send(206, piece, has_body=has_body, **headers)
        else:
            self._send(200, body, has_body=has_body, **headers)

    def _refuse(self, status: int, code: str, *, has_body: bool) -> None:
        # Stores repeat what was asked: it must not reach a message.
        text = f"<Error><Code>{code}</Code><Message>no, secret-key</Message></Error>"
        self._send(status, text.encode(), has_body=has_body)

    def _send(self, status: int, body: bytes, *, has_body: bool, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if has_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    store: Store


def _listing(objects: dict[str, bytes], query: dict[str, str]) -> bytes:
    prefix, sign = query.get("prefix", ""), query.get("delimiter", "")
    found: dict[str, int | None] = {}
    for key, body in sorted(objects.items()):
        if key.startswith(prefix):
            first, is_more, _ = key[len(prefix) :].partition(sign) if sign else (key[len(prefix) :], "", "")
            found[prefix + first + is_more] = None if is_more else len(body)
    after = query.get("continuation-token", "")
    names = [name for name in found if name > after]
    page = names[: min(PAGE, int(query.get("max-keys", PAGE)))]
    parts = [f"<Name>exports</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"]
    parts.append(f"<IsTruncated>{'true' if len(page) < len(names) else 'false'}</IsTruncated>")
    if len(page) < len(names):
        parts.append(f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>")
    for name in page:
        if found[name] is None:
            parts.append(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>")
        else:
            said = f"<Key>{escape(name)}</Key><LastModified>{LISTED}</LastModified><Size>{found[name]}</Size>"
            parts.append(f"<Contents>{said}<ETag>x</ETag><StorageClass>STANDARD</StorageClass></Contents>")
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="{space}">{"".join(parts)}</ListBucketResult>'
    )
    return text.encode()


@contextmanager
def serving() -> Iterator[Store]:
    server = _Server(("127.0.0.1", 0), _Answer)
    server.store = Store(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
