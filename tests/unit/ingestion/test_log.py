"""Events are lines of JSON with the ids that are bound, if CLEARWELL_LOG asks for them; otherwise only warnings are written."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ingestion import log
from ingestion.errors import Permanent

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


@pytest.fixture
def structured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CLEARWELL_LOG", "json")
    log.set_up()
    yield
    log.tear_down()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("structured")
def test_an_event_has_the_ids_that_are_bound(capsys: pytest.CaptureFixture[str]) -> None:
    with log.bound(run_id="outer", command="build", build_id=""), log.bound(run_id="inner", stage="ingest"):
        log.event("batch landed", batch_id="b1", records=3)
    log.said("error: the disk is full\nsecond line")
    first, second = lines(capsys)
    assert datetime.fromisoformat(first.pop("time")).tzinfo is not None
    assert first == {
        "level": "info",
        "event": "batch landed",
        "run_id": "inner",
        "parent_run_id": "outer",
        "command": "build",
        "stage": "ingest",
        "batch_id": "b1",
        "records": 3,
    }
    assert (second["level"], second["event"]) == ("error", "the disk is full\nsecond line")
    assert "run_id" not in second


@pytest.mark.usefixtures("structured")
def test_an_exception_has_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("ann@example.com")
    except ValueError:
        log.unexpected()
    (line,) = lines(capsys)
    assert (line["level"], line["exception"]) == ("error", "ValueError")
    assert "test_log.py" in line["traceback"][0] and "ann@" not in json.dumps(line["traceback"][0].split("\n")[0])


@pytest.mark.usefixtures("structured")
def test_warnings_of_libraries_are_lines_too(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")  # tests of Airflow, in the same process, set another
    logging.getLogger("some.library").warning("slow")
    (line,) = lines(capsys)
    assert (line["event"], line["logger"]) == ("slow", "some.library")


@pytest.mark.usefixtures("structured")
def test_a_task_writes_to_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up_task()
    log.said("window")
    assert json.loads(capsys.readouterr().out)["event"] == "window"


def test_without_it_only_warnings_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up()
    log.event("batch landed")
    log.said("a line")
    assert not log.is_structured() and capsys.readouterr() == ("", "")


def test_an_unknown_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_LOG", "yaml")
    with pytest.raises(Permanent, match="yaml"):
        log.set_up()


def test_the_time_is_that_of_the_bound_clock() -> None:
    assert log.moment(NOON) == NOON
    with log.bound(clock=lambda: NOON.replace(hour=13)), log.bound(stage="plan"):
        assert log.moment(NOON).hour == 13


def test_equal_runs_have_equal_ids() -> None:
    assert log.run_id("a", 1) == log.run_id("a", 1) != log.run_id("a", 2)
