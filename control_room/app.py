"""The control room in Airflow's UI: the page, and the runs that a person asks for from it.

Airflow's own login and permissions guard it. Whoever may see Airflow's UI sees the page; whoever may trigger a DAG may ask for
a run of it. A decision is made by the run, in the name of the user who asked.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode, urlsplit

import duckdb
from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag, requires_access_view
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import select
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException

from ingestion.errors import ClearwellError, Permanent
from ingestion.faults import named
from ingestion.home import Home
from operations import actions, control_room, control_room_facts, decide, markup
from operations.actions import DECIDE, REBUILD, Desk, Run

# The bytes of a form: corrected records are typed by people.
MOST = 16 * 2**20
_LISTED = 10
_HEADERS = {
    # no other site may show the page within its own, to have somebody click on what they do not see
    "Content-Security-Policy": "frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    # nothing is left in the browser for whoever uses it after the logout
    "Cache-Control": "no-store",
    # without an origin, a browser's form could not be told from another site's
    "Referrer-Policy": "same-origin",
}

app = FastAPI(title="Clearwell control room", openapi_url=None, docs_url=None, redoc_url=None)


def same_origin(request: Request) -> None:
    """Refuse a form that another site makes a browser send. A cookie alone would let it in; a bearer token cannot be sent by it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "")
    # browsers say the first to https and to localhost alone
    is_own = site == "same-origin" if site else urlsplit(origin).netloc == request.headers.get("host")
    if not is_own:
        raise HTTPException(403, "this form was not sent by the control room itself")


async def sent(request: Request) -> Mapping[str, str | bytes]:
    """Read a form, and the content of its file."""
    size = request.headers.get("content-length", "")
    if not size.isdecimal() or int(size) > MOST:
        raise HTTPException(413, f"a form must say its size, and have at most {MOST // 2**20} MiB")
    async with request.form(max_files=1, max_fields=20) as form:
        return {name: await value.read() if isinstance(value, UploadFile) else value for name, value in form.items()}


Sent = Annotated[Mapping[str, str | bytes], Depends(sent)]


def _may_trigger(dag_id: str) -> list[Any]:
    """Return the guards of what starts a run of a DAG."""
    return [Depends(same_origin), Depends(requires_access_dag("POST", DagAccessEntity.RUN, dag_id))]


@app.get("/", dependencies=[Depends(requires_access_view(AccessView.WEBSITE))])
def read_page(user: GetUserDep, session: SessionDep, request: Request, run: str = "") -> Response:
    """Return the page. A link may name a form and what it is about, or the run that a form has started."""
    return _page(replace(_desk(user, session), started=run, typed=dict(request.query_params)))


@app.post(f"/{DECIDE}", dependencies=_may_trigger(DECIDE))
def ask_for_decision(user: GetUserDep, session: SessionDep, form: Sent) -> Response:
    """Start a run that makes a decision, if it can be made as things are."""

    def start() -> str:
        home, kept = Home.from_environment(), None
        file = form.get("file")
        # what is wrong with the rest is told before a file is kept
        asked, reason = actions.decision({**_texts(form), **({"about": "a file"} if file else {})})
        if isinstance(file, bytes) and asked.action == "resubmit":
            asked = replace(asked, about=decide.keep_upload(home, file))
            kept = decide.upload(home, asked.about)
        try:
            decide.check(home, asked)
            return _start(session, DECIDE, {**asked.__dict__, "reason": reason}, user)
        except ClearwellError:
            # the same file may be waiting for the run of somebody who sent it before
            if kept and not _pending(session, DECIDE, asked.__dict__):
                kept.unlink(missing_ok=True)
            raise

    return _asked(start, user, session, form)


@app.post(f"/{REBUILD}", dependencies=_may_trigger(REBUILD))
def ask_for_rebuild(user: GetUserDep, session: SessionDep, form: Sent) -> Response:
    """Start a run that builds a range of dates again."""
    return _asked(lambda: _start(session, REBUILD, actions.rebuild(_texts(form)), user), user, session, form)


def _texts(form: Mapping[str, str | bytes]) -> dict[str, str]:
    return {name: value for name, value in form.items() if isinstance(value, str)}


def _asked(start: Callable[[], str], user: Any, session: Any, form: Mapping[str, str | bytes]) -> Response:
    """Start a run, and show the page with it; or the page with the error, and with what was typed."""
    try:
        with named():
            run_id = start()
    except (ClearwellError, duckdb.Error) as error:
        told = _told(error)
        return _page(replace(_desk(user, session), error=told, typed=_texts(form)), status=400)
    return RedirectResponse(f"./?{urlencode({'run': run_id})}#actions", status_code=303)


