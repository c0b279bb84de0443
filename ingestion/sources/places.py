"""Fetch a path, an http(s) address, an object of S3, a file of an SFTP server, or one in a package. What is compressed by gzip or zstd, or is the first file of a zip, is inflated.

A file is read whole or not at all: one that changes meanwhile, or whose compressed data ends too early, is Transient.
"""

import base64
import hashlib
import io
import os
import ssl
import stat
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, InvalidURL
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

from ingestion.addresses import host_of, is_http, is_sftp, shown, split_http
from ingestion.errors import Permanent, Transient
from ingestion.sources import s3, sftp
from ingestion.sources.lines import DAMAGED, MAGIC, explain, inflated

_MIB = 1 << 20
# What is read beyond the bytes that are wanted: data that does not compress is a little larger compressed.
_MARGIN = 1 << 16
_BUSY = (408, 425, 429)
_NO_HEAD = (405, 501)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ADDRESS = "write https://user:password@host/path, with %40 for an @, %2F for a / and %3F for a ? in the password"


@dataclass(frozen=True)
class Limits:
    """Limits of a fetch: its size, the time without a byte, and the time in all."""

    bytes: int = 1 << 30
    silent_seconds: float = 60
    total_seconds: float = 900


LIMITS = Limits()


def fetch(place: str, limits: Limits | None = None, *, is_listed: bool = False) -> tuple[bytes, datetime | None]:
    """Return the content of a place, and when it was published if the place says so.

    A file that is gone is Permanent; Transient if it was listed just before.
    """
    found = fetch_whole(place, limits, is_listed=is_listed)
    return found.body, found.published_at


@dataclass(frozen=True)
class Fetched:
    """The content of a place, when it was published, and the size and checksum of its bytes as they are stored."""

    body: bytes
    published_at: datetime | None
    size: int
    sha256: str


def fetch_whole(place: str, limits: Limits | None = None, *, is_listed: bool = False) -> Fetched:
    """Return the content of a place as `fetch` does, and what identifies its bytes."""
    limits = limits or LIMITS
    body, published_at = _stored(place, limits, is_listed=is_listed)
    size, sha256 = len(body), hashlib.sha256(body).hexdigest()
    return Fetched(_unpacked(body, place, limits), published_at, size, sha256)


def begin(place: str, size: int, limits: Limits | None = None) -> tuple[bytes, bool]:
    """Return the first bytes of the content of a place, at most `size`, and whether these are all.

    No more is read than that takes, except of a large zip that is no path: its directory is at its end.
    """
    limits = limits or LIMITS
    stored, _ = _stored(place, limits, is_listed=False, most=size + _MARGIN)
    is_all_stored = len(stored) < size + _MARGIN
    if stored.startswith(_ZIP) and not is_all_stored:
        is_path = not (is_http(place) or _store(place) or place.startswith("package:"))
        archive = Path(place).expanduser() if is_path else io.BytesIO(_stored(place, limits, is_listed=False)[0])
        found = _first_of_zip(archive, place, size + 1)
    else:
        found = _unpacked(stored, place, limits, most=size + 1, is_cut=not is_all_stored)
        if not is_all_stored and not stored.startswith(tuple(MAGIC)):
            return found[:size], False
    is_all = len(found) <= size and (is_all_stored or stored.startswith(_ZIP))
    return found[:size], is_all


def copy(place: str, target: Path, limits: Limits | None = None) -> None:
    """Copy the stored bytes of a place to a file, with the time at which it was published, or 1970 if it does not say."""
    if store := _store(place):
        published_at = store.copy(place, target)
    else:
        body, published_at = _stored(place, limits or LIMITS, is_listed=True)
        target.write_bytes(body)
    moment = published_at.timestamp() if published_at else 0
    os.utime(target, (moment, moment))


def _store(place: str) -> ModuleType | None:
    """Return the module that reads a place, where files are read from a store or server in pieces."""
    return s3 if s3.is_s3(place) else sftp if is_sftp(place) else None


