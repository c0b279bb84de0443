"""A shop of two days and what is built of it, made once per process for the modules that begin with it.

A module that needs another shop makes its own. Nobody changes these homes: a test that lands, builds or spoils something takes a copy.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from demo import postgres, simulate
from ingestion import sources
from ingestion.home import Home
from ingestion.sources import line_batches
from ingestion.window import Window
from tests.pipeline.copies import copied
from warehouse.build import Request, build

FIRST, SECOND = Window.parse("2026-11-01", "2026-11-02"), Window.parse("2026-11-02", "2026-11-03")
# Early on the day after, so that each module can go on from there.
NOW = datetime(2026, 11, 3, 6, tzinfo=UTC)


def land(home: Home, day: Window) -> None:
    """Land and count a day of every source, the clicks by the hour, as the schedule does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_batches, "QUIET_DAY_BYTES", -1)
        for source in sources.SOURCES:
            sources.ingest(source, day, home, NOW)
            sources.source_counts(source, day, home, NOW)


@pytest.fixture(scope="session")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Yield a home with a shop of two days, the first of which has been built; the second has not landed."""
    root = tmp_path_factory.mktemp("first_day")
    home = Home(root, root / "landing" / "clickstream")
    postgres.start(home)
    simulate.simulate(home, date(2026, 11, 1), date(2026, 11, 3), orders_per_day=200, events_per_day=2500)
    land(home, FIRST)
    build(home, Request(), NOW)
    yield home
    postgres.stop(home)


@pytest.fixture(scope="session")
def second_day(first_day: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a copy of the first day's home, in which the second has landed and waits for a build."""
    home = copied(first_day, tmp_path_factory.mktemp("second_day") / "home")
    land(home, SECOND)
    return home


@pytest.fixture(scope="session")
def both_days(second_day: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a copy of the second day's home, in which it has been built."""
    home = copied(second_day, tmp_path_factory.mktemp("both_days") / "home")
    build(home, Request(), NOW)
    return home
