"""Airflow on one machine, for the demo and `clearwell up`: start it, ask it for runs, wait for them, stop it.

It is driven by its own command and its REST API; nothing here imports it. Its database is a Postgres of its own, as SQLite
fails on a busy machine. Its three parts are started in parallel, which takes half the time of `airflow standalone`: that
starts them after another import, together with an unused triggerer.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import psycopg

from demo.server import Server, free_port
from ingestion import atomic
from ingestion.contract import read_contracts, source_ends
from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from ingestion.land import Report, silent
from operations import processes
from operations.processes import Leader, Starting, Telling
from warehouse.plan import waiting_batches

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("api-server", "scheduler", "dag-processor")
USER = "admin"
# Each limit is many times what an idle machine needs.
_BOOT_SECONDS = 600.0
_ANSWER_SECONDS = 300.0
_BACKFILL_SECONDS = 3600.0
_RUNS_SECONDS = 3600.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 1.0
# Each look at the runs takes the API, and so the machine that the runs need, a tenth of a CPU second.
_RUNS_POLL_SECONDS = 2.0
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# The most builds to request in one wait: if batches still wait then, a person must look.
_BUILDS = 5
_PAGE = 100


class Unanswered(Transient):
    """Airflow's API gave no answer, or one that a retry may change."""


@dataclass(frozen=True)
class Running:
    """An Airflow that was started: its port, the process of each part, and when it answered; empty if it has not yet."""

    port: int
    parts: dict[str, Leader]
    started_at: str = ""

    def save(self, home: Home) -> None:
        atomic.write(_record(home), json.dumps(asdict(self)))

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
        # The defaults below are for machines with nothing else to do: on a busy one a file takes a minute to import, a request a
        # minute to answer, a heartbeat a minute to come.
        "CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        "DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "360",
        "DAG_PROCESSOR__HEALTH_CHECK_THRESHOLD": "120",
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "120",
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "WORKERS__EXECUTION_API_TIMEOUT": "60",
        "WORKERS__EXECUTION_API_RETRIES": "10",
        "WORKERS__MAX_FAILED_HEARTBEATS": "20",
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "4",
        "CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        # Scanning the files all the time would use a core that the runs need.
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "DATABASE__SQL_ALCHEMY_CONN": _database(home),
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": _database(home),
        "LOGGING__BASE_LOG_FOLDER": str(home.airflow / "logs"),
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
    """Migrate Airflow's database to this version's schema; returns at once if there is nothing to do."""
    marker = home.airflow / "migrated"
    wanted = version("apache-airflow")
    if marker.exists() and marker.read_text() == wanted:
        return
    if not marker.exists():
        # Remove what a killed first migration left half done.
        (home.airflow / "airflow.cfg").unlink(missing_ok=True)
        with psycopg.connect(_server(home).url, autocommit=True) as database:
            # and end its connection, which may still be at work: only the process that started it was killed
            database.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'"
            )
            database.execute("drop schema public cascade; create schema public")
    with _log(home).open("ab") as log:
        done = subprocess.run(
            [_bin() / "airflow", "db", "migrate"], env=environment(home), stdout=log, stderr=subprocess.STDOUT
        )
    if done.returncode:
        raise _broken(home, "Airflow's database could not be migrated")
    atomic.write(marker, wanted)


def start(home: Home, report: Report = silent) -> Running:
    """Start Airflow, unless it runs; return once it answers and knows the DAGs, and the pool for builds exists."""
    running = read(home)
    if running and _is_whole(running) and _server(home).is_running():
        report(f"Airflow runs already: {running.url}")
        return running
    if running:
        report(f"stopping the remaining processes of an earlier Airflow; {_STOP_SECONDS:.0f} s at most")
    stop(home)
    report("starting Airflow's Postgres, and migrating its database: a minute the first time")
    _server(home).start()
    migrate(home)
    _forget_the_dead(home)
    port = free_port(str(home.airflow))
    report("starting Airflow: its API, scheduler and DAG processor")
    running = Running(port, {})
    try:
        for part in PARTS:
            command = [str(_bin() / "airflow"), part, *(["--skip-serve-logs"] if part == "scheduler" else [])]
            starting = Starting(command, environment(home, port), _log(home))
            running = Running(port, {**running.parts, part: starting.leader})
            running.save(home)
            starting.go()
        running = Running(port, running.parts, _wait_until_up(home, running, report))
        running.save(home)
        _make_pool(home, report)
    except BaseException:
        stop(home)
        raise
    report(f"Airflow is up: {running.url} (user {USER}, password in {passwords(home)})")
    return running


