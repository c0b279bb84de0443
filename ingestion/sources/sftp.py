"""List and read files of an SFTP server: `sftp://NAME/path` over a connection by name, or `sftp://user@host:port/path`.

A path below the login's own folder is written `/~/path`. A file is read whole, as it was at one moment, or not at all. One
connection per server serves a process, in a thread of its own, because the client is asynchronous.
"""

import asyncio
import atexit
import os
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ingestion.addresses import SFTP, is_sftp, shown
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.sftp_servers import Server, server_of

if TYPE_CHECKING:
    import asyncssh

__all__ = ["About", "close", "copy", "entries", "is_sftp", "look", "read"]

_PIECE_BYTES = 1 << 20
_CONNECT_SECONDS, _LOGIN_SECONDS, _SILENT_SECONDS, _ALIVE_SECONDS = 10, 30, 60, 15
_HOME = "/~"
_T = TypeVar("_T")
# The open connections of this process, by server. Only the thread of `_loop` touches them.
_CLIENTS: dict[tuple[int, Server], tuple["asyncssh.SSHClientConnection", "asyncssh.SFTPClient"]] = {}


@dataclass(frozen=True)
class About:
    """What a server says of a file or folder; a size of -1 is not known."""

    place: str
    size: int
    mtime_ns: int
    is_folder: bool


def entries(folder: str, is_wanted: Callable[[str], bool] = lambda _name: True) -> Iterator[About]:
    """List what is directly below a folder under wanted names; nothing if it does not exist. A link is what it leads to."""

    async def listed(client: "asyncssh.SFTPClient") -> list[About]:
        import asyncssh

        found = []
        try:
            for one in await _names(client, _path(folder)):
                name = str(one.filename)
                if name in (".", "..") or not is_wanted(name):
                    continue
                place, about = f"{folder.rstrip('/')}/{name}", one.attrs
                if stat.S_ISLNK(about.permissions or 0):
                    with suppress(asyncssh.SFTPError):  # a link to nothing, or gone: reading it will say so
                        about = await _heard(client.stat(_path(place)))
                found.append(_about(place, about))
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return []
        return found

    with _told(folder):
        yield from _call(folder, listed)


def look(place: str) -> About | None:
    """Return the size and time of a file or folder; None if it does not exist."""

    async def found(client: "asyncssh.SFTPClient") -> About | None:
        import asyncssh

        try:
            return _about(place, await _heard(client.stat(_path(place))))
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None

    with _told(place):
        return _call(place, found)


def read(place: str, limit: int, *, is_listed: bool) -> tuple[bytes, datetime | None]:
    """Return a file of at most `limit` bytes, and one byte more of a larger one, with the time of its last change.

    A file that is gone is Permanent; Transient if it was listed just before.
    """
    body = bytearray()
    with _told(place, is_listed):
        changed_at = _call(place, lambda client: _read(client, place, body.extend, limit))
    return bytes(body), changed_at


def copy(place: str, target: Path) -> datetime | None:
    """Copy a file of any size, and return the time of its last change."""
    with _told(place, True), target.open("wb") as copied:
        return _call(place, lambda client: _read(client, place, copied.write))


def close() -> None:
    """Close the connections of this process. The next call opens them again."""

    async def closed() -> None:
        for key in [key for key in _CLIENTS if key[0] == os.getpid()]:
            connection, client = _CLIENTS.pop(key)
            client.exit()
            connection.close()
            with suppress(Exception):
                await asyncio.wait_for(connection.wait_closed(), _CONNECT_SECONDS)

    if any(process == os.getpid() for process, _ in _CLIENTS):
        with suppress(Exception):
            _run(closed())


atexit.register(close)


async def _names(client: "asyncssh.SFTPClient", path: str) -> list["asyncssh.SFTPName"]:
    """List a folder of any size. Only silence is bounded, and not the time in all."""
    found = []
    async with asyncio.timeout(_SILENT_SECONDS) as silence:
        async for one in client.scandir(path):
            found.append(one)
            silence.reschedule(asyncio.get_running_loop().time() + _SILENT_SECONDS)
    return found


