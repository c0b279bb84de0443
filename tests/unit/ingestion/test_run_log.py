"""Each stage leaves a line in the log, however it ends; two processes may log at once, and the log never stops a run."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion import run_log
from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from ingestion.run_log import Taken
from ingestion.window import Window

AT = datetime(2026, 11, 3, 4, tzinfo=UTC)
DAY = Window.parse("2026-11-01", "2026-11-02")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path / "landing")


def test_a_landing_has_a_line_for_each_dataset(home: Home) -> None:
    with run_log.logged(home, "ingest", AT, source="orders", window=DAY) as taken:
        taken += [Taken(3, 300, "orders"), Taken(5, 500, "order_items")]
    first, second = run_log.read(home)
    assert (first.stage, first.source, first.dataset, first.records, first.bytes, first.result) == (
        "ingest",
        "orders",
        "orders",
        3,
        300,
        "ok",
    )
    assert (second.dataset, second.records) == ("order_items", 5) and second.run_id != first.run_id
    assert (first.window_start, first.window_end, first.started_at) == (
        "2026-11-01T00:00:00Z",
        "2026-11-02T00:00:00Z",
        "2026-11-03T04:00:00Z",
    )
    assert 0 <= first.seconds < 60


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (Transient("x"), "transient"),
        (Permanent("x"), "permanent"),
        (ValueError("a value"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_a_failure_is_logged_and_passed_on_without_its_words(home: Home, error: BaseException, result: str) -> None:
    with pytest.raises(type(error)), run_log.logged(home, "transform", AT, build_id="b"):
        raise error
    (line,) = run_log.read(home)
    assert (line.stage, line.of_build_id, line.records, line.result) == ("transform", "b", 0, result)
    assert "a value" not in next(run_log.folder(home).iterdir()).read_text()


def test_lines_of_many_processes_stay_whole(home: Home) -> None:
    program = f"""if 1:
        from datetime import UTC, datetime
        from pathlib import Path
        from ingestion import run_log
        from ingestion.home import Home
        home = Home(Path({str(home.root)!r}), Path("."))
        for number in range(200):
            with run_log.logged(home, "plan", datetime(2026, 11, 3, tzinfo=UTC)) as taken:
                taken.append(run_log.Taken(number, 0))
    """
    environment = os.environ | {"PYTHONPATH": str(Path(run_log.__file__).parents[1])}
    both = [subprocess.Popen([sys.executable, "-c", program], env=environment) for _ in range(2)]
    assert [one.wait(timeout=120) for one in both] == [0, 0]
    found = run_log.read(home)
    assert sorted(line.records for line in found) == sorted([*range(200), *range(200)])
    assert len({line.run_id for line in found}) == 400


def test_a_log_that_cannot_be_written_or_read_stops_nothing(home: Home, tmp_path: Path) -> None:
    nowhere = Home(tmp_path / "none", tmp_path)
    with run_log.logged(nowhere, "plan", AT):
        pass
    assert not nowhere.root.exists() and run_log.read(nowhere) == []
    run_log.folder(home).write_text("a file where the folder should be")
    with run_log.logged(home, "plan", AT):
        pass
    assert run_log.read(home) == []


def test_broken_lines_are_left_out(home: Home) -> None:
    with run_log.logged(home, "plan", AT):
        pass
    (path,) = run_log.folder(home).iterdir()
    path.write_text('{"run_id": "half\n\xff\n{}\n[]\n' + path.read_text())
    assert [line.stage for line in run_log.read(home)] == ["plan"]
