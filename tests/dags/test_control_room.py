"""The control room in Airflow, with Airflow's own users and permissions: who sees it, who may act, and what the run then does."""

import ast
import inspect
import json
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion import bronze
from ingestion.home import Home
from ingestion.sources import decisions
from operations import decide
from tests.dags.queued import end
from tests.pipeline.delivery import ORDER, land_rows
from tests.unit.operations.planted import LAST_BUILD, plant
from tests.unit.operations.test_decide import ROW, STATE, refused_row

AT = datetime(2026, 11, 3, tzinfo=UTC)
MARKUP = "<script>alert(1)</script>"
OWN = {"sec-fetch-site": "same-origin"}
REBUILD = {"from": "2026-11-01", "to": "2026-11-03", "reason": "a mended contract"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = plant(tmp_path)
    home.state.unlink()
    with duckdb.connect(str(home.state)) as state:
        state.execute(STATE)
    monkeypatch.setenv("CLEARWELL_HOME", str(home.root))
    return home


@pytest.fixture
def client(served: None, home: Home) -> Callable[..., Any]:
    """Return a browser in which somebody of a role is logged in; nobody without a role."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    from control_room.app import app

    def browser(role: str = "") -> TestClient:
        token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="anna", role=role)) if role else ""
        cookies = {"_token": token} if role else {}
        return TestClient(app, base_url="http://airflow.test", cookies=cookies, follow_redirects=False)

    return browser


@pytest.fixture
def paused(served: None) -> Iterator[Callable[[str, bool], None]]:
    """Pause DAGs; those that a test pauses are as before afterwards."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    def pause(dag_id: str, is_paused: bool) -> None:
        with create_session() as session:
            session.get(DagModel, dag_id).is_paused = is_paused

    pause("build_warehouse", False)
    yield pause
    pause("decide", False)
    pause("build_warehouse", True)


def runs() -> dict[str, Any]:
    from airflow.models.dagrun import DagRun
    from airflow.settings import Session

    found = [one for dag_id in ("decide", "build_warehouse") for one in DagRun.find(dag_id=dag_id, session=Session())]
    return {one.run_id: one for one in found}


@pytest.fixture
def started(served: None) -> Iterator[Callable[[], list[Any]]]:
    before = set(runs())

    def new() -> list[Any]:
        return [run for run_id, run in runs().items() if run_id not in before]

    yield new
    end(new())


def test_logged_out_nothing_is_seen_and_nothing_is_done(client, started):
    shown = client().get("/?run=1")
    assert (shown.status_code, shown.text) == (303, "")
    assert shown.headers["location"] == "/auth/login?next=http%3A%2F%2Fairflow.test%2F%3Frun%3D1"
    for form in ("/decide", "/build_warehouse"):
        refused = client().post(form, data=REBUILD, headers=OWN)
        assert refused.status_code == 401 and LAST_BUILD not in refused.text
    wrong = client()
    wrong.cookies["_token"] = "no.token.at.all"
    assert wrong.get("/").status_code == 403 and LAST_BUILD not in wrong.get("/").text
    assert client().get("/docs").status_code == client().get("/openapi.json").status_code == 404
    assert started() == []


def test_a_viewer_sees_everything_and_may_not_act(client, started, home):
    batch = land_rows(home, "orders", ORDER, [ROW], AT)
    page = client("VIEWER").get("/")
    assert page.status_code == 200 and LAST_BUILD in page.text
    assert "may look but not act" in page.text and "<form" not in page.text and "?action=" not in page.text
    for form, data in (
        ("/decide", {"action": "retract", "about": batch, "reason": "why"}),
        ("/build_warehouse", REBUILD),
    ):
        refused = client("VIEWER").post(form, data=data, headers=OWN)
        assert refused.status_code == 403 and LAST_BUILD not in refused.text
    assert started() == []


def test_a_decision_is_made_by_a_run_that_says_who_and_why_and_then_builds(client, started, home, bag):
    batch = land_rows(home, "orders", ORDER, [ROW], AT)
    browser = client("USER")
    answer = browser.post(
        "/decide", data={"action": "retract", "about": f" {batch} ", "reason": f"wrong {MARKUP}"}, headers=OWN
    )
    (run,) = started()
    assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "./")
    assert (run.dag_id, run.triggering_user_name, run.state) == ("decide", "anna", "queued")
    assert run.conf == {"action": "retract", "about": batch, "dataset": "", "reason": f"wrong {MARKUP}"}
    # what is shown next
    page = browser.get(answer.headers["location"].removeprefix(".").split("#")[0]).text
    assert f"Started: retract {batch}, because of “wrong &lt;script&gt;" in page and MARKUP not in page
    assert f'href="../dags/decide/runs/{run.run_id.replace(":", "%3A").replace("+", "%2B")}"' in page
    # the run decides, and trying it again decides nothing more
    carry_out = bag.dags["decide"].get_task("carry_out").python_callable
    for _ in range(2):
        carry_out(params=run.conf, dag_run=run)
    (one,) = decisions.standing(home).values()
    assert (one.action, one.target.batch_id, one.decided_by) == ("withdraw", batch, "anna")
    assert (one.reason, one.decided_at) == (f"wrong {MARKUP}", run.run_after)
    assert len(bronze.list_batches(home, "decisions")) == 1
    # a build follows at once, in the name of who asked
    assert bag.dags["decide"].get_task("build").trigger_dag_id == "build_warehouse"
    assert bag.dags["decide"].get_task("build").upstream_task_ids == {"carry_out"}


