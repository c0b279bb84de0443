"""Which requests a build accepts, and what it does if nothing has landed."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ingestion.errors import Permanent
from ingestion.home import Home
from warehouse.plan import Request, make_plan, pending


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