def _forget_the_dead(home: Home) -> None:
    """Mark the jobs of earlier Airflow processes as failed, and delete a password file that was not completely written.

    Airflow itself notices only after minutes that a scheduler was killed; until then no scheduler takes over its tasks.
    """
    with psycopg.connect(_server(home).url) as database:
        database.execute("update job set state = 'failed', end_date = now() where state = 'running'")
    try:
        json.loads(passwords(home).read_text())[USER]
    except (OSError, ValueError, KeyError):
        passwords(home).unlink(missing_ok=True)


def read(home: Home) -> Running | None:
    """Return the Airflow that was started for this home, running or dead; None if it was stopped."""
    try:
        body = json.loads(_record(home).read_text())
    except FileNotFoundError:
        return None
    parts = {part: Leader(*leader.values()) for part, leader in body["parts"].items()}
    return Running(body["port"], parts, body["started_at"])


def is_running(home: Home) -> bool:
    """Say whether all parts of this home's Airflow run."""
    running = read(home)
    return bool(running and _is_whole(running))


def dag_ids() -> tuple[str, ...]:
    """List every DAG id: one for each source that is on, the sweep, the build, the maintenance, the check, and decisions."""
    return (
        *(f"ingest_{source}" for source in source_ends(read_contracts())),
        "sweep_sources",
        "build_warehouse",
        "maintain",
        "check_sources",
        "decide",
    )


def unpause(home: Home, dags: Sequence[str] = (), report: Report = silent) -> None:
    """Let the scheduler run these DAGs; all if none are named."""
    api = Api(home, report)
    for dag_id in dags or dag_ids():
        api.pause(dag_id, False)


def backfill(home: Home, dag_id: str, start: date, end: date) -> None:
    """Request a run of every window in `[start, end)`, also where one has run before. Call it before `unpause`."""
    _ask_for(Api(home), backfill_request(dag_id, start, end))


def complete(home: Home, dag_id: str, start: date, end: date, report: Report = silent) -> bool:
    """Request a run of every day in `[start, end)` that has none, or a failed one; an earlier backfill ends first.

    Return whether any run was requested; if so, the DAG is paused.
    """
    api = Api(home, report)
    telling = Telling(report, _BACKFILL_SECONDS)
    while active := [one for one in api.backfills(dag_id) if not one["completed_at"]]:
        _check_alive(home, api.running)
        for one in active:
            if one["is_paused"]:
                api.ask("PUT", f"/backfills/{one['id']}/unpause")
        # The backfill of a paused DAG never ends.
        api.pause(dag_id, False)
        if telling.is_over:
            raise Transient(
                f"a backfill of {dag_id} did not end within {_BACKFILL_SECONDS:.0f} s",
                where=api.running.url,
                todo="open Airflow's page, look at the DAG's runs or cancel the backfill; then run the same command again",
            )
        telling.tell(f"waiting for an earlier backfill of {dag_id}")
        time.sleep(_POLL_SECONDS)
    done = {run["logical_date"][:10] for run in api.runs_of(dag_id, start, end) if run["state"] != "failed"}
    days = [start + timedelta(days=n) for n in range((end - start).days)]
    if missing := [day for day in days if day.isoformat() not in done]:
        report(f"backfilling {dag_id} through Airflow's API: {len(missing)} days from {missing[0]} to {missing[-1]}")
        # The scheduler crashes if it creates its own run of the last day at the same moment.
        api.pause(dag_id, True)
        _ask_for(api, backfill_request(dag_id, start, end, again="failed"))
    else:
        report(f"the days from {start} to {end - timedelta(days=1)} have landed already")
    return bool(missing)


def _ask_for(api: "Api", request: dict[str, Any]) -> None:
    telling = Telling(api.report, _ANSWER_SECONDS)
    while True:
        try:
            api.ask("POST", "/backfills", request)
            return
        except Transient:  # the earlier backfill is not closed yet
            if telling.is_over:
                raise
        telling.tell("waiting for the earlier backfill to be closed")
        time.sleep(_POLL_SECONDS)