def test_a_rebuild_is_a_run_of_the_build_that_says_who_and_why(client, started, paused, monkeypatch, bag):
    from types import SimpleNamespace

    from warehouse import build

    browser = client("USER")
    assert browser.post("/build_warehouse", data=REBUILD, headers=OWN).status_code == 303
    (run,) = started()
    assert (run.dag_id, run.triggering_user_name, run.conf) == ("build_warehouse", "anna", REBUILD | {"full": False})
    requests = []
    planned = SimpleNamespace(build_id="b", entering=(), leaving=())
    monkeypatch.setattr(build, "plan", lambda home, request, *more: requests.append(request) or planned)
    bag.dags["build_warehouse"].get_task("plan").python_callable(params=run.conf, dag_run=run)
    assert requests == [build.Request(date(2026, 11, 1), date(2026, 11, 3), reason="a mended contract (asked by anna)")]
    assert "rebuild 2026-11-01 to 2026-11-03</th>" in browser.get("/").text


def test_a_button_that_is_pressed_twice_asks_once(client, started, home, paused):
    """The second run would find that nothing is left to do, fail, and be an alert."""
    batch = land_rows(home, "orders", ORDER, [ROW], AT)
    data = {"action": "retract", "about": batch, "reason": "why"}
    assert client("USER").post("/decide", data=data, headers=OWN).status_code == 303
    page = client("USER").post("/decide", data=data | {"reason": "another"}, headers=OWN)
    assert page.status_code == 400 and "anna has asked for the same, and that run is queued" in page.text
    # the same file twice: the first run must still find it
    name, sent = refused_row(home), {"action": "resubmit", "reason": "the currency"}
    file = {"file": ("f", json.dumps([{"record": name, "raw": ROW | {"currency": "USD"}}]).encode())}
    assert client("USER").post("/decide", data=sent, files=file, headers=OWN).status_code == 303
    assert client("USER").post("/decide", data=sent, files=file, headers=OWN).status_code == 400
    assert len(list(home.uploads.iterdir())) == 1
    assert client("USER").post("/build_warehouse", data=REBUILD, headers=OWN).status_code == 303
    assert client("USER").post("/build_warehouse", data=REBUILD, headers=OWN).status_code == 400
    # another range, and the same one again once its run has ended
    assert client("USER").post("/build_warehouse", data=REBUILD | {"to": "2026-11-04"}, headers=OWN).status_code == 303
    end(started())
    assert client("USER").post("/build_warehouse", data=REBUILD, headers=OWN).status_code == 303
    assert len(started()) == 5