def _start(session: Any, dag_id: str, conf: Mapping[str, Any], user: Any) -> str:
    dag = session.get(DagModel, dag_id)
    if dag is None or dag.is_stale or dag.has_import_errors:
        raise Permanent(f"Airflow cannot read the DAG {dag_id}", todo="look at the import errors in Airflow's UI")
    if dag.is_paused:
        raise Permanent(f"the DAG {dag_id} is paused", todo=f"unpause {dag_id} in Airflow, then ask again")
    if before := _pending(session, dag_id, conf):
        raise Permanent(
            f"{before.triggering_user_name} has asked for the same, and that run is {before.state}",
            todo="wait until it has ended; the list of what was asked for leads to it",
        )
    run = trigger_dag(
        dag_id,
        triggered_by=DagRunTriggeredByType.UI,
        triggering_user_name=user.get_name(),
        conf=dict(conf),
        note=f"{conf['reason']}",
    )
    if run is None:
        raise Permanent(f"Airflow did not start {dag_id}", todo="ask again")
    return str(run.run_id)


def _pending(session: Any, dag_id: str, conf: Mapping[str, Any]) -> Any:
    """Return a run that has been asked for and not ended, for whatever reason, which will do the same; None if there is none."""
    query = select(DagRun).where(
        DagRun.dag_id == dag_id,
        DagRun.state.in_([DagRunState.QUEUED, DagRunState.RUNNING]),
        DagRun.triggering_user_name.is_not(None),
    )

    def wanted(of: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in of.items() if name != "reason"}

    return next((one for one in session.scalars(query) if wanted(one.conf or {}) == wanted(conf)), None)


def _desk(user: Any, session: Any) -> Desk:
    may_decide, may_rebuild = _may(user, "POST", DECIDE), _may(user, "POST", REBUILD)
    return Desk(
        user=user.get_name(),
        may_decide=may_decide,
        may_rebuild=may_rebuild,
        findings=_findings() if may_decide else None,
        runs=_runs([one for one in (DECIDE, REBUILD) if _may(user, "GET", one)], session),
    )


def _may(user: Any, method: Any, dag_id: str) -> bool:
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return bool(
        get_auth_manager().is_authorized_dag(
            method=method, access_entity=DagAccessEntity.RUN, details=details, user=user
        )
    )


def _findings() -> list[str] | None:
    try:
        return sorted({one.name for one in decide.open_findings(Home.from_environment())})
    except (ClearwellError, duckdb.Error):
        return None


def _runs(dag_ids: list[str], session: Any) -> list[Run]:
    """List the last runs that somebody has asked for, and the builds that follow from them."""
    query = select(DagRun).where(DagRun.dag_id.in_(dag_ids), DagRun.triggering_user_name.is_not(None))
    found = session.scalars(query.order_by(DagRun.run_after.desc()).limit(5 * _LISTED))
    return [_run(one) for one in found if (one.conf or {}).get("reason")][:_LISTED]


def _run(run: Any) -> Run:
    conf = {name: str(value) for name, value in run.conf.items() if value}
    if run.dag_id == DECIDE:
        what = " ".join(conf[name] for name in ("action", "dataset", "about") if name in conf)
    else:
        what = f"rebuild {conf['from']} to {conf.get('to', '')}" if "from" in conf else "build"
    return Run(
        run_id=run.run_id,
        what=what,
        asked_by=str(run.triggering_user_name),
        reason=conf["reason"],
        at=run.run_after.astimezone(UTC),
        state=str(run.state),
        address=f"../dags/{quote(run.dag_id)}/runs/{quote(run.run_id, safe='')}",
    )


def _page(desk: Desk, status: int = 200) -> Response:
    try:
        room = control_room_facts.read(Home.from_environment(), datetime.now(UTC))
    except (ClearwellError, duckdb.Error) as error:
        return _message("The control room cannot be shown", _told(error), 503)
    return HTMLResponse(control_room.render(room, desk), status)


def _told(error: Exception) -> str:
    """Say what is wrong. What DuckDB says may hold data."""
    return str(error) if isinstance(error, ClearwellError) else f"{type(error).__name__}. Next: clearwell status"


def _message(title: str, says: str, status: int) -> HTMLResponse:
    body = f'<main><h1>{markup.safe(title)}</h1><p role="alert">{markup.safe(says)}</p></main>'
    return HTMLResponse(markup.document(f"Clearwell: {title}", body), status)


@app.exception_handler(StarletteHTTPException)
def refuse(request: Request, error: Exception) -> Response:
    """Send whoever is not logged in to Airflow's login, and back afterwards; tell others why not. Nothing of the page is shown."""
    status, detail = getattr(error, "status_code", 500), getattr(error, "detail", "")
    if status == 401 and request.method == "GET":
        return RedirectResponse(get_auth_manager().get_url_login(next_url=str(request.url)), 303)
    return _message(
        "Not allowed" if status in (401, 403) else "Not done",
        detail if isinstance(detail, str) else json.dumps(detail),
        status,
    )


@app.middleware("http")
async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """Add the headers that keep the page to its reader."""
    response = await go_on(request)
    response.headers.update(_HEADERS)
    return response
