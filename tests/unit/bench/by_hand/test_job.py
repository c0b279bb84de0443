"""The script and the peers read the same command line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.by_hand.job import Job, read_job

GIVEN = ["landing", "postgresql://shop", "rates.csv", "2026-11-01", "2026-11-02", "gold.duckdb"]


def test_a_job_is_read() -> None:
    before = datetime.now(UTC)
    job = read_job("Make gold.", [*GIVEN, "--memory", "2GB"])
    start, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    where = (Path("landing"), "postgresql://shop", Path("rates.csv"))
    assert job == Job(*where, start, end, Path("gold.duckdb"), job.now, "2GB")
    assert before <= job.now <= datetime.now(UTC)
    assert read_job(None, GIVEN).memory == Job.memory


def test_a_date_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_job(None, [*GIVEN[:3], "yesterday", *GIVEN[4:]])
    assert "yesterday" in capsys.readouterr().err