async def _read(
    client: "asyncssh.SFTPClient", place: str, write: Callable[[bytes], object], limit: int | None = None
) -> datetime | None:
    """Read a file in pieces, up to a byte over the limit. One that was written, replaced or deleted meanwhile is Transient."""
    import asyncssh

    path, size = _path(place), 0
    async with _opened(client, path) as file:
        before = await _heard(file.stat())
        while limit is None or size <= limit:
            most = _PIECE_BYTES if limit is None else min(_PIECE_BYTES, limit + 1 - size)
            piece = await _heard(file.read(most, size))
            if not piece:
                break
            write(piece)
            size += len(piece)
    is_whole = limit is None or size <= limit
    try:
        after = await _heard(client.stat(path))
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        raise Transient("the file was deleted while it was read", where=shown(place), todo="try again later") from None
    now, then = _about(place, after), _about(place, before)
    if (now.size, now.mtime_ns) != (then.size, then.mtime_ns) or (is_whole and size != (after.size or 0)):
        raise Transient("the file changed while it was read", where=shown(place), todo="try again later")
    return datetime.fromtimestamp(after.mtime, UTC) if after.mtime is not None else None


@asynccontextmanager
async def _opened(client: "asyncssh.SFTPClient", path: str) -> AsyncIterator[Any]:
    file = await _heard(client.open(path, "rb"))
    try:
        yield file
    finally:
        with suppress(Exception):
            await asyncio.wait_for(file.close(), _CONNECT_SECONDS)


def _about(place: str, found: "asyncssh.SFTPAttrs") -> About:
    size = -1 if found.size is None else found.size
    mtime_ns = int(found.mtime or 0) * 1_000_000_000 + (found.mtime_ns or 0)
    return About(place, size, mtime_ns, stat.S_ISDIR(found.permissions or 0))


def _path(place: str) -> str:
    """Return a place's path at the server: from its root, or from the login's own folder."""
    path = f"/{place[len(SFTP) :].partition('/')[2]}".rstrip("/") or "/"
    if path == _HOME or path.startswith(f"{_HOME}/"):
        return path[len(_HOME) + 1 :] or "."
    return path


# The connection


async def _heard(call: Awaitable[_T]) -> _T:
    """Wait for one answer of the server, with a bound."""
    return await asyncio.wait_for(call, _SILENT_SECONDS)


def _call(place: str, do: Callable[["asyncssh.SFTPClient"], Coroutine[Any, Any, _T]]) -> _T:
    server = server_of(place)

    async def done() -> _T:
        return await do(await _client(server))

    return _run(done())


def _run(call: Coroutine[Any, Any, _T]) -> _T:
    future = asyncio.run_coroutine_threadsafe(call, _loop(os.getpid()))
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