def _stored(place: str, limits: Limits, *, is_listed: bool, most: int | None = None) -> tuple[bytes, datetime | None]:
    """Return the stored bytes of a place, or the first of them, `most` in number."""
    if store := _store(place):
        body, published_at = store.read(place, limits.bytes if most is None else most - 1, is_listed=is_listed)
        if most is None and len(body) > limits.bytes:
            raise _too_large(place, limits)
        return body, published_at
    return _asked(place, limits, most) if is_http(place) else _opened(place, limits, is_listed, most)


def _opened(place: str, limits: Limits, is_listed: bool, most: int | None = None) -> tuple[bytes, datetime | None]:
    try:
        if place.startswith("package:"):
            package, _, name = place.removeprefix("package:").partition("/")
            return files(package).joinpath(name).read_bytes()[:most], None
        path = Path(place).expanduser()
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if most is None and found.st_size > limits.bytes:
                raise _too_large(place, limits)
            body = file.read(-1 if most is None else most)
        if most is None:
            _check_unchanged(place, path, found, len(body))
        return body, datetime.fromtimestamp(int(found.st_mtime), UTC)
    except (OSError, ModuleNotFoundError, ValueError, RuntimeError) as error:
        # The error's own text names the place, which may be a mistyped address with a password.
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        if is_listed and isinstance(error, FileNotFoundError):
            raise Transient("the file is gone since it was listed", where=shown(place), todo="try again") from None
        raise Permanent(
            f"the file cannot be read: {why}", where=shown(place), todo="check the path and the file's permissions"
        ) from None


