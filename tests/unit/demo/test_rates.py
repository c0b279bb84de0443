"""The simulated bank has rates for every weekday, near the usual ones, and the same whenever they are written."""

import csv
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from demo import rates
from ingestion.home import Home


def test_every_weekday_has_its_rates_whatever_days_are_asked_for(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "landing")
    first, last = date(2026, 11, 20), date(2026, 11, 24)
    found = [
        list(csv.DictReader(rates.write(home, start, last).open())) for start in (first, first + timedelta(days=2))
    ]
    days = {row["rate_date"] for row in found[0]}
    assert {"2026-11-13", "2026-11-20", "2026-11-23", "2027-11-25"} <= days and "2026-11-21" not in days
    assert len(found[0]) == len(days) * len(rates.PER_EURO)
    assert all(row in found[0] for row in found[1])
    for row in found[0]:
        usual = rates.PER_EURO[row["currency"]]
        assert abs(Decimal(row["rate"]) / usual - 1) <= Decimal("0.0101")