@lru_cache(1)
def _loop(_process: int) -> asyncio.AbstractEventLoop:
    """Return the loop of this process: a fork has a thread of its own to start."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="sftp", daemon=True).start()
    return loop


async def _client(server: Server) -> "asyncssh.SFTPClient":
    """Return the client of a server, connected anew if the connection was lost."""
    key = os.getpid(), server
    if key in _CLIENTS and not _CLIENTS[key][0].is_closed():
        return _CLIENTS[key][1]
    connection = await _connect(server)
    try:
        # A name may be any bytes, as on this machine.
        client = await _heard(connection.start_sftp_client(path_errors="surrogateescape"))
    except BaseException:
        connection.close()
        raise
    _CLIENTS[key] = connection, client
    return client


async def _connect(server: Server) -> "asyncssh.SSHClientConnection":
    import asyncssh

    asyncssh.set_log_level("WARNING")  # Airflow would log each step of it
    options: dict[str, Any] = {}
    if server.private_key or server.key_file:
        options["client_keys"] = [_key(server)]
    elif server.password is not None:
        options |= {"client_keys": None, "agent_path": None}
    if not server.checks_host_key:
        options["known_hosts"] = None
    elif server.host_key:
        options["known_hosts"] = ([asyncssh.import_public_key(server.host_key)], [], [])
    return await asyncssh.connect(
        server.host,
        server.port,
        username=server.user,
        password=server.password,
        config=None,  # a setting of ~/.ssh/config could switch the check of the server's key off
        connect_timeout=_CONNECT_SECONDS,
        login_timeout=_LOGIN_SECONDS,
        keepalive_interval=_ALIVE_SECONDS,
        **options,
    )


def _key(server: Server) -> "asyncssh.SSHKey":
    import asyncssh

    try:
        if server.private_key:
            return asyncssh.import_private_key(server.private_key, server.passphrase)
        return asyncssh.read_private_key(Path(server.key_file or "").expanduser(), server.passphrase)
    except (OSError, ValueError) as error:
        raise Permanent(
            f"the private key of a connection cannot be read: {type(error).__name__}",
            where=server.given_as,
            todo="check private_key or key_file, and private_key_passphrase, in its extra",
        ) from None


# Errors


@contextmanager
def _told(place: str, is_listed: bool = False) -> Iterator[None]:
    """Turn the client's errors into one line without what the server said, which may repeat the request."""
    import asyncssh

    try:
        yield
    except ClearwellError:
        raise
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        if is_listed:
            raise Transient("the file is gone since it was listed", where=shown(place), todo="try again") from None
        raise Permanent("the file does not exist", where=shown(place), todo="check the path") from None
    except (asyncssh.SFTPNoConnection, asyncssh.SFTPConnectionLost) as error:
        raise _unreachable(place, error) from None
    except asyncssh.SFTPPermissionDenied:
        raise Permanent(
            "the server does not let this login read it", where=shown(place), todo="check the path and its permissions"
        ) from None
    except asyncssh.SFTPError as error:
        raise Permanent(
            f"the server cannot read it: {type(error).__name__}",
            where=shown(place),
            todo="check that the path is that of a file, and try again; if it fails again, ask the server's owner",
        ) from None
    except (asyncssh.HostKeyNotVerifiable, asyncssh.PermissionDenied, asyncssh.KeyExchangeFailed) as error:
        raise _refused(place, error) from None
    except (OSError, asyncssh.Error) as error:  # a time-out is an OSError
        raise _unreachable(place, error) from None
    except ValueError as error:
        raise Permanent(
            f"what is known of the server cannot be read: {type(error).__name__}",
            where=shown(place),
            todo=f"check the host_key and login in {server_of(place).given_as or 'the address'}, and ~/.ssh/known_hosts",
        ) from None


def _refused(place: str, error: Exception) -> Permanent:
    """Return the error for a server that is not trusted, or that does not let the login in."""
    import asyncssh

    server = server_of(place)
    given_as = server.given_as or "the address"
    if isinstance(error, asyncssh.PermissionDenied):
        what = "the server refuses the login"
        todo = f"check the login, and the password or key, in {given_as}"
        if not server.given_as and server.password is None:
            todo = "check the user in the address, and that a key in ~/.ssh or an agent is one that the server knows"
    elif isinstance(error, asyncssh.HostKeyNotVerifiable):
        scan = f"ssh-keyscan -p {server.port} {server.host}"
        what = "the server's key is not one that is trusted for it"
        todo = f"ask the server's owner for its key, and compare it with that of `{scan}`; then add it to ~/.ssh/known_hosts"
        todo += f", or as host_key to the extra of {given_as}" if server.given_as else ""
    else:
        what = "the server and this client have no way of encryption in common"
        todo = "ask the server's owner for a newer server"
    return Permanent(what, where=shown(place), todo=todo)


def _unreachable(place: str, error: Exception) -> Transient:
    why = "timed out" if isinstance(error, TimeoutError) else type(error).__name__
    return Transient(f"the server cannot be reached: {why}", where=shown(place), todo="try again later")
