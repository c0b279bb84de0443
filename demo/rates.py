"""The simulated shop's exchange rates: those that ship with a package end on the day the package was made."""

import csv
from datetime import date, timedelta
from decimal import Decimal
from hashlib import md5
from pathlib import Path

from ingestion import atomic
from ingestion.home import Home

PER_EURO = {"USD": Decimal("1.16"), "GBP": Decimal("0.87"), "JPY": Decimal("178")}
_BEFORE, _AFTER = timedelta(days=7), timedelta(days=366)


def write(home: Home, first: date, last: date) -> Path:
    """Write the rates of every weekday from a week before the first date to a year after the last; return the file.

    Rates of earlier and later dates in the file are kept: a missing rate would look withdrawn by the bank.
    """
    path = published(home)
    start, end = first - _BEFORE, last + _AFTER
    if path.exists():
        with path.open(newline="") as file:
            days = [date.fromisoformat(row["rate_date"]) for row in csv.DictReader(file)]
        start, end = min(start, *days), max(end, *days)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(path) as aside, aside.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["rate_date", "currency", "rate", "updated_at"])
        for day in (start + timedelta(days=n) for n in range((end - start).days + 1)):
            if day.weekday() < 5:
                rows.writerows([day, currency, quote(day, currency), f"{day}T16:00:00Z"] for currency in PER_EURO)
    return path


def published(home: Home) -> Path:
    """Return the path of the file of rates."""
    return home.shop / "exchange_rates.csv"


def quote(day: date, currency: str) -> Decimal:
    """Return the price of one euro on a date: within 1 % of the usual one, and the same on every call."""
    chance = int(md5(f"{day} {currency}".encode()).hexdigest()[:8], 16) % 20_001
    return (PER_EURO[currency] * (990_000 + chance) / 1_000_000).quantize(Decimal("0.0001"))
