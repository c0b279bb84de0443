"""Which requests a build accepts, and what it does if nothing has landed."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.run_log import Taken
from ingestion.sources import decisions
from ingestion.sources.decisions import Target
from warehouse.plan import Build, Request, days, entering, files, make_plan, pending, waiting_batches


def test_a_range_needs_both_ends_in_order_and_not_everything() -> None:
    with pytest.raises(Permanent, match="a start and an end"):
        Request(from_date=date(2026, 1, 1))
    with pytest.raises(Permanent, match="is empty"):
        Request(date(2026, 1, 2), date(2026, 1, 2))
    with pytest.raises(Permanent, match="cannot be combined"):
        Request(date(2026, 1, 1), date(2026, 1, 2), full=True)


def test_nothing_landed_is_nothing_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "landing")
    assert not pending(home)
    assert make_plan(home, Request(), datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert make_plan(home, Request(full=True), datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_a_build_says_the_decisions_that_it_carries_out_who_made_them_and_why(tmp_path: Path) -> None:
    home, at = Home(tmp_path, tmp_path / "landing"), datetime(2026, 1, 1, tzinfo=UTC)
    letters = [Target("orders", "b1", number) for number in (1, 2)]
    decisions.land(home, [decisions.withdraw(one, "a test order", "anna", at) for one in letters])
    decisions.land(home, [decisions.accept(Target("orders", "b2"), "a sale", "bob", at + timedelta(hours=1))])
    said = ["withdraw 2 targets: a test order (decided by anna)", "accept b2: a sale (decided by bob)"]
    plan = make_plan(home, Request(), at)
    assert plan and plan.reason == "; ".join(said)
    plan = make_plan(home, Request(full=True, reason="to be sure"), at)
    assert plan and plan.reason == "; ".join(["to be sure", *said])
    for hour in range(2, 5):
        decisions.land(home, [decisions.accept(Target("orders", f"b{hour}"), "r", "bob", at + timedelta(hours=hour))])
    plan = make_plan(home, Request(), at)
    assert plan and plan.reason == (
        "accept b2: r (decided by bob); accept b3: r (decided by bob); accept b4: r (decided by bob); and 2 decisions before"
    )


def test_what_enters_is_that_of_all_batches_of_the_plan(tmp_path: Path) -> None:
    home, at = Home(tmp_path, tmp_path / "landing"), datetime(2026, 1, 1, tzinfo=UTC)
    decisions.land(home, [decisions.withdraw(Target("orders", "b1", number), "r", "anna", at) for number in (1, 2)])
    decisions.land(home, [decisions.accept(Target("orders", "b2"), "r", "bob", at + timedelta(hours=1))])
    landed = waiting_batches(home)
    plan = make_plan(home, Request(), at)
    assert plan and len(landed) == 2
    assert entering(Build(home, plan.build_id)) == Taken(3, sum(one.bytes for one in landed))
    assert files(Build(home, plan.build_id)) == sorted(home.bronze.rglob("*.parquet"))


def test_dates_are_counted_once_however_many_batches_are_of_them(tmp_path: Path) -> None:
    made = Build(Home(tmp_path, tmp_path), "build-1")
    made.folder.mkdir(parents=True)
    windows = [
        ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
        ("2026-11-01T23:00:00Z", "2026-11-02T00:00:00Z"),
        ("2026-10-30T00:00:00Z", "2026-11-02T00:00:00Z"),
        ("2026-11-05T22:00:00Z", "2026-11-06T02:00:00Z"),
    ]
    made.batches.write_text("".join(json.dumps({"window_start": a, "window_end": b}) + "\n" for a, b in windows))
    assert days(made) == 5
