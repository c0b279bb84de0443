"""Fetch a path, an http(s) address, or a file in a package. Of a zip, the first file is read."""

import base64
import io
import os
import ssl
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, InvalidURL
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

from ingestion.addresses import host_of, is_http, shown, split_http
from ingestion.errors import Permanent, Transient

_MIB = 1 << 20
_BUSY = (408, 425, 429)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ADDRESS = "write https://user:password@host/path, with %40 for an @, %2F for a / and %3F for a ? in the password"
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Limits:
    """Limits of a fetch: its size, the time without a byte, and the time in all."""

    bytes: int = 1 << 30
    silent_seconds: float = 60
    total_seconds: float = 900


LIMITS = Limits()


def fetch(place: str, limits: Limits | None = None) -> tuple[bytes, datetime | None]:
    """Return the content of a place, and when it was published if the place says so."""
    limits = limits or LIMITS
    body, published_at = _asked(place, limits) if is_http(place) else _opened(place, limits)
    return _unpacked(body, place, limits), published_at


def _opened(place: str, limits: Limits) -> tuple[bytes, datetime | None]:
    try:
        if place.startswith("package:"):
            package, _, name = place.removeprefix("package:").partition("/")
            return files(package).joinpath(name).read_bytes(), None
        path = Path(place).expanduser()
        found = path.stat()
        if found.st_size > limits.bytes:
            raise _too_large(place, limits)
        return path.read_bytes(), datetime.fromtimestamp(int(found.st_mtime), UTC)
    except (OSError, ModuleNotFoundError, ValueError, RuntimeError) as error:
        # The error's own text names the place, which may be a mistyped address with a password.
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise Permanent(
            f"the file cannot be read: {why}", where=shown(place), todo="check the path and the file's permissions"
        ) from None


def _asked(place: str, limits: Limits) -> tuple[bytes, datetime | None]:
    """Request an address. A reset, a short body, a time-out or a TLS error is Transient."""
    start = time.monotonic()
    try:
        with urllib.request.urlopen(_request(place), timeout=limits.silent_seconds) as answer:
            promised = answer.length  # None where the body comes in chunks, or ends with the connection
            published_at = _moment(answer.headers.get("Last-Modified"))
            body = bytearray()
            while piece := answer.read1(_MIB):
                body += piece
                if len(body) > limits.bytes:
                    raise _too_large(place, limits)
                if time.monotonic() - start > limits.total_seconds:
                    raise TimeoutError(f"incomplete after {limits.total_seconds:g} seconds and {len(body):,} bytes")
            if promised is not None and len(body) < promised:
                raise TimeoutError(f"the body stopped after {len(body):,} of {promised:,} bytes")
            return bytes(body), published_at
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


def _unpacked(body: bytes, place: str, limits: Limits) -> bytes:
    """Return the first file of a zip; anything else as it is."""
    if body.startswith(_GZIP):
        raise Permanent(
            "the file is compressed by gzip", where=shown(place), todo="deliver it uncompressed, or as a zip"
        )
    if not body.startswith(_ZIP):
        return body
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            inside = [
                one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")
            ]
            if not inside:
                raise Permanent("the zip holds no file", where=shown(place), todo="deliver a zip with the CSV in it")
            with archive.open(inside[0]) as file:
                found = file.read(limits.bytes + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Permanent(
            f"the file starts like a zip but cannot be opened as one: {error}",
            where=shown(place),
            todo="look at what the address or path delivers, and correct it",
        ) from None
    if len(found) > limits.bytes:
        raise _too_large(place, limits)
    return found


def _too_large(place: str, limits: Limits) -> Permanent:
    return Permanent(
        f"the file is larger than {limits.bytes / _MIB:,.0f} MiB, the most that is read at once",
        where=shown(place),
        todo="deliver one file per day, with {date} in the contract's location",
    )


def check_there(place: str, limits: Limits | None = None) -> None:
    """Refuse a place that cannot be read, without reading it: Permanent, or Transient where it may be there later.

    Of a file that is still to come (`{date}` in its path), the folder is looked at. A server that refuses a HEAD is not asked further.
    """
    if is_http(place):
        try:
            request = _request(place)
            request.method = "HEAD"
            with urllib.request.urlopen(request, timeout=(limits or LIMITS).silent_seconds):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (405, 501):
                return
            raise Permanent(
                f"the server answered with status {error.code}", where=shown(place), todo="check the address"
            ) from None
        except (InvalidURL, ValueError):
            raise Permanent("the address cannot be read", where=shown(place), todo=_ADDRESS) from None
        except (OSError, HTTPException) as error:
            raise Transient(
                f"the server cannot be reached: {_why(error)}", where=shown(place), todo="try again later"
            ) from None
    if place.startswith("package:"):
        _opened(place, limits or LIMITS)
        return
    path = Path(place.partition("{date}")[0] + "x" if "{date}" in place else place).expanduser()
    wanted = path.parent if "{date}" in place else path
    if not os.access(wanted, os.R_OK):
        what = "may not be read" if wanted.exists() else "does not exist"
        raise Permanent(
            f"the {'folder' if '{date}' in place else 'file'} {what}",
            where=shown(str(wanted)),
            todo="check the path and its permissions",
        )
