"""Airflow on one machine, for the demo and `clearwell up`: start it, ask it for runs, wait for them, stop it.

It is driven by its own command and its REST API; nothing here imports it. Its database is a Postgres of its own: SQLite does not
stand a busy machine. Its three parts are started side by side, which takes half the time of `airflow standalone`: that
starts them one import later, with a triggerer nobody needs.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import psutil

from demo.server import Server, free_port
from ingestion.contract import read_contracts, source_ends
from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from ingestion.landing import Report, silent
from warehouse.build import pending

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("api-server", "scheduler", "dag-processor")
USER = "admin"
_BOOT_SECONDS = 240.0
_STOP_SECONDS = 20.0
_RUNS_SECONDS = 3600.0
_POLL_SECONDS = 1.0
_BACKFILL_SECONDS = 120.0


@dataclass(frozen=True)
class Running:
    """An Airflow that was started: its port, and each part's process with the time the system says it was born."""

    port: int
    parts: dict[str, tuple[int, float]]
    started_at: str = ""

    def save(self, home: Home) -> None:
        part = _record(home).with_suffix(".part")
        part.write_text(json.dumps(asdict(self)))
        part.rename(_record(home))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def environment(home: Home, port: int = 0) -> dict[str, str]:
    """Return the environment of every Airflow process: one machine, loopback only, no examples, nothing sent out."""
    settings = {
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__WORKERS": "1",
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "4",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        # Looking at the files again and again costs a core that the runs could use.
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "DATABASE__SQL_ALCHEMY_CONN": _database(home),
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": _database(home),
        "LOGGING__BASE_LOG_FOLDER": str(home.airflow / "logs"),
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    ours = {
        "AIRFLOW_HOME": str(home.airflow),
        "CLEARWELL_HOME": str(home.root),
        "CLICKSTREAM_LANDING": str(home.landing),
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "NO_COLOR": "1",
        "PATH": f"{_bin()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
        # Forks inherit numpy's threads; more than the machine has only makes them wait for each other.
        "OMP_NUM_THREADS": "2",
    }
    if home.shop_url:
        ours["SHOP_DATABASE_URL"] = home.shop_url
    if home.primary_url:
        ours["SHOP_PRIMARY_URL"] = home.primary_url
    return {**inherited, **ours, **{f"AIRFLOW__{name}": value for name, value in settings.items()}}


def migrate(home: Home) -> None:
    """Bring Airflow's database to this version's shape; at once when it has it already."""
    marker = home.airflow / "migrated"
    wanted = version("apache-airflow")
    if marker.exists() and marker.read_text() == wanted:
        return
    with _log(home).open("ab") as log:
        done = subprocess.run(
            [_bin() / "airflow", "db", "migrate"], env=environment(home), stdout=log, stderr=subprocess.STDOUT
        )
    if done.returncode:
        raise _broken(home, "Airflow's database could not be migrated")
    marker.write_text(wanted)


def start(home: Home, report: Report = silent) -> Running:
    """Start Airflow, unless it runs; return when it answers and knows the DAGs, with the pool for builds made."""
    running = read(home)
    if running and _is_whole(running) and _server(home).is_running():
        report(f"Airflow runs already: {running.url}")
        return running
    stop(home)
    report("preparing Airflow's database")
    _server(home).start()
    migrate(home)
    port = free_port()
    report("starting Airflow: its API, scheduler and DAG processor")
    running = Running(port, {part: _spawn(home, part, port) for part in PARTS})
    running.save(home)
    try:
        running = Running(port, running.parts, _wait_until_up(home, running, report))
        running.save(home)
        _make_pool(home, running)
    except BaseException:
        stop(home)
        raise
    report(f"Airflow is up: {running.url} (user {USER}, password in {passwords(home)})")
    return running


def read(home: Home) -> Running | None:
    """Return the Airflow that was started for this home, running or dead; None when it was stopped."""
    try:
        body = json.loads(_record(home).read_text())
    except FileNotFoundError:
        return None
    return Running(body["port"], {part: (pid, born) for part, (pid, born) in body["parts"].items()}, body["started_at"])


def dag_ids() -> tuple[str, ...]:
    """Name every DAG: one for each source that is on, the sweep, and the build."""
    return (*(f"ingest_{source}" for source in source_ends(read_contracts())), "sweep_sources", "build_warehouse")


def unpause(home: Home, dags: Sequence[str] = ()) -> None:
    """Let the scheduler run these DAGs; all if none are named."""
    api = _Api(home)
    for dag_id in dags or dag_ids():
        api.ask("PATCH", f"/dags/{quote(dag_id)}", {"is_paused": False})


def backfill(home: Home, dag_id: str, start: date, end: date) -> None:
    """Ask for a run of every window in `[start, end)`, again where there was one. Best done before `unpause`."""
    api = _Api(home)
    until = time.monotonic() + _BACKFILL_SECONDS
    while True:
        try:
            api.ask("POST", "/backfills", backfill_request(dag_id, start, end))
            return
        except Transient:  # the backfill before is not closed yet
            if time.monotonic() > until:
                raise
        time.sleep(_POLL_SECONDS)


def backfill_request(dag_id: str, start: date, end: date) -> dict[str, Any]:
    """Return the body that asks for `[start, end)`; Airflow's own range holds both its ends."""
    return {
        "dag_id": dag_id,
        "from_date": f"{start.isoformat()}T00:00:00Z",
        "to_date": f"{(end - timedelta(days=1)).isoformat()}T23:59:59Z",
        "reprocess_behavior": "completed",
        "max_active_runs": 2,
    }


def wait(
    home: Home, report: Report = silent, *, before: date, builds: bool = True, patience: float = _RUNS_SECONDS
) -> None:
    """Return when no run is under way and, unless `builds` is false, every batch is built.

    A run that failed since Airflow started is Permanent, and so is a part of Airflow that died. A run of a window from
    `before` on is the schedule's own affair: midnight may pass while we wait. Without `builds`, `build_warehouse` may
    still be paused: what was landed meanwhile is then one build, not one for each arrival.
    """
    api = _Api(home)
    until = time.monotonic() + patience
    said = ""
    while time.monotonic() < until:
        _check_alive(home, api.running)
        active = api.runs("queued", "running")
        if not active:
            failed = [run for run in api.runs("failed", since=api.running.started_at) if starts_before(run, before)]
            if failed:
                raise _failed(home, api, failed)
            if not builds or not pending(home):
                return
            # Two runs can miss each other's last look by a moment; nothing else would build before the hour.
            api.ask("POST", "/dags/build_warehouse/dagRuns", {"logical_date": None})
        line = _progress(api, active)
        if line != said:
            report(line)
            said = line
        time.sleep(_POLL_SECONDS)
    raise Permanent(f"Airflow did not finish in {patience:.0f} s", where=api.running.url, todo="look at its runs")


def command(home: Home, arguments: Sequence[str]) -> int:
    """Run Airflow's own command on the Airflow of this home, and return its exit status."""
    environ = environment(home, _running(home).port)
    return subprocess.run([str(_bin() / "airflow"), *arguments], env=environ).returncode


def stop(home: Home) -> None:
    """End every process of this home's Airflow. What does not go when asked is killed."""
    running = read(home)
    if not running:
        _server(home).stop()
        return
    until = time.monotonic() + _STOP_SECONDS
    _signal(running, signal.SIGTERM)
    while _members(running) and time.monotonic() < until:
        time.sleep(0.1)
    while _members(running):
        _signal(running, signal.SIGKILL)
        time.sleep(0.1)
    for pid, _ in running.parts.values():
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    _server(home).stop()
    _record(home).unlink()


def _running(home: Home) -> Running:
    running = read(home)
    if not running:
        raise Permanent("Airflow does not run", where=str(home.airflow), todo="clearwell up")
    return running


# --- the processes ---------------------------------------------------------------------------------------------------


def _spawn(home: Home, part: str, port: int) -> tuple[int, float]:
    command = [str(_bin() / "airflow"), part, *(["--skip-serve-logs"] if part == "scheduler" else [])]
    with _log(home).open("ab") as log:
        # A session of its own: a signal to a part alone would orphan its children, which keep the port.
        process = subprocess.Popen(
            command,
            env=environment(home, port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process.pid, psutil.Process(process.pid).create_time()


def _members(running: Running) -> list[int]:
    """List the living processes of the sessions we started."""
    sessions = {pid for pid, born in running.parts.values() if _is_ours(pid, born)}
    return [pid for pid in psutil.pids() if _session(pid) in sessions and _lives(pid)]


def _is_ours(pid: int, born: float) -> bool:
    """Say whether this id is still our process's, or nobody's: ids are given out again once a session is empty."""
    try:
        return abs(psutil.Process(pid).create_time() - born) < 1.0
    except psutil.NoSuchProcess:
        return True


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return -1


def _signal(running: Running, number: int) -> None:
    for pid in _members(running):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _dead(running: Running) -> list[str]:
    return [part for part, (pid, born) in running.parts.items() if not (_lives(pid) and _is_ours(pid, born))]


def _is_whole(running: Running) -> bool:
    return not _dead(running) and bool(running.started_at)


def _check_alive(home: Home, running: Running) -> None:
    dead = _dead(running)
    if dead:
        raise _broken(home, f"Airflow's {' and '.join(dead)} died")


def _broken(home: Home, what: str) -> Permanent:
    tail = _log(home).read_text(errors="replace").splitlines()[-12:]
    return Permanent(f"{what}. Its last words: {' | '.join(tail)}", where=str(_log(home)), todo="read the log")


# --- its API ---------------------------------------------------------------------------------------------------------


class _Api:
    """Airflow's REST API, asked as its one user."""

    def __init__(self, home: Home) -> None:
        self.running = running = _running(home)
        password = json.loads(passwords(home).read_text())[USER]
        self.token = _ask(f"{running.url}/auth/token", "POST", {"username": USER, "password": password})["access_token"]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return _ask(f"{self.running.url}/api/v2{path}", method, body, self.token)

    def runs(self, *states: str, since: str = "") -> list[dict[str, Any]]:
        asked = [("state", state) for state in states] + [("limit", "100")]
        if since:
            asked.append(("end_date_gte", since))
        return self.ask("GET", f"/dags/~/dagRuns?{urlencode(asked)}")["dag_runs"]


def _ask(url: str, method: str, body: dict[str, Any] | None = None, token: str = "") -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, headers, method=method), timeout=30) as answer:
            return json.loads(answer.read() or b"null")
    except HTTPError as error:
        text = error.read().decode(errors="replace")[:500]
        kind = {409: Transient, 503: Transient}.get(error.code, Permanent)
        raise kind(f"Airflow refused: {error.code} {text}", where=url, todo="look at Airflow's log") from error
    except (URLError, OSError) as error:
        raise Transient(f"Airflow did not answer: {error}", where=url, todo="try again") from error


def _wait_until_up(home: Home, running: Running, report: Report) -> str:
    """Return the scheduler's own time once all parts answer and every DAG is known."""
    began = time.monotonic()
    said = ""
    while time.monotonic() - began < _BOOT_SECONDS:
        _check_alive(home, running)
        missing, heartbeat = _missing(home, running)
        if not missing:
            return heartbeat
        line = f"waiting for {missing}"
        if line != said:
            report(line)
            said = line
        time.sleep(0.5)
    raise _broken(home, f"Airflow was not up after {_BOOT_SECONDS:.0f} s: still {said}")


def _missing(home: Home, running: Running) -> tuple[str, str]:
    """Say what is not there yet, empty when all is; and the scheduler's last heartbeat."""
    try:
        health = _ask(f"{running.url}/api/v2/monitor/health", "GET")
        for part in ("scheduler", "dag_processor"):
            if health[part]["status"] != "healthy":
                return f"the {part.replace('_', ' ')}", ""
        api = _Api(home)
        broken = api.ask("GET", "/importErrors")["import_errors"]
        known = {dag["dag_id"] for dag in api.ask("GET", "/dags?limit=100")["dags"]}
    except (Transient, FileNotFoundError):
        return "the API", ""
    if broken:
        raise Permanent(f"a DAG file does not load: {broken[0]['stack_trace'][-500:]}", where=broken[0]["filename"])
    unknown = sorted(set(dag_ids()) - known)
    return f"the DAGs {', '.join(unknown)}" if unknown else "", health["scheduler"]["latest_scheduler_heartbeat"]


def _make_pool(home: Home, running: Running) -> None:
    """Make the pool that lets one task at a time at the warehouse."""
    api = _Api(home)
    if "warehouse" not in {pool["name"] for pool in api.ask("GET", "/pools?limit=100")["pools"]}:
        body = {"name": "warehouse", "slots": 1, "description": "One task at a time reads or changes the state"}
        api.ask("POST", "/pools", body)


def _progress(api: _Api, active: Sequence[dict[str, Any]]) -> str:
    done = api.ask("GET", "/dags/~/dagRuns?state=success&limit=1")["total_entries"]
    busy = ", ".join(sorted(f"{run['dag_id']} {_interval(run)}" for run in active if run["state"] == "running"))
    return f"{done} runs done, {len(active)} to go{f'; now {busy}' if busy else ''}"


def starts_before(run: dict[str, Any], day: date) -> bool:
    """Say whether a run's window starts before a day; a run without a window was asked for by somebody."""
    return (run["logical_date"] or "") < day.isoformat()


def _interval(run: dict[str, Any]) -> str:
    return str(run["logical_date"] or run["run_after"])[:16]


def _failed(home: Home, api: _Api, failed: Sequence[dict[str, Any]]) -> Permanent:
    tasks = list(_failed_tasks(api, failed))
    return Permanent(
        f"{len(failed)} Airflow runs failed: {', '.join(tasks)}",
        where=str(home.airflow / "logs"),
        todo="read the task's log, fix the cause, and clear the task or run the command again",
    )


def _failed_tasks(api: _Api, failed: Sequence[dict[str, Any]]) -> Iterator[str]:
    for run in sorted(failed, key=lambda run: (run["dag_id"], run["run_after"]))[:5]:
        path = f"/dags/{quote(run['dag_id'])}/dagRuns/{quote(run['dag_run_id'])}/taskInstances?state=failed"
        for one in api.ask("GET", path)["task_instances"]:
            yield f"{run['dag_id']}.{one['task_id']} of {_interval(run)}"


# --- its places ------------------------------------------------------------------------------------------------------


def _bin() -> Path:
    return Path(sys.executable).parent


def _server(home: Home) -> Server:
    return Server(home.airflow, "Airflow's Postgres", "clearwell up")


def _database(home: Home) -> str:
    """Return the address of Airflow's database as SQLAlchemy wants it, for synchronous and asynchronous use alike."""
    return _server(home).url.replace("postgresql://", "postgresql+psycopg://", 1)


def _log(home: Home) -> Path:
    return home.airflow / "standalone.log"


def _record(home: Home) -> Path:
    return home.airflow / "running.json"


def passwords(home: Home) -> Path:
    """Say where Airflow keeps the password of its user."""
    return home.airflow / "simple_auth_manager_passwords.json.generated"
