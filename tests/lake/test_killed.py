"""A builder is killed at any point of a build whose state is in a lake: the lake has the build, whole, or it has not."""

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import pytest

from ingestion.home import Home
from operations import hashes, ledger
from tests.lake.conftest import VARIABLE, Use, shared
from tests.pipeline.children import children
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from tests.pipeline.test_any_order import make_shop
from tests.pipeline.test_killed import kill_once_written, watching
from warehouse import build as warehouse
from warehouse import lakehouse, state
from warehouse.build import Request
from warehouse.plan import Build

pytestmark = pytest.mark.lake

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PATIENCE_SECONDS = 600
Act = Callable[[int, FrameType, object], None]


def _kill(*_given: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _alarm(seconds: float) -> Callable[[], None]:
    """Return what lets the kernel end the process so much later, in the middle of whatever it does then."""
    return lambda: signal.setitimer(signal.ITIMER_REAL, seconds) and None


def at(place: str, number: int, act: Callable[[], None]) -> Act:
    """Act before the statement of this number, from 1, that a function of `warehouse` runs. `place` is `module.function`."""
    seen = 0
    module, function = place.split(".")

    def look(_number: int, frame: FrameType, called: object) -> None:
        nonlocal seen
        here = frame.f_code.co_name == function and frame.f_code.co_filename.endswith(f"warehouse/{module}.py")
        seen += here and getattr(called, "__name__", "") == "execute"
        if here and seen == number:
            act()

    return look


# A transaction's first statement begins it, and its second commits.
BEFORE = {
    "begin": ("lakehouse.transaction", 1, _kill),
    "half of the tables": ("apply.change_tables", 40, _kill),
    "commit": ("lakehouse.transaction", 2, _kill),
}
DURING = {
    f"{seconds} s into the commit": ("lakehouse.transaction", 2, _alarm(seconds)) for seconds in (0.005, 0.03, 0.1)
}
AFTER = {"the publish": ("lakehouse.transaction", 3, _kill)}


def publish(address: str, home: Home, build_id: str, where: tuple[str, int, Callable[[], None]] | None) -> None:
    os.environ[VARIABLE] = address
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with watching(at(*where) if where else lambda *_: None):
        warehouse.publish(home, build_id)


def transform(address: str, home: Home, build_id: str) -> None:
    os.environ[VARIABLE] = address
    warehouse.transform(home, build_id)


def killed(home: Home, build_id: str, where: str) -> int | None:
    child = children.Process(target=run, args=(os.environ[VARIABLE], home, build_id, where))
    child.start()
    child.join(PATIENCE_SECONDS)
    return child.exitcode


def run(address: str, home: Home, build_id: str, where: str) -> None:
    """Publish in a child, which is given the name of a point: what is done there cannot be passed on."""
    publish(address, home, build_id, {**BEFORE, **DURING, **AFTER}[where])


def test_a_builder_is_killed_anywhere(tmp_path: Path, use: Use) -> None:
    shop, home = make_shop(3), Home(tmp_path / "file", tmp_path / "landing")
    for dataset, columns, rows in (("orders", ORDER, shop.orders), ("order_items", LINE, shop.lines)):
        land_rows(home, dataset, columns, rows, NOW)
    lake = shared(home, tmp_path / "lake")
    use(lake, "")
    for one in (home, lake):
        warehouse.build(one, Request(), NOW)
    before = hashes.read(lake)
    land_rows(home, "orders", ORDER, shop.restored, NOW)
    land_lines(home, datetime(2026, 11, 3, tzinfo=UTC), shop.events, NOW)
    warehouse.build(home, Request(), NOW.replace(hour=13))
    after = hashes.read(home)
    assert before != after

    plan = warehouse.plan(lake, Request(), NOW.replace(hour=13))
    assert plan
    kill_once_written(Build(lake, plan.build_id).file, transform, os.environ[VARIABLE], lake, plan.build_id)
    assert hashes.read(lake) == before
    warehouse.transform(lake, plan.build_id)
    warehouse.audit(lake, plan.build_id, NOW.replace(hour=13))
    for where in BEFORE:
        assert killed(lake, plan.build_id, where) == -signal.SIGKILL, where
        assert hashes.read(lake) == before, where
    for where in DURING:
        assert killed(lake, plan.build_id, where) in (-signal.SIGALRM, 0), where
        assert hashes.read(lake) in (before, after), where
    if hashes.read(lake) == before:
        assert killed(lake, plan.build_id, "the publish") == -signal.SIGKILL
    assert hashes.read(lake) == after

    warehouse.publish(lake, plan.build_id)
    assert hashes.read(lake) == after
    assert state.last_build(lake.published) == plan.build_id
    assert [one.snapshot for one in lakehouse.builds(lake.state)] == [1, 2]
    assert ledger.recount(lake) == ([], True)
    assert not warehouse.pending(lake)