def test_corrected_records_are_in_no_table_of_airflow_and_are_gone_when_they_have_landed(client, started, home, bag):
    name, fixed = refused_row(home), ROW | {"currency": "USD", "order_id": "c4n4ry"}
    file = json.dumps([{"record": name, "raw": fixed}]).encode()
    answer = client("USER").post(
        "/decide",
        data={"action": "resubmit", "reason": "the currency"},
        files={"file": ("fixed.json", file, "application/json")},
        headers=OWN,
    )
    assert answer.status_code == 303
    (run,) = started()
    assert "c4n4ry" not in json.dumps(run.conf)
    (kept,) = home.uploads.iterdir()
    assert kept.read_bytes() == file and stat.S_IMODE(kept.stat().st_mode) == 0o600
    carry_out = bag.dags["decide"].get_task("carry_out").python_callable
    for _ in range(2):
        carry_out(params=run.conf, dag_run=run)
        assert not any(home.uploads.iterdir())
    (corrected,) = [one for one in bronze.list_batches(home, "orders") if not name.startswith(one.batch_id)]
    assert bronze.find_manifest(home, corrected.batch_id).source == "corrections"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://airflow.test"}, 403),
        ({"origin": "http://elsewhere.test"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
        ({"origin": "http://airflow.test"}, 303),
        (OWN, 303),
    ],
)
def test_a_form_of_another_site_is_refused_though_the_cookie_is_sent(client, started, paused, headers, status):
    assert client("USER").post("/build_warehouse", data=REBUILD, headers=headers).status_code == status
    assert len(started()) == (status == 303)


def test_a_bearer_token_needs_no_form_of_ours_and_is_checked(client, paused, started):
    token = client("USER").cookies["_token"]
    assert client().post("/build_warehouse", data=REBUILD, headers={"authorization": f"Bearer {token}"}).is_redirect
    for wrong in ("Bearer no.token.at.all", "bearer "):
        # the cookie does not help: a token that is given counts
        refused = client("USER").post("/build_warehouse", data=REBUILD, headers={"authorization": wrong})
        assert refused.status_code in (401, 403)
    assert len(started()) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"action": "retract", "about": MARKUP, "reason": "why"}, "there is no batch &lt;script&gt;"),
        ({"action": "retract", "about": "b1", "reason": " \n"}, "a reason is missing"),
        ({"action": "retract", "about": " ", "reason": "why"}, "must say what it is about"),
        ({"action": "drop", "about": "b1", "reason": "why"}, "there is no action drop"),
        ({"action": "accept", "about": "held:other", "reason": "why"}, "there is no open finding held:other"),
        ({"action": "resubmit", "about": "../secret", "reason": "why"}, "is no uploaded file"),
        ({"action": "resubmit", "about": "0" * 32, "reason": "why"}, "the file of corrected records is gone"),
        ({"action": "retract", "about": "b1", "reason": "x" * 1001}, "longer than 1,000 characters"),
        ({"action": "retract", "about": "b1", "reason": "a\0b"}, "a character that cannot be seen"),
        ({"reason": "why"}, "there is no action"),
    ],
)
def test_what_cannot_be_done_is_told_at_once_and_starts_nothing(client, started, home, data, said):
    page = client("USER").post("/decide", data=data, headers=OWN)
    assert page.status_code == 400 and started() == []
    assert "Nothing was started: " in page.text and said in page.text and MARKUP not in page.text
    assert LAST_BUILD in page.text
    if data.get("action") == "retract":
        assert '<details id="ask-retract" open>' in page.text


def test_a_wrong_file_is_not_kept(client, started, home):
    for file, said in ((b"[1, {", "is not JSON"), (b"\xff\xfe", "is not JSON"), (b"[]", "has no records")):
        page = client("USER").post(
            "/decide", data={"action": "resubmit", "reason": "why"}, files={"file": ("f", file)}, headers=OWN
        )
        assert page.status_code == 400 and said in page.text
        assert not any(home.uploads.glob("*")) and started() == []


def test_a_file_is_kept_for_what_needs_one_alone_and_a_full_disk_is_told(client, started, home, monkeypatch):
    import errno
    import os

    sent = {"files": {"file": ("f", b"[1]")}, "headers": OWN}
    page = client("USER").post("/decide", data={"action": "retract", "reason": "why"}, **sent)
    assert page.status_code == 400 and not home.uploads.exists()

    def full(home, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "uploads")

    monkeypatch.setattr(decide, "keep_upload", full)
    page = client("USER").post("/decide", data={"action": "resubmit", "reason": "why"}, **sent)
    assert page.status_code == 400 and "the disk is full" in page.text and started() == []


def test_a_form_that_is_too_large_is_not_read(client):
    from control_room.app import MOST

    refused = client("USER").post("/decide", content=b"reason=" + b"x" * MOST, headers=OWN)
    assert refused.status_code == 413
    endless = client("USER").post("/decide", content=iter([b"reason=x"]), headers=OWN)
    assert endless.status_code == 413


