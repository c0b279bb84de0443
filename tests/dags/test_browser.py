"""The control room as people meet it: a real Airflow API server, and Chromium. Debian: `apt-get install chromium`."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion.home import Home
from ingestion.sources import decisions
from tests.dags import chromium
from tests.dags.chromium import Browser
from tests.dags.queued import end
from tests.pipeline.delivery import ORDER, land_rows
from tests.unit.operations.planted import LAST_BUILD, plant
from tests.unit.operations.test_decide import ROW
from warehouse.plan import Build

pytestmark = pytest.mark.skipif(not chromium.PROGRAM, reason="Chromium is not installed: apt-get install chromium")
AT = datetime(2026, 11, 3, tzinfo=UTC)
PASSWORD = "a password"
# Where pictures of the page are left, if somebody wants to look at them.
PICTURES = os.environ.get("CLEARWELL_PICTURES", "")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = plant(tmp_path_factory.mktemp("planted"))
    made = Build(home, LAST_BUILD)
    made.folder.mkdir(parents=True)
    made.times.write_text(json.dumps({"gold_daily_revenue": 1.25, "silver_orders": 0.5}))
    return home


@pytest.fixture(scope="module")
def airflow(home: Home, served: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve Airflow's UI and API with a user and a viewer; yield its address. No scheduler runs: a run stays queued."""
    passwords = tmp_path_factory.mktemp("users") / "passwords.json"
    passwords.write_text(json.dumps({"anna": PASSWORD, "vera": PASSWORD}))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    settings = {
        "API__BASE_URL": address,
        "API__PORT": str(port),
        "API__HOST": "127.0.0.1",
        "API__WORKERS": "1",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "anna:user,vera:viewer",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "LOGGING__LOGGING_LEVEL": "INFO",
    }
    environment = {**os.environ, **{f"AIRFLOW__{name}": value for name, value in settings.items()}}
    environment |= {"CLEARWELL_HOME": str(home.root), "PYTHONPATH": str(Path(__file__).parents[2])}
    server = subprocess.Popen(
        [Path(sys.executable).with_name("airflow"), "api-server"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert server.stdout
        said = []
        for line in server.stdout:
            said.append(line)
            if "Application startup complete" in line or re.search(r"running on http", line):
                break
        else:
            pytest.fail("".join(said))
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()
        end(runs())


@pytest.fixture
def tab(airflow: str, tmp_path: Path) -> Iterator[Browser]:
    with chromium.browser(tmp_path / "chromium") as tab:
        tab.size(1200)
        yield tab


def log_in(tab: Browser, address: str, user: str) -> None:
    """Open the page, and log in where Airflow sends a browser that is not."""
    tab.open(f"{address}/control-room/")
    tab.until("document.querySelector('input[name=username]')")
    for name, text in (("username", user), ("password", PASSWORD)):
        tab.ask(f"document.querySelector('input[name={name}]').focus()")
        tab.type(text)
    tab.press("Enter")
    tab.until("document.getElementById('glance')")


def picture(tab: Browser, name: str, place: str = "main") -> None:
    """Leave pictures of the window in light, in dark and as on a phone. On none of them does the page scroll sideways."""
    tab.ask("document.documentElement.style.scrollBehavior = 'auto'")
    for kind, width, dark in (("phone", 360, False), ("dark", 1200, True), ("light", 1200, False)):
        tab.size(width, dark=dark)
        assert tab.ask("document.documentElement.scrollWidth <= innerWidth"), (name, kind)
        tab.ask(f"document.getElementById('{place}')?.scrollIntoView()")
        if PICTURES:
            tab.look(Path(PICTURES) / f"{name}-{kind}.png", width=width, dark=dark)


def runs() -> list[Any]:
    from airflow.models.dagrun import DagRun
    from airflow.settings import Session

    return DagRun.find(dag_id="decide", session=Session())


def test_logged_out_nothing_is_seen_and_the_login_leads_back(tab: Browser, airflow: str) -> None:
    tab.open(f"{airflow}/control-room/")
    tab.until("document.querySelector('input[name=username]')")
    assert LAST_BUILD not in tab.ask("document.documentElement.outerHTML")
    assert tab.ask(f"fetch('{airflow}/control-room/decide', {{method: 'POST'}}).then(answer => answer.status)") == 401
    log_in(tab, airflow, "vera")
    assert LAST_BUILD in tab.ask("document.body.innerText")
    tab.forget()
    tab.open(f"{airflow}/control-room/")
    tab.until("document.querySelector('input[name=username]')")
    assert LAST_BUILD not in tab.ask("document.documentElement.outerHTML")


def test_a_viewer_reads_the_page_in_the_navigation_of_airflow_and_may_not_act(tab: Browser, airflow: str) -> None:
    log_in(tab, airflow, "vera")
    assert "may look but not act" in tab.ask("document.getElementById('actions').innerText")
    assert tab.ask("document.querySelectorAll('form, button, input, [href^=\"?action\"]').length") == 0
    before = len(runs())
    picture(tab, "viewer")
    # the charts are drawn, under the policy of the page
    assert tab.ask("document.querySelectorAll('.chart canvas').length") > 3
    # a form that a viewer makes for it is refused
    asked = "".join(f'<input name="{name}" value="why">' for name in ("action", "about", "reason"))
    tab.ask(f'document.body.innerHTML = \'<form method="post" action="decide">{asked}</form>\'')
    tab.ask("document.querySelector('form').submit()")
    tab.until("document.querySelector('[role=alert]')")
    assert tab.ask("document.querySelector('h1').innerText") == "Not allowed" and len(runs()) == before
    tab.open(f"{airflow}/plugin/control-room")
    tab.until("document.querySelector('iframe')?.contentDocument?.getElementById('glance')")
    assert LAST_BUILD in tab.ask("document.querySelector('iframe').contentDocument.body.innerText")
    tab.until("[...document.querySelectorAll('nav a, a')].some(one => one.innerText.includes('Clearwell'))")
    picture(tab, "airflow")


def test_an_action_by_keyboard_ends_in_a_run_that_says_who_and_why(
    tab: Browser, airflow: str, home: Home, bag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = land_rows(home, "orders", ORDER, [ROW], AT)
    log_in(tab, airflow, "anna")
    # within Airflow's own frame, as it leads there
    tab.open(f"{airflow}/plugin/control-room")
    tab.until("document.querySelector('iframe')?.contentDocument?.getElementById('ask-retract')")
    page = "document.querySelector('iframe').contentDocument"
    tab.ask(f"{page}.querySelector('#ask-retract summary').focus()")
    tab.press("Enter")
    tab.until(f"{page}.getElementById('ask-retract').open")
    tab.press("Tab")
    assert tab.ask(f"{page}.activeElement.labels[0].innerText") == "Batch"
    tab.type(batch)
    tab.press("Tab")
    assert tab.ask(f"{page}.activeElement.labels[0].innerText").startswith("Reason")
    # without a reason the browser does not send the form
    tab.press("Tab")
    assert tab.ask(f"{page}.activeElement.innerText") == "Retract a batch"
    tab.press("Enter")
    assert tab.ask(f"{page}.querySelector('#ask-retract textarea').validity.valueMissing")
    tab.ask(f"{page}.querySelector('#ask-retract textarea').focus()")
    tab.type("the partner sent it twice <b>")
    tab.press("Tab")
    tab.press("Enter")
    tab.until(f"{page}?.querySelector('[role=status]')")
    said = tab.ask(f"{page}.querySelector('[role=status]').innerText")
    assert f"retract {batch}, because of “the partner sent it twice <b>”, asked by anna" in said
    (run,) = [one for one in runs() if one.conf.get("reason") == "the partner sent it twice <b>"]
    assert (run.triggering_user_name, run.conf["about"]) == ("anna", batch)
    monkeypatch.setenv("CLEARWELL_HOME", str(home.root))
    bag.dags["decide"].get_task("carry_out").python_callable(params=run.conf, dag_run=run)
    (one,) = [one for one in decisions.standing(home).values() if one.target.batch_id == batch]
    assert (one.action, one.decided_by, one.reason) == ("withdraw", "anna", "the partner sent it twice <b>")
    # what cannot be done is told, with what was typed
    tab.open(f"{airflow}/control-room/?action=retract&about={batch}#ask-retract")
    tab.ask("document.querySelector('#ask-retract textarea').value = 'again'")
    tab.ask("document.querySelector('#ask-retract form').requestSubmit()")
    tab.until("document.querySelector('[role=alert]')")
    assert "is retracted already" in tab.ask("document.querySelector('[role=alert]').innerText")
    assert tab.ask("document.querySelector('#ask-retract textarea').value") == "again"
    for place in ("actions", "dead-letters", "builds"):
        picture(tab, place, place)
