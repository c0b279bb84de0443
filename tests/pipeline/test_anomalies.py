"""A payment outage of three weeks becomes a finding, whether its days land one by one or all at once; a person can accept it."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.home import Home
from operations import decide, ledger, status
from tests.pipeline.delivery import land_lines
from warehouse import state
from warehouse.build import Request, build

FIRST = datetime(2026, 9, 7, tzinfo=UTC)
DAYS, OUTAGE = 44, range(30, 44)
NOW = FIRST + timedelta(days=DAYS + 2)
RATE = "gold.daily_funnel:purchase_per_checkout_sessions"


def land(home: Home, day: int, hour: int = 23, visitors: int = 300) -> None:
    """Land a day's sessions in one hour. A day is judged once it is over: once its last hour has landed."""
    land_lines(home, FIRST + timedelta(days=day, hours=hour), events(day, hour, visitors), NOW)


def events(day: int, hour: int, visitors: int) -> list[str]:
    """Return sessions of a day: of 300 visitors, all check out, and 7 of 10 buy, but 3 of 10 in the outage."""
    pick = random.Random(day * 24 + hour)
    lines = []
    for number in range(visitors):
        at = FIRST + timedelta(days=day, hours=hour, seconds=pick.randrange(3600))
        buys = pick.random() < (0.3 if day in OUTAGE else 0.7)
        for step in ("page_view", "add_to_cart", "checkout", *(["purchase"] if buys else [])):
            body = {
                "event_id": f"{day}-{hour}-{number}-{step}",
                "event_type": step,
                "event_time": at.isoformat(),
                "visitor_id": f"v{number}",
            }
            lines.append(json.dumps(body | {"properties": {}}))
    return lines


def found(home: Home) -> dict[str, bool]:
    rows = state.read(home.published, "ops.anomalies", "select anomaly, is_accepted from ops.anomalies where is_alert")
    return {row["anomaly"]: row["is_accepted"] for row in rows if row["anomaly"].startswith(RATE)}


def days(which: range) -> set[str]:
    return {f"{RATE}:day:{(FIRST + timedelta(days=day)).date()}" for day in which}


def check_of(home: Home) -> dict[str, object]:
    query = "select result, failed_rows, consequence, message from ops.findings where check_name like 'numbers_are_unusual%' order by build_id desc limit 1"
    (row,) = state.read(home.published, "ops.findings", query)
    return row


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home in which 31 days were landed at once, the first of the outage among them, and built."""
    root: Path = tmp_path_factory.mktemp("anomalies")
    home = Home(root / "home", root / "landing")
    for day in range(31):
        land(home, day)
    build(home, Request(), NOW)
    return home


def test_the_first_day_of_the_outage_is_an_alert(home: Home) -> None:
    assert set(found(home)) == days(range(30, 31))
    check = check_of(home)
    assert (check["result"], check["consequence"]) == ("fail", "alert")
    assert "clearwell builds accept" in str(check["message"])
    assert "a check fails" in status.read(home, NOW)["unhealthy"]


def test_a_day_that_is_not_over_is_not_judged_and_a_later_build_judges_it(home: Home) -> None:
    land(home, 31, hour=10, visitors=40)
    build(home, Request(), NOW + timedelta(minutes=1))
    assert set(found(home)) == days(range(30, 31))
    for day in range(31, DAYS):
        land(home, day)
    build(home, Request(), NOW + timedelta(minutes=2))
    assert set(found(home)) == days(OUTAGE)
    assert ledger.recompute(home, NOW) == []


def test_it_is_accepted_by_name_and_by_range(home: Home) -> None:
    by = decide.By("tester", NOW + timedelta(minutes=3), "the bank's outage")
    first = f"anomaly:{RATE}:day:{(FIRST + timedelta(days=30)).date()}"
    assert decide.accept(home, decide.select_findings(home, first), by) == [first]
    build(home, Request(), NOW + timedelta(minutes=4))
    assert {name for name, accepted in found(home).items() if accepted} == days(range(30, 31))
    decide.accept(home, decide.select_findings(home, dataset="clickstream"), by)
    build(home, Request(), NOW + timedelta(minutes=5))
    assert all(found(home).values()) and check_of(home)["result"] == "pass"
    assert ledger.recompute(home, NOW) == []
