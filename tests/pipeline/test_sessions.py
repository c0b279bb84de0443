"""Sessions, and the gold made of them, held against plain Python, in whatever order the events come."""

import json
import os
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest

from ingestion import bronze, sources
from ingestion.home import Home
from ingestion.window import Window
from operations import decide, hashes, ledger
from tests.pipeline.test_any_order import pieces
from warehouse.build import Request, build

FIRST = datetime(2026, 11, 1)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
GAP, DAY = timedelta(minutes=30), timedelta(days=1)
KINDS = ["page_view", "click", "search", "ad_impression", "add_to_cart", "checkout", "purchase"]


def make_events(seed: int) -> list[dict]:
    """Visitors with pauses around the gap, some over midnight; two that never pause, one of them broken at a few places."""
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
    """Land the events in pieces, in some order, and build in between; a piece of junk comes, and is taken out again."""
    pick = random.Random(seed)
    home = Home(root, root / "landing")
    parts = pieces(pick, events) + pieces(pick, pick.sample(events, 10))
    for number, part in enumerate([*parts, junk]):
        hour = home.landing / "2026-11-06" / f"{number:02}"
        hour.mkdir(parents=True)
        file = hour / "part.jsonl"
        file.write_text("".join(json.dumps(event) + "\n" for event in part))
        os.utime(file, (FIRST.timestamp(), FIRST.timestamp()))
    for number in pick.sample(range(len(parts) + 1), len(parts) + 1):
        sources.ingest(
            "clickstream", Window.parse(f"2026-11-06T{number:02}:00", f"2026-11-06T{number:02}:59"), home, NOW
        )
        if number == len(parts) or pick.random() < 0.5:
            build(home, Request(), NOW + timedelta(minutes=number))
    landed = [bronze.read_manifest(home, ref) for ref in bronze.list_batches(home, "clickstream")]
    taken_out = next(one for one in landed if one.window.start.hour == len(parts))
    decide.retract(home, taken_out.batch_id, decide.By("tester", NOW + timedelta(hours=1), "junk"))
    build(home, Request(), NOW + timedelta(hours=2))
    return home


def compute_sessions(events: list[dict]) -> list[dict]:
    by_visitor = defaultdict(list)
    for event in events:
        by_visitor[event["visitor_id"]].append(
            (datetime.fromisoformat(event["event_time"][:-1]), event["event_id"], event)
        )
    sessions = []
    for visitor, mine in by_visitor.items():
        chains: list[list] = []
        for one in sorted(mine, key=lambda one: one[:2]):
            if not chains or one[0] - chains[-1][-1][0] > GAP:
                chains.append([])
            chains[-1].append(one)
        for chain in chains:
            is_cut = chain[-1][0] - chain[0][0] > DAY
            pieces_of = defaultdict(list)
            for one in chain:
                pieces_of[one[0].date() if is_cut else None].append(one)
            sessions += [summary(visitor, piece, is_cut) for piece in pieces_of.values()]
    return sessions


def summary(visitor: str, piece: list, is_cut: bool) -> dict:
    def first(name: str) -> str | None:
        return next((event[name] for _, _, event in piece if event[name] is not None), None)

    customers = {event["customer_id"] for _, _, event in piece} - {None}
    kinds = [event["event_type"] for _, _, event in piece]
    return {
        "visitor": visitor,
        "is_cut": is_cut,
        "start": piece[0][0],
        "end": piece[-1][0],
        "kinds": tuple(kinds.count(kind) for kind in KINDS),
        "country": first("country"),
        "campaign": first("campaign"),
        "customer": customers.pop() if len(customers) == 1 else None,
    }


def expected(events: list[dict]) -> dict[str, list[tuple]]:
    sessions = compute_sessions(events)
    days, funnel = defaultdict(list), defaultdict(list)
    for one in sessions:
        country = one["country"] or "ZZ"
        days[one["start"].date(), country].append(one)
        funnel[one["start"].date(), country, one["campaign"] or ""].append(one)

    def having(cell: list[dict], kind: str) -> int:
        return sum(one["kinds"][KINDS.index(kind)] > 0 for one in cell)

    return {
        "sessions": sorted((tuple(one.values()) for one in sessions), key=str),
        "daily_sessions": sorted(
            (
                *(*cell, len(mine), len({one["visitor"] for one in mine}), sum(sum(one["kinds"]) for one in mine)),
                *(sum(sum(one["kinds"]) == 1 for one in mine), sum(one["is_cut"] for one in mine)),
                int(sum((one["end"] - one["start"] for one in mine), timedelta()).total_seconds()),
            )
            for cell, mine in days.items()
        ),
        "daily_funnel": sorted(
            (
                *(*cell, len(mine)),
                *(having(mine, kind) for kind in ("page_view", "add_to_cart", "checkout", "purchase")),
                Decimal(round(Fraction(having(mine, "purchase") * 10_000, len(mine)))).scaleb(-4),
            )
            for cell, mine in funnel.items()
        ),
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
    assert ledger.recount(home) == ([], True)
    before = hashes.read(home)
    build(home, Request(full=True, reason="test"), NOW + timedelta(days=1))
    assert hashes.read(home) == before


def test_sessions_are_those_of_plain_python(tmp_path: Path) -> None:
    assert any(one["is_cut"] for one in compute_sessions(make_events(1)))
    check(1, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 7))
def test_those_of_other_visitors_are_too(tmp_path: Path, seed: int) -> None:
    check(seed, tmp_path)
