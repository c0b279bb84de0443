"""Dates may be named by how far back they are, so that what the documents say can be typed on any day."""

from datetime import UTC, datetime

import click
import pytest

from cli import options


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