def backfill_request(dag_id: str, start: date, end: date, again: str = "completed") -> dict[str, Any]:
    """Return the request body for `[start, end)`; Airflow's own range includes both ends.

    `again` says which existing runs are repeated: `completed` ones, or only `failed` ones.
    """
    return {
        "dag_id": dag_id,
        "from_date": f"{start.isoformat()}T00:00:00Z",
        "to_date": f"{(end - timedelta(days=1)).isoformat()}T23:59:59Z",
        "reprocess_behavior": again,
        "max_active_runs": 2,
    }


def wait(
    home: Home,
    report: Report = silent,
    *,
    before: date,
    since: datetime | None = None,
    builds: bool = True,
    patience: float = _RUNS_SECONDS,
) -> None:
    """Wait until no run of a window `before` a day is active and, unless `builds` is false, their batches are built.

    A run that failed `since` a time, or since Airflow started, is Permanent, and so is a part of Airflow that died. A failed
    build is not if a later one succeeded. Runs from that day on are left to the schedule. Without `builds`,
    `build_warehouse` may still be paused: then one build takes all batches, instead of one build for each arrival.
    """
    api = Api(home, report)
    telling = Telling(report, patience)
    from_then = since.isoformat() if since else api.running.started_at
    builds_left = _BUILDS
    while not telling.is_over:
        _check_alive(home, api.running)
        active = [run for run in api.runs("queued", "running") if is_waited_for(run, before, builds=builds)]
        if not active:
            ended = [run for run in api.runs("failed", "success", since=from_then) if starts_before(run, before)]
            if failed := unmended([run for run in ended if builds or run["dag_id"] != "build_warehouse"]):
                raise _failed(home, api, failed)
            if not builds or not waits_for_build(home, before):
                return
            if not builds_left:
                raise Permanent(
                    f"batches still wait after {_BUILDS} builds", where=str(home.bronze), todo="clearwell status"
                )
            builds_left -= 1
            # A batch may arrive just after a build's last check; nothing else would build it before the next hour.
            api.ask("POST", "/dags/build_warehouse/dagRuns", {"logical_date": None})
        elif report is not silent:
            telling.tell(_progress(home, api, active))
        time.sleep(_RUNS_POLL_SECONDS)
    raise Transient(
        f"Airflow's runs did not finish within {patience:.0f} s",
        where=api.running.url,
        todo="look at the runs on Airflow's page; the same command goes on waiting for them",
    )


def command(home: Home, arguments: Sequence[str]) -> int:
    """Run Airflow's own command on this home's Airflow; return its exit status. A backfill includes both of its dates."""
    environ = environment(home, _running(home).port)
    return subprocess.run([str(_bin() / "airflow"), *whole_days(arguments)], env=environ).returncode


def whole_days(arguments: Sequence[str]) -> list[str]:
    """Make the last date of a backfill mean the whole day: Airflow reads it as midnight, and 23 hourly runs would be missing."""
    if list(arguments[:2]) != ["backfill", "create"]:
        return list(arguments)
    words = [word for one in arguments for word in (one.split("=", 1) if one.startswith("--to-date=") else [one])]
    return [
        f"{word}T23:59:59" if before == "--to-date" and _DATE.fullmatch(word) else word
        for before, word in zip(["", *words], words, strict=False)
    ]


def stop(home: Home) -> None:
    """Stop every process of this home's Airflow. Those that do not stop in time are killed."""
    running = read(home)
    if running:
        processes.stop(list(running.parts.values()), _STOP_SECONDS)
    _server(home).stop()
    _record(home).unlink(missing_ok=True)


def _running(home: Home) -> Running:
    running = read(home)
    if not running:
        raise Permanent("Airflow is not running", where=str(home.airflow), todo="clearwell up")
    return running


# --- the processes ---------------------------------------------------------------------------------------------------


def _dead(running: Running) -> list[str]:
    return [part for part in PARTS if part not in running.parts or not running.parts[part].is_alive]


def _is_whole(running: Running) -> bool:
    return not _dead(running) and bool(running.started_at)


def _check_alive(home: Home, running: Running) -> None:
    if dead := _dead(running):
        if read(home) is None:
            raise Transient(
                "Airflow was stopped while this command waited", where=str(home.airflow), todo="clearwell up"
            )
        raise _broken(home, f"Airflow's {' and '.join(dead)} died")


