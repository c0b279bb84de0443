"""Read a source's times as the macro `typed` does, to decide which window a record belongs to. SQL decides what it is worth."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from ingestion.columns import EPOCHS, EXCEL, Column

Clock = Callable[[str], datetime | None]
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Per unit of a count: its microseconds, and the texts that are one.
_UNITS = {
    unit: (10**decimals, re.compile(rf"-?\d{{1,{18 - decimals}}}(\.\d{{1,{max(decimals, 1)}}})?"))
    for unit, decimals in zip(EPOCHS, (6, 3, 0), strict=True)
}
_SERIAL = re.compile(r"\d{2,7}(\.\d{1,16})?")
# Serial 0 of a spreadsheet, as its days from 61, in March 1900, to the year 9999 are counted; before, it counts a day that never was.
_SERIAL_ZERO, _MS_A_DAY = datetime(1899, 12, 30), 86_400_000
_MS_OF_SERIALS = range(61 * _MS_A_DAY, 2_958_466 * _MS_A_DAY)
_PARTS = {
    **dict.fromkeys("mdHIMS", r"\d{1,2}"),
    **{"Y": r"\d{4}", "y": r"\d{2}", "f": r"\d{1,6}", "p": "[AaPp][Mm]", "z": r"[+-]\d{2}:?\d{2}"},
    **{"b": "[A-Za-z]{3}", "B": "[A-Za-z]{3,9}", "a": "[A-Za-z]{3}", "A": "[A-Za-z]{6,9}"},
}


def clock_of(column: Column | None) -> Clock:
    """Return what reads the texts of a column as UTC times: by the first of its formats that fits, or None."""
    formats = column.time_formats if column else ("iso",)
    zone = UTC if not column or column.timezone == "UTC" else ZoneInfo(column.timezone)
    readers = [_reader(one, zone) for one in formats]

    @lru_cache(1 << 16)
    def read(text: str) -> datetime | None:
        return next((moment for reader in readers if (moment := reader(text)) is not None), None)

    return read


def _reader(written: str, zone: tzinfo) -> Clock:
    if written == "iso":
        return lambda text: _iso(text, zone)
    if written == EXCEL:
        return lambda text: _of_spreadsheet(text, zone)
    if written in _UNITS:
        return lambda text: _counted(text, *_UNITS[written])
    shape = re.compile(_shape(written))
    return lambda text: _by_pattern(text, written, shape, zone)


def joined(texts: Iterable[str | None]) -> str | None:
    """Return the text of a column that the contract joins of several: those that have a value, with a blank between them."""
    return " ".join(text for text in texts if text) or None


def _shape(written: str) -> str:
    """Return the regular expression of the texts of a pattern. A number beside another one has all its digits."""
    parts = ["", *re.findall(r"%.|[^%]", written), ""]
    found = []
    for before, part, after in zip(parts, parts[1:], parts[2:], strict=False):
        shape = _PARTS[part[1]] if part[0] == "%" else re.escape(part)
        is_beside = {before[1:], after[1:]} & set("YymdHIMSf")
        found.append(r"\d{2}" if is_beside and shape == _PARTS["m"] else shape)
    return "".join(found)


def _iso(text: str, zone: tzinfo) -> datetime | None:
    """Return the time, or the start of its date if the rest cannot be read; None if there is no date."""
    if not _DATE.match(text):
        return None
    for part in (text, text[:10]):
        try:
            return _in_utc(datetime.fromisoformat(part), zone)
        except (ValueError, OverflowError):
            continue
    return None


def _counted(text: str, microseconds: int, shape: re.Pattern[str]) -> datetime | None:
    if not shape.fullmatch(text):
        return None
    try:
        return _EPOCH + timedelta(microseconds=int(Decimal(text) * microseconds))
    except OverflowError:
        return None


def _of_spreadsheet(text: str, zone: tzinfo) -> datetime | None:
    """Read days and their fraction, to the millisecond: a spreadsheet's fractions are no more exact."""
    if not _SERIAL.fullmatch(text):
        return None
    whole, _, part = text.partition(".")
    unit = 10 ** len(part)
    milliseconds = (2 * int(whole + part) * _MS_A_DAY + unit) // (2 * unit)
    if milliseconds not in _MS_OF_SERIALS:
        return None
    try:
        return _in_utc(_SERIAL_ZERO + timedelta(milliseconds=milliseconds), zone)
    except OverflowError:
        return None


def _by_pattern(text: str, written: str, shape: re.Pattern[str], zone: tzinfo) -> datetime | None:
    if not shape.fullmatch(text):
        return None
    try:
        return _in_utc(datetime.strptime(text, written), zone)
    except (ValueError, OverflowError):
        return None


def _in_utc(moment: datetime, zone: tzinfo) -> datetime:
    """Take a time without a zone by the clock of one. A time that the clock shows twice is the later one, as in SQL."""
    if moment.tzinfo:
        return moment.astimezone(UTC)
    earlier, later = (moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return max(earlier, later)