def _check_unchanged(place: str, path: Path, before: os.stat_result, size: int) -> None:
    """Refuse what was read of a file that was written, replaced or deleted meanwhile."""
    try:
        after = path.stat()
    except FileNotFoundError:
        raise Transient("the file was deleted while it was read", where=shown(place), todo="try again later") from None
    same = (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    if not same or (stat.S_ISREG(after.st_mode) and size != after.st_size):
        raise Transient("the file changed while it was read", where=shown(place), todo="try again later")


def _asked(place: str, limits: Limits, most: int | None = None) -> tuple[bytes, datetime | None]:
    """Request an address, or the first bytes of it. A reset, a short body, a time-out or a TLS error is Transient."""
    start = time.monotonic()
    with _told(place), urllib.request.urlopen(_request(place), timeout=limits.silent_seconds) as answer:
        promised = answer.length  # None where the body comes in chunks, or ends with the connection
        published_at = _moment(answer.headers.get("Last-Modified"))
        body = bytearray()
        while piece := answer.read1(_MIB):
            body += piece
            if most is not None and len(body) >= most:
                return bytes(body[:most]), published_at
            if len(body) > limits.bytes:
                raise _too_large(place, limits)
            if time.monotonic() - start > limits.total_seconds:
                raise TimeoutError(f"incomplete after {limits.total_seconds:g} seconds and {len(body):,} bytes")
        if promised is not None and len(body) < promised:
            raise TimeoutError(f"the body stopped after {len(body):,} of {promised:,} bytes")
        return bytes(body), published_at


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Turn the failures of a request into one line without what the server said, which may repeat the request."""
    try:
        yield
    except urllib.error.HTTPError as error:
        kind = Transient if error.code >= 500 or error.code in _BUSY else Permanent
        error.close()
        raise kind(
            f"the server answered with status {error.code}",
            where=shown(place),
            todo="try again later" if kind is Transient else "check the address",
        ) from None
    except (InvalidURL, ValueError):
        # The error's text quotes the address, which may hold a password.
        raise Permanent("the address cannot be read", where=shown(place), todo=_ADDRESS) from None
    except (OSError, HTTPException) as error:
        raise Transient(
            f"the file cannot be fetched: {_why(error)}", where=shown(place), todo="try again later"
        ) from None


def _request(place: str) -> urllib.request.Request:
    """Return a request with the address's user and password, which are not sent on to a redirect's target."""
    parts = split_http(place)
    if not parts:
        raise ValueError("no host")
    request = urllib.request.Request(parts._replace(netloc=host_of(parts), fragment="").geturl())
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(secret.encode()).decode()}")
    return request


def _why(error: BaseException) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return str(reason) or "timed out"
    if isinstance(reason, ssl.SSLError):
        return f"TLS: {reason.reason or reason}"
    if isinstance(reason, OSError) and reason.strerror:
        return f"{type(reason).__name__}: {reason.strerror}"
    # Other texts may be the server's, and may repeat the request.
    return type(reason).__name__ if isinstance(reason, BaseException) else "the server cannot be reached"


def _moment(said: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(said) if said else None
    except (TypeError, ValueError):
        return None
    return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _unpacked(body: bytes, place: str, limits: Limits, most: int | None = None, *, is_cut: bool = False) -> bytes:
    """Return what gzip or zstd compressed, or the first file of a zip; anything else as it is. `most` bounds what is unpacked."""
    for magic, kind in MAGIC.items():
        if body.startswith(magic):
            return _inflated(body, kind, place, limits, most, is_cut=is_cut)
    if not body.startswith(_ZIP):
        return body
    found = _first_of_zip(io.BytesIO(body), place, limits.bytes + 1 if most is None else most)
    if len(found) > limits.bytes:
        raise _too_large(place, limits)
    return found


def _first_of_zip(stored: io.BytesIO | Path, place: str, most: int) -> bytes:
    """Return the first bytes of the first file of a zip."""
    try:
        with zipfile.ZipFile(stored) as archive:
            inside = [
                one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")
            ]
            if not inside:
                raise Permanent("the zip holds no file", where=shown(place), todo="deliver a zip with the CSV in it")
            with archive.open(inside[0]) as file:
                return file.read(most)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Permanent(
            f"the file starts like a zip but cannot be opened as one: {error}",
            where=shown(place),
            todo="look at what the address or path delivers, and correct it",
        ) from None


def _inflated(
    body: bytes, kind: str, place: str, limits: Limits, most: int | None = None, *, is_cut: bool = False
) -> bytes:
    """Inflate a body. Of one that is cut, because no more was read of it, what it holds is returned."""
    found = bytearray()
    try:
        stream = inflated(io.BytesIO(body), kind)
        while piece := stream.read(_MIB if most is None else _MARGIN):
            found += piece
            if most is not None and len(found) >= most:
                break
            if len(found) > limits.bytes:
                raise _too_large(place, limits)
    except DAMAGED as error:
        why = explain(error)
        if is_cut and why.startswith("truncated"):
            return bytes(found)
        is_cut = why.startswith("truncated")
        raise (Transient if is_cut else Permanent)(
            f"the file, of {kind}, is {why}",
            where=shown(place),
            todo="try again when it is delivered whole" if is_cut else "deliver it again",
        ) from None
    return bytes(found)


def _too_large(place: str, limits: Limits) -> Permanent:
    return Permanent(
        f"the file is larger than {limits.bytes / _MIB:,.0f} MiB, the most that is read at once",
        where=shown(place),
        todo="deliver one file per day, with {date} in the contract's location, or several, with a * in it",
    )


def _ask_for_head(place: str, limits: Limits) -> None:
    request = _request(place)
    request.method = "HEAD"
    try:
        urllib.request.urlopen(request, timeout=limits.silent_seconds).close()
    except urllib.error.HTTPError as error:
        if error.code not in _NO_HEAD:
            raise
        error.close()


def check_there(place: str, limits: Limits | None = None) -> None:
    """Refuse a place that cannot be read, without reading it: Permanent, or Transient where it may be there later.

    A path may be that of a folder. A server that refuses a HEAD is not asked further.
    """
    if is_http(place):
        with _told(place):
            _ask_for_head(place, limits or LIMITS)
        return
    if place.startswith("package:"):
        _opened(place, limits or LIMITS, is_listed=False)
        return
    wanted = Path(place).expanduser()
    if not os.access(wanted, os.R_OK):
        what = "may not be read" if wanted.exists() else "does not exist"
        raise Permanent(f"the path {what}", where=shown(place), todo="check the path and its permissions")