def _broken(home: Home, what: str) -> Permanent:
    tail = [line for line in _log(home).read_text(errors="replace").splitlines() if line.strip()][-3:]
    return Permanent(
        f"{what}. Its log ends: {' | '.join(tail)}",
        where=str(_log(home)),
        todo="read the log and fix the cause; `clearwell up` then starts it again",
    )


# --- its API ---------------------------------------------------------------------------------------------------------


class Api:
    """A client of Airflow's REST API, with its one user. It waits for the answers of a busy machine."""

    def __init__(self, home: Home, report: Report = silent) -> None:
        self.home, self.report = home, report
        self.running = _running(home)
        self.token = ""

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        telling = Telling(self.report, _ANSWER_SECONDS)
        while True:
            try:
                return self.ask_once(method, path, body)
            except Unanswered:
                _check_alive(self.home, self.running)
                if telling.is_over:
                    raise
                telling.tell("waiting for Airflow's API, which does not answer")
            time.sleep(_POLL_SECONDS)

    def ask_once(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if not self.token:
            login = {"username": USER, "password": json.loads(passwords(self.home).read_text())[USER]}
            self.token = _ask(f"{self.running.url}/auth/token", "POST", login)["access_token"]
        return _ask(f"{self.running.url}/api/v2{path}", method, body, self.token)

    def all(self, path: str, what: str, **asked: str) -> list[dict[str, Any]]:
        """Return every page of a list."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.ask("GET", f"{path}?{urlencode({**asked, 'limit': _PAGE, 'offset': len(found)}, doseq=True)}")
            found += page[what]
            if len(page[what]) < _PAGE:
                return found

    def pause(self, dag_id: str, is_paused: bool) -> None:
        self.ask("PATCH", f"/dags/{quote(dag_id)}", {"is_paused": is_paused})

    def backfills(self, dag_id: str) -> list[dict[str, Any]]:
        return self.all("/backfills", "backfills", dag_id=dag_id)

    def runs_of(self, dag_id: str, start: date, end: date) -> list[dict[str, Any]]:
        """Return the runs of a DAG whose windows start in `[start, end)`."""
        span = {"logical_date_gte": f"{start}T00:00:00Z", "logical_date_lt": f"{end}T00:00:00Z"}
        return self.all(f"/dags/{quote(dag_id)}/dagRuns", "dag_runs", **span)

    def runs(self, *states: str, since: str = "") -> list[dict[str, Any]]:
        asked = {"end_date_gte": since} if since else {}
        return self.all("/dags/~/dagRuns", "dag_runs", **asked, state=states)  # type: ignore[arg-type]


def _ask(url: str, method: str, body: dict[str, Any] | None = None, token: str = "") -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, headers, method=method), timeout=60) as answer:
            return json.loads(answer.read() or b"null")
    except HTTPError as error:
        text = error.read().decode(errors="replace")[:500]
        kind = Unanswered if error.code >= 500 else Transient if error.code == 409 else Permanent
        raise kind(f"Airflow refused: {error.code} {text}", where=url, todo="read Airflow's log") from error
    except (OSError, HTTPException, ValueError) as error:
        raise Unanswered(
            f"Airflow did not answer: {error}", where=url, todo="clearwell up, which starts it if it does not run"
        ) from error


def _wait_until_up(home: Home, running: Running, report: Report) -> str:
    """Wait until all parts answer and every DAG is known; return the scheduler's own time."""
    telling = Telling(report, _BOOT_SECONDS)
    missing = "Airflow"
    while not telling.is_over:
        _check_alive(home, running)
        missing, heartbeat = _missing(home, running)
        if not missing:
            return heartbeat
        telling.tell(f"waiting for {missing}")
        time.sleep(0.5)
    raise _broken(home, f"Airflow did not start within {_BOOT_SECONDS:.0f} s: still waiting for {missing}")


def _missing(home: Home, running: Running) -> tuple[str, str]:
    """Return what is still missing, empty if nothing is, and the scheduler's last heartbeat."""
    try:
        health = _ask(f"{running.url}/api/v2/monitor/health", "GET")
        for part in ("scheduler", "dag_processor"):
            if health[part]["status"] != "healthy":
                return f"the {part.replace('_', ' ')}", ""
        api = Api(home)
        broken = api.ask_once("GET", "/importErrors")["import_errors"]
        known = {dag["dag_id"] for dag in api.ask_once("GET", "/dags?limit=100")["dags"]}
    except (Transient, OSError, ValueError):  # no answer yet, or no password file
        return "the API", ""
    if broken:
        raise Permanent(
            f"a DAG file cannot be imported: {broken[0]['stack_trace'][-500:]}",
            where=broken[0]["filename"],
            todo="fix the file, then run the same command again",
        )
    unknown = sorted(set(dag_ids()) - known)
    return f"the DAGs {', '.join(unknown)}" if unknown else "", health["scheduler"]["latest_scheduler_heartbeat"]


def _make_pool(home: Home, report: Report) -> None:
    """Create the pool that lets one task at a time use the warehouse."""
    api = Api(home, report)
    if "warehouse" not in {pool["name"] for pool in api.ask("GET", "/pools?limit=100")["pools"]}:
        body = {"name": "warehouse", "slots": 1, "description": "One task at a time reads or changes the state"}
        api.ask("POST", "/pools", body)


def _progress(home: Home, api: Api, active: Sequence[dict[str, Any]]) -> str:
    """Return a line of progress: how many runs are done, what the active ones do, and how far a build is."""
    done = api.ask("GET", "/dags/~/dagRuns?state=success&limit=1")["total_entries"]
    tasks = api.ask("GET", "/dags/~/dagRuns/~/taskInstances?state=running&limit=100")["task_instances"]
    building = [last_line(home, task) for task in tasks if task["dag_id"] == "build_warehouse"]
    busy = sorted({f"{run['dag_id']} {_interval(run)}" for run in active if run["state"] == "running"})
    now = "; ".join([*(f"now {', '.join(busy)}" for _ in busy[:1]), *(line for line in building if line)])
    return f"{done} runs done, {len(active)} to go{f'; {now}' if now else ''}"


def last_line(home: Home, task: dict[str, Any]) -> str:
    """Return the last line that a running task printed, from Airflow's log of it: one JSON object per line."""
    folder = home.airflow / "logs" / f"dag_id={task['dag_id']}" / f"run_id={task['dag_run_id']}"
    log = folder / f"task_id={task['task_id']}" / f"attempt={task['try_number']}.log"
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if said.get("logger") == "task.stdout":
            return str(said["event"])[:80]
    return ""


def unmended(ended: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the failed runs; of builds only those that no success followed, since each build takes all batches."""
    builds = [run["end_date"] for run in ended if run["dag_id"] == "build_warehouse" and run["state"] == "success"]
    return [
        run
        for run in ended
        if run["state"] == "failed"
        and not (run["dag_id"] == "build_warehouse" and run["end_date"] < max(builds, default=""))
    ]


def starts_before(run: dict[str, Any], day: date) -> bool:
    """Say whether a run's window starts before a day; a run without a window was triggered by hand."""
    return (run["logical_date"] or "") < day.isoformat()


def waits_for_build(home: Home, before: date) -> bool:
    """Say whether a landed batch of a window before a day still waits for a build."""
    return any(one.window.start.date() < before for one in waiting_batches(home))


def is_waited_for(run: dict[str, Any], before: date, *, builds: bool) -> bool:
    """Say whether to wait for a run: any build, as it may hold landed batches, and any ingest of a window before a day."""
    return builds if run["dag_id"] == "build_warehouse" else starts_before(run, before)


def _interval(run: dict[str, Any]) -> str:
    return str(run["logical_date"] or run["run_after"])[:16].replace("T00:00", "")


def _failed(home: Home, api: Api, failed: Sequence[dict[str, Any]]) -> Permanent:
    tasks = list(_failed_tasks(api, failed))
    return Permanent(
        f"{len(failed)} Airflow runs failed: {', '.join(tasks)}",
        where=str(home.airflow / "logs"),
        todo="read the tasks' logs and fix the cause; the same command runs them again",
    )


def _failed_tasks(api: Api, failed: Sequence[dict[str, Any]]) -> Iterator[str]:
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
    """Return the SQLAlchemy address of Airflow's database, for synchronous and asynchronous use."""
    return _server(home).url.replace("postgresql://", "postgresql+psycopg://", 1)


def _log(home: Home) -> Path:
    return home.airflow / "standalone.log"


def _record(home: Home) -> Path:
    return home.airflow / "running.json"


def passwords(home: Home) -> Path:
    """Return the path of the file with the password of Airflow's user."""
    return home.airflow / "simple_auth_manager_passwords.json.generated"
