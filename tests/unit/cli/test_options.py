"""Dates may be given relative to today, so that the commands in the docs work on any day."""

from datetime import UTC, date, datetime

import click
import pytest

from cli import options
from ingestion.errors import Permanent


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("today", "2026-03-01"),
        ("yesterday", "2026-02-28"),
        (" Yesterday ", "2026-02-28"),
        ("1-day-ago", "2026-02-28"),
        ("3-days-ago", "2026-02-26"),
        ("2026-01-01", "2026-01-01"),
        ("days-ago", "days-ago"),
        (None, None),
    ],
)
def test_a_named_date_is_written_out(typed: str | None, meant: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "now", lambda: datetime(2026, 3, 1, 0, 5, tzinfo=UTC))
    command = click.Command("any")
    parameter = click.Option(["--from"])
    assert options.named_date(click.Context(command), parameter, typed) == meant


def test_a_time_has_the_date_it_is_in_utc() -> None:
    assert options.parse_date("2026-11-01T23:30:00-01:00") == date(2026, 11, 2)
    assert options.parse_date(None) is None
    with pytest.raises(Permanent):
        options.parse_date("soon")
