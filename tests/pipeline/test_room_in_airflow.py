"""Each action of the control room, through a running Airflow: it ends in a published build that says who asked, and why."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from ingestion.home import Home
from operations import airflow, ledger, listings
from tests.pipeline.delivery import land_lines
from warehouse import state
from warehouse.build import Request, build

pytestmark = pytest.mark.long

DAY = datetime(2026, 11, 1, tzinfo=UTC)
LIMIT_SECONDS = 900.0


def event(number: int, **other: str) -> str:
    found = {"event_id": f"e{number}", "event_type": "page_view", "event_time": f"{DAY:%Y-%m-%d}T10:30:00Z"}
    return json.dumps({**found, "visitor_id": "v", "properties": {}, **other})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """Run an Airflow over a home with two batches of clicks, and lines of two kinds that are refused."""
    monkeypatch.setenv("CLEARWELL_SOURCES", "clickstream until 2026-11-02")
    home = Home(tmp_path / "home", tmp_path / "landing")
    at = DAY + timedelta(days=1)
    land_lines(home, DAY.replace(hour=9), [event(number) for number in range(5)], at)
    land_lines(
        home, DAY.replace(hour=10), [*map(event, range(10, 40)), event(50, event_time="yesterday"), "{broken"], at
    )
    # of the day before, so many are refused that its batch is held
    before = DAY - timedelta(hours=13)
    times = ["tomorrow"] * 30 + [f"{before:%Y-%m-%dT%H:%M:%S}Z"] * 20
    land_lines(home, before, [event(number, event_time=time) for number, time in enumerate(times, 100)], at)
    build(home, Request(), at)
    try:
        airflow.start(home)
        airflow.unpause(home, ["build_warehouse"])
        yield home
    finally:
        airflow.stop(home)


def ask(home: Home, form: str, file: str = "", **data: str) -> None:
    """Send a form as the administrator, with a token."""
    running = airflow.read(home)
    assert running
    login = {"username": airflow.USER, "password": json.loads(airflow.passwords(home).read_text())[airflow.USER]}
    token = httpx.post(f"{running.url}/auth/token", json=login, timeout=60).json()["access_token"]
    answer = httpx.post(
        f"{running.url}/control-room/{form}",
        data=data,
        files={"file": ("fixed.json", file)} if file else None,
        headers={"authorization": f"Bearer {token}"},
        timeout=60,
    )
    assert answer.status_code == 303, answer.text


def reasons(home: Home) -> list[str]:
    rows = state.read(home.published, "ops.builds", "select reason from ops.builds order by build_number")
    return [row["reason"] for row in rows]


def wait_for(home: Home, reason: str) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while reason not in reasons(home):
        assert time.monotonic() < end, (reason, reasons(home))
        time.sleep(1)


def current(home: Home) -> int:
    query = "select coalesce(sum(records), 0)::bigint as n from ops.ledger where dataset = 'clickstream' and fate = 'current'"
    return int(state.read(home.published, "ops.ledger", query)[0]["n"])


def test_every_action_ends_in_a_build_that_says_who_and_why(home: Home) -> None:
    assert current(home) == 35
    query = "select batch_id from ops.batches where dataset = 'clickstream' order by window_start"
    first = state.read(home.published, "ops.batches", query)[0]["batch_id"]

    ask(home, "decide", action="retract", about=first, reason="sent twice")
    wait_for(home, f"withdraw {first}: sent twice (decided by admin)")
    assert current(home) == 30

    letters = {row["reasons"][0]: row for row in listings.dead_letter_records(home)}
    cause, letter = next((cause, row) for cause, row in letters.items() if "event_time" in row["raw"])
    fixed = json.dumps(
        [{"record": letter["record"], "raw": letter["raw"].replace("yesterday", "2026-11-01T11:00:00Z")}]
    )
    ask(home, "decide", file=fixed, action="resubmit", reason=f"a time, not {cause}")
    end = time.monotonic() + LIMIT_SECONDS
    while not [one for one in reasons(home) if one.endswith(f": a time, not {cause} (decided by admin)")]:
        assert time.monotonic() < end, reasons(home)
        time.sleep(1)
    assert current(home) == 31 and not any(home.uploads.iterdir())

    (broken,) = [row for row in listings.dead_letter_records(home) if row["raw"].startswith("{broken")]
    about = f"clickstream {broken['reasons'][0]}"
    ask(home, "decide", action="discard", about=about, reason="half a line")
    wait_for(home, f"withdraw {broken['record']}: half a line (decided by admin)")
    assert listings.dead_letter_records(home) == []

    (held,) = state.read(home.published, "ops.held", "select batch_id from ops.held where is_open")
    ask(home, "decide", action="accept", about=f"held:{held['batch_id']}", reason="a test of theirs")
    wait_for(home, f"accept {held['batch_id']}: a test of theirs (decided by admin)")
    assert state.read(home.published, "ops.held", "select batch_id from ops.held where is_open") == []
    assert current(home) == 51

    ask(home, "build_warehouse", **{"from": "2026-11-01", "to": "2026-11-02"}, reason="to be sure")
    wait_for(home, "to be sure (asked by admin)")
    assert current(home) == 51 and ledger.recount(home) == ([], True)

    decided = state.read(
        home.state, "records.decisions", "select distinct decided_by as who, reason from records.decisions"
    )
    assert {row["who"] for row in decided} == {"admin"}
    reasons_given = {"sent twice", f"a time, not {cause}", "half a line", "a test of theirs"}
    assert {row["reason"] for row in decided} == reasons_given