def test_a_paused_dag_is_told_and_nothing_waits_unseen(client, started, paused):
    paused("build_warehouse", True)
    page = client("USER").post("/build_warehouse", data=REBUILD | {"action": "rebuild"}, headers=OWN)
    assert page.status_code == 400 and "the DAG build_warehouse is paused" in page.text and started() == []
    assert 'value="2026-11-03"' in page.text and "a mended contract</textarea>" in page.text


def test_a_link_fills_in_a_form_and_cannot_inject(client, home):
    page = client("USER").get("/", params={"action": "accept", "about": "held:clicks"})
    assert '<details id="ask-accept" open>' in page.text
    assert '<option value="held:clicks" selected>' in page.text
    for name in ("run", "about", "reason", "action"):
        assert MARKUP not in client("USER").get("/", params={"action": "retract", name: MARKUP}).text


def test_a_page_that_cannot_be_read_says_what_to_type(client, home):
    home.published.unlink()
    page = client("VIEWER").get("/")
    assert page.status_code == 503 and "nothing is published yet" in page.text and "clearwell build" in page.text


def test_no_other_site_may_frame_it_and_nothing_of_it_is_kept(client):
    for answer in (client("USER").get("/"), client().get("/"), client("VIEWER").post("/decide", headers=OWN)):
        assert answer.headers["content-security-policy"] == "frame-ancestors 'self'"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
    assert "form-action 'self'" in client("USER").get("/").text


def test_airflow_loads_the_plugin_and_the_page_only_when_it_is_asked_for():
    from airflow import plugins_manager
    from airflow.api_fastapi.app import RESERVED_URL_PREFIXES

    plugins, errors = plugins_manager._get_plugins()
    assert errors == {}
    (ours,) = [one for one in plugins if one.name == "clearwell"]
    (page,) = ours.fastapi_apps
    assert page in plugins_manager.get_fastapi_plugins()[0]
    assert not page["url_prefix"].startswith(tuple(RESERVED_URL_PREFIXES))
    (view,) = ours.external_views
    assert view in plugins_manager._get_ui_plugins()[0]
    assert view["href"] == page["url_prefix"].lstrip("/") + "/"
    # each process of Airflow imports the file, and what it imports at its top
    assert imported(Path(inspect.getfile(type(ours)))) == {
        "asyncio",
        "importlib",
        "typing",
        "airflow.plugins_manager",
        "dags.deadlines",
    }
    deadlines = Path(inspect.getfile(ours.deadline_references[0]))
    assert imported(deadlines) == {"datetime", "typing", "airflow.sdk.definitions.deadline"}


def imported(path: Path) -> set[str]:
    """Return the names of the modules that a file imports at its top."""
    body = ast.parse(path.read_text()).body
    names = {one.name for node in body if isinstance(node, ast.Import) for one in node.names}
    return names | {str(node.module) for node in body if isinstance(node, ast.ImportFrom)}


def test_the_plugin_passes_requests_on_to_the_page(client):
    from airflow import plugins_manager
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    (page,) = [one for one in plugins_manager.get_fastapi_plugins()[0] if one["name"] == "Clearwell control room"]
    airflow = FastAPI()
    airflow.mount(page["url_prefix"], page["app"])
    browser = TestClient(airflow, cookies={"_token": client("VIEWER").cookies["_token"]})
    assert LAST_BUILD in browser.get(page["url_prefix"]).text


def test_the_dag_takes_what_can_be_decided_and_only_with_a_reason(bag, home):
    from types import SimpleNamespace

    from ingestion.errors import Permanent

    dag = bag.dags["decide"]
    assert dag.params.get_param("action").schema["enum"] == list(decide.ACTIONS)
    assert not dag.timetable.can_be_scheduled and dag.is_paused_upon_creation is False
    run = SimpleNamespace(triggering_user_name=None, run_after=AT + timedelta(days=1))
    carry_out = dag.get_task("carry_out").python_callable
    with pytest.raises(Permanent, match="needs a reason"):
        carry_out(params={"action": "retract", "about": "b1", "dataset": None, "reason": ""}, dag_run=run)
    batch = land_rows(home, "orders", ORDER, [ROW], AT)
    carry_out(params={"action": "retract", "about": batch, "dataset": None, "reason": "why"}, dag_run=run)
    (one,) = decisions.standing(home).values()
    assert one.decided_by == "unknown"
