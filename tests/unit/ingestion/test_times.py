"""Read a source's times for windows. tests/unit/macros/test_parse_written.py compares them with those of the macro."""

from datetime import UTC, datetime

import pytest

from ingestion.columns import DIRECTIVES, Column
from ingestion.times import clock_of


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-10", datetime(2026, 11, 10, tzinfo=UTC)),
        ("2026-11-10T01:30:00+02:00", datetime(2026, 11, 9, 23, 30, tzinfo=UTC)),
        ("2026-11-10 25:00", datetime(2026, 11, 10, tzinfo=UTC)),
        ("2026-02-30", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_time_that_cannot_be_read_has_its_date(text: str, moment: datetime | None) -> None:
    assert clock_of(None)(text) == moment


def test_every_directive_of_a_contract_is_read() -> None:
    moment = datetime(2026, 11, 2, 15, 4, 5, 123456)
    for directive in DIRECTIVES:
        written = f"%Y-%m-%d %H:%M:%S|%{directive}"
        text = moment.replace(tzinfo=UTC).strftime(written)
        clock = clock_of(Column("at", "timestamp", time_formats=(written,)))
        try:
            known = datetime.strptime(text, written)
        except Exception as error:
            # Python refuses a directive twice; it was read before where it stands alone
            assert "redefinition" in str(error) and directive in "YmdHMS"
            continue
        assert clock(text) == known.replace(tzinfo=UTC)


def test_a_count_beyond_the_calendar_is_no_time() -> None:
    clock = clock_of(Column("at", "timestamp", time_formats=("seconds",)))
    assert clock("999999999999999999") is None and clock("-999999999999999999") is None
