"""What is typed as a date is one, in UTC."""

from datetime import UTC, date, datetime

import click
import pytest
from click.testing import CliRunner

from cli import options
from cli.options import from_option, parse_date, to_option
from ingestion.errors import Permanent


@click.command()
@from_option
@to_option
def typed(start: str, end: str) -> None:
    click.echo(f"{start} {end}")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("today", "2026-11-03"),
        ("Yesterday", "2026-11-02"),
        ("1-day-ago", "2026-11-02"),
        ("33-days-ago", "2026-10-01"),
        ("2026-11-01", "2026-11-01"),
        ("soon", "soon"),
    ],
)
def test_a_day_may_be_named(text: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "now", lambda: datetime(2026, 11, 3, 0, 30, tzinfo=UTC))
    shown = CliRunner().invoke(typed, ["--from", text, "--to", "2026-11-04"])
    assert shown.output == f"{meant} 2026-11-04\n"


def test_a_time_has_the_date_it_is_in_utc() -> None:
    assert parse_date("2026-11-01T23:30:00-01:00") == date(2026, 11, 2)
    assert parse_date(None) is None
    with pytest.raises(Permanent):
        parse_date("soon")
