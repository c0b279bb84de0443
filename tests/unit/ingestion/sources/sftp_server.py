"""A small SFTP server on this machine: a login by password or key, a folder as its root, and failures as a test asks for them."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

USER, PASSWORD = "me@work", "p@ss/w:rd %"


@dataclass
class Server:
    """A running server. `fail` is called with each operation and its path, and may raise, wait, or change the file."""

    root: Path
    port: int = 0
    host_key: str = ""
    user_key: str = ""
    asked: list[str] = field(default_factory=list)
    logins: int = 0
    fail: Callable[[str, str], None] = lambda _operation, _path: None
    # Set when the server stops: what waits in `fail` waits for this.
    stopped: threading.Event = field(default_factory=threading.Event)
    cut: Callable[[], None] = lambda: None


class _Login(asyncssh.SSHServer):
    def __init__(self, server: Server, key: asyncssh.SSHKey, connections: list[Any]) -> None:
        self._server, self._key, self._connections = server, key, connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and key.public_data == self._key.public_data

    def auth_completed(self) -> None:
        self._server.logins += 1


class _Files(asyncssh.SFTPServer):
    def __init__(self, chan: Any, server: Server) -> None:
        super().__init__(chan, chroot=str(server.root).encode())
        self._server = server

    async def _ask(self, operation: str, path: bytes) -> None:
        name = os.fsdecode(path)
        self._server.asked.append(f"{operation} {name}")
        await asyncio.to_thread(self._server.fail, operation, name)

    async def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
        await self._ask("open", path)
        return super().open(path, pflags, attrs)

    async def read(self, file_obj: Any, offset: int, size: int) -> bytes:
        await self._ask("read", str(offset).encode())
        return super().read(file_obj, offset, size)  # type: ignore[return-value]

    async def stat(self, path: bytes) -> Any:
        await self._ask("stat", path)
        return super().stat(path)

    async def scandir(self, path: bytes) -> AsyncIterator[Any]:
        await self._ask("list", path)
        async for one in super().scandir(path):
            yield one


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    """Run a server on a free port of this machine. Its thread, connections and port are gone at the end."""
    server = Server(root)
    host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    server.host_key = host_key.export_public_key().decode().strip()
    server.user_key = user_key.export_private_key().decode()
    connections: list[Any] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(call: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(call, loop).result(30)

    async def begin() -> Any:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            server_factory=lambda: _Login(server, user_key, connections),
            sftp_factory=lambda chan: _Files(chan, server),
        )

    async def cut() -> None:
        for one in connections:
            one.abort()
        connections.clear()

    async def end(listening: Any) -> None:
        await cut()
        listening.close()
        await listening.wait_closed()
        await loop.shutdown_default_executor()

    listening = run(begin())
    server.port = listening.get_port()
    server.cut = lambda: run(cut())
    try:
        yield server
    finally:
        server.stopped.set()
        run(end(listening))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
