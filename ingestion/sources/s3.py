"""List and read objects of S3, and of stores that speak as it does: `s3://bucket/key`. Who writes objects does so by `filesystem`.

Credentials, region and endpoint come from the usual variables (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
AWS_REGION, AWS_ENDPOINT_URL), a profile, or the machine's role. An object is read whole, as it was at one moment, or not at all.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyarrow import ArrowException, fs

from ingestion.addresses import shown
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.s3_store import SCHEME, Store, from_environment, is_s3

__all__ = [
    "SCHEME",
    "check_bucket",
    "copy",
    "delete",
    "entries",
    "filesystem",
    "is_s3",
    "look",
    "opened",
    "path_of",
    "read",
    "told",
]

_PIECE_BYTES = 32 << 20
_CONNECT_SECONDS, _SILENT_SECONDS, _TRIES = 10, 60, 3
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]+")
_CODE = re.compile(r"AWS Error (\w+)(?: \(HTTP status (\d+)\))?")
_BUSY = re.compile(r"NETWORK|TIMEOUT|SLOW_DOWN|THROTTL|UNAVAILABLE|INTERNAL|SERVER_BUSY|TOO_MANY")
_KEYS = "check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, a profile or role) and what they allow"
_HELP = {
    "ACCESS_DENIED": _KEYS,
    "INVALID_ACCESS_KEY_ID": _KEYS,
    "SIGNATURE_DOES_NOT_MATCH": _KEYS,
    "EXPIRED_TOKEN": _KEYS,
    "NO_SUCH_BUCKET": "check the bucket's name, AWS_REGION and AWS_ENDPOINT_URL",
}


def entries(folder: str) -> Iterator[fs.FileInfo]:
    """List what is directly below a folder; nothing if it does not exist. A bucket that does not exist is Permanent."""
    path = path_of(folder)
    with told(folder):
        found = filesystem().get_file_info(fs.FileSelector(path, allow_not_found=True))
    if not found:
        check_bucket(folder)
    yield from found


def look(place: str) -> fs.FileInfo | None:
    """Return an object's size and time; None if it does not exist."""
    with told(place):
        found = filesystem().get_file_info(path_of(place))
    if found.type == fs.FileType.File:
        return found
    check_bucket(place)
    return None


def read(place: str, limit: int, *, is_listed: bool) -> tuple[bytes, datetime | None]:
    """Return an object of at most `limit` bytes, and one byte more of a larger one, with the time of its last change.

    An object that is gone is Permanent; Transient if it was listed just before.
    """
    with told(place, is_listed), _opened(place) as (file, changed_at):
        return file.read(min(file.size(), limit + 1)), changed_at


def copy(place: str, target: Path) -> datetime | None:
    """Copy an object of any size to a file, and return the time of its last change."""
    with told(place, True), _opened(place) as (file, changed_at), target.open("wb") as copied:
        while piece := file.read(_PIECE_BYTES):
            copied.write(piece)
        return changed_at


@contextmanager
def opened(place: str) -> Iterator[Any]:
    """Open an object to read parts of it."""
    with told(place), _opened(place) as (file, _):
        yield file


def delete(place: str) -> None:
    """Delete an object, if it is there."""
    with told(place), suppress(FileNotFoundError):
        filesystem().delete_file(path_of(place))


@contextmanager
def _opened(place: str) -> Iterator[tuple[Any, datetime | None]]:
    """Open an object. It is read in ranges: one that is overwritten meanwhile is Transient."""
    path, store = path_of(place), filesystem()
    with store.open_input_file(path) as file:
        before = _version(file)
        changed_at = file.metadata().get("Last-Modified")
        yield file, datetime.fromisoformat(changed_at.decode()).astimezone(UTC) if changed_at else None
    with store.open_input_file(path) as file:
        if _version(file) != before:
            raise Transient("the object changed while it was read", where=shown(place), todo="try again later")


def _version(file: Any) -> tuple[object, ...]:
    said = file.metadata()
    return (file.size(), *(said.get(name) for name in ("ETag", "VersionId", "Last-Modified")))


def filesystem() -> fs.FileSystem:
    """Return a connection to the store that the variables name. Its paths are of the form `bucket/key`."""
    return _connected(from_environment())


@lru_cache(1)
def _connected(store: Store) -> fs.FileSystem:
    """Return a connection for what the variables say; another one as soon as they change. It looks for keys itself."""
    return fs.S3FileSystem(
        endpoint_override=store.endpoint or None,
        scheme=store.scheme,
        region=store.region or None,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_SILENT_SECONDS,
        # parts that are written wait for the store: in the background, they would wait in memory
        background_writes=False,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES),
    )


def path_of(place: str) -> str:
    """Return the path of an object or a prefix for `filesystem`. An address without a valid bucket is Permanent."""
    path = place[len(SCHEME) :].rstrip("/")
    if not _BUCKET.fullmatch(path.partition("/")[0]):
        raise Permanent(
            "the address of the object cannot be read",
            where=shown(place),
            todo="write s3://bucket/key, and give the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    return path


def check_bucket(place: str) -> None:
    """Refuse a bucket that does not exist: it would look like one whose files are not there yet."""
    bucket = path_of(place).partition("/")[0]
    try:
        there = filesystem().get_file_info(bucket).type != fs.FileType.NotFound
    except (OSError, ArrowException):
        return  # what may be read below a bucket need not include the bucket
    if not there:
        raise Permanent("the bucket does not exist", where=shown(place), todo=_HELP["NO_SUCH_BUCKET"]) from None


@contextmanager
def told(place: str, is_listed: bool = False, *, does: str = "read") -> Iterator[None]:
    """Turn the client's errors into one line without what the server said, which may repeat the request.

    Errors of this machine's own files stay as they are: they have a number, which those of the client do not have.
    """
    try:
        yield
    except ClearwellError:
        raise
    except FileNotFoundError:
        if is_listed:
            raise Transient("the object is gone since it was listed", where=shown(place), todo="try again") from None
        raise Permanent("the object does not exist", where=shown(place), todo="check the bucket and the key") from None
    except (OSError, ArrowException) as error:
        if getattr(error, "errno", None):
            raise
        code = _CODE.search(str(error))
        name, status = (code[1], int(code[2] or 0)) if code else (type(error).__name__, 0)
        if _BUSY.search(name) or status >= 500 or "curlCode" in str(error):
            what = "the store cannot be reached" if "curlCode" in str(error) else "the store is busy"
            raise Transient(f"{what}: {name}", where=shown(place), todo="try again later") from None
        said = f"{name}, status {status}" if status else name
        raise Permanent(
            f"the object cannot be {does}: {said}", where=shown(place), todo=_HELP.get(name, _HELP["NO_SUCH_BUCKET"])
        ) from None
