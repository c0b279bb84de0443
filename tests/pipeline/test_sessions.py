"""Compare sessions and the gold made of them with plain Python, in any order of arrival."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from ingestion import bronze
from ingestion.home import Home
from operations import decide
from tests.pipeline.delivery import assert_repeats, land_lines, pieces
from tests.pipeline.plain_visitors import KINDS, compute_daily_sessions, compute_funnel, compute_sessions
from warehouse.build import Request, build

FIRST = datetime(2026, 11, 1)
LANDED = datetime(2026, 11, 6, tzinfo=UTC)
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def make_events(seed: int) -> list[dict]:
    """Make events of visitors with pauses around the session gap, and of three who go on for a day or more."""
    pick = random.Random(seed)
    times: list[tuple[str, datetime]] = []
    for visitor in range(8):
        at = FIRST + timedelta(hours=pick.randrange(100))
        for _ in range(pick.randint(3, 25)):
            times.append((f"v{visitor}", at))
            at += timedelta(seconds=pick.choice([0, 5, 600, 1799, 1800, 1801, 7200, 40_000]))
    for visitor, hours in (("bot", 74), ("nearly", 24), ("over", 25)):
        start = FIRST + timedelta(hours=20, minutes=pick.randrange(60))
        count = hours * 3
        broken = set(pick.sample(range(count), 2)) if visitor == "bot" else set()
        times += [(visitor, start + timedelta(minutes=20 * n)) for n in range(count + 1) if n not in broken]
    return [
        {
            "event_id": f"e{number:04}",
            "event_type": pick.choice(KINDS),
            "event_time": at.isoformat() + "Z",
            "visitor_id": visitor,
            "country": pick.choice(["DE", "FR", None]),
            "campaign": pick.choice([None, None, "spring"]),
            "customer_id": pick.choice([None, None, None, "c1", "c2"]),
        }
        for number, (visitor, at) in enumerate(times)
    ]


def deliver(root: Path, events: list[dict], junk: list[dict], seed: int) -> Home:
    """Land the events in pieces, in random order, and build in between; land a piece of junk and retract it."""
    pick = random.Random(seed)
    home = Home(root, root / "landing")
    parts = pieces(pick, events) + pieces(pick, pick.sample(events, 10))
    for number in pick.sample(range(len(parts) + 1), len(parts) + 1):
        lines = [json.dumps(event) for event in [*parts, junk][number]]
        land_lines(home, LANDED + timedelta(hours=number), lines, NOW)
        if number == len(parts) or pick.random() < 0.5:
            build(home, Request(), NOW + timedelta(minutes=number))
    landed = [bronze.read_manifest(home, ref) for ref in bronze.list_batches(home, "clickstream")]
    taken_out = next(one for one in landed if one.window.start.hour == len(parts))
    decide.retract(home, taken_out.batch_id, decide.By("tester", NOW + timedelta(hours=1), "junk"))
    build(home, Request(), NOW + timedelta(hours=2))
    return home


def expected(events: list[dict]) -> dict[str, list[tuple]]:
    return {
        "sessions": sorted((tuple(one.values()) for one in compute_sessions(events)), key=str),
        "daily_sessions": compute_daily_sessions(events),
        "daily_funnel": compute_funnel(events),
    }


def found(home: Home) -> dict[str, list[tuple]]:
    with duckdb.connect(str(home.state), read_only=True) as state:
        counts = ", ".join(f"{kind}_events" for kind in KINDS)
        sessions = state.sql(f"""
            select visitor_id, is_cut, started_at, ended_at, ({counts}), country, campaign, customer_id from silver.sessions
        """).fetchall()
        tables = ("daily_sessions", "daily_funnel")
        return {
            "sessions": sorted(sessions, key=str),
            **{table: sorted(state.sql(f"from gold.{table}").fetchall()) for table in tables},
        }


def check(seed: int, root: Path) -> None:
    events = make_events(seed)
    junk = [event | {"event_id": "junk" + event["event_id"]} for event in make_events(seed + 1)]
    wanted = expected(events)
    home = deliver(root / "one", events, junk, seed)
    there = found(home)
    for name, rows in wanted.items():
        assert there[name] == rows, name
    assert_repeats(home, NOW + timedelta(days=1))


def test_sessions_are_those_of_plain_python(tmp_path: Path) -> None:
    assert any(one["is_cut"] for one in compute_sessions(make_events(1)))
    check(1, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 7))
def test_those_of_other_visitors_are_too(tmp_path: Path, seed: int) -> None:
    check(seed, tmp_path)
