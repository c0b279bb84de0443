"""Parse lines and rows by a contract in plain Python, to compare with `macros/parse.sql`.

It shares no code with the project. A value is read by Python's own json, decimal and datetime.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

INTEGERS = {"integer": 2**31, "bigint": 2**63}


@dataclass(frozen=True)
class Column:
    """What a contract says about a column."""

    name: str
    data_type: str
    meta: dict[str, Any]


def value_of(text: str, data_type: str) -> Any:
    """Return the value of a text as a type, or None if it has none."""
    if data_type == "timestamp":
        return _timestamp(text)
    if data_type == "date":
        return _date(text) if len(text) == 10 else None
    if data_type == "boolean":
        return {"true": True, "t": True, "false": False, "f": False}.get(text)
    if data_type in INTEGERS:
        whole, point, fraction = text.partition(".")
        is_whole = re.fullmatch(r"[+-]?[0-9]+", whole) and (not point or (fraction and set(fraction) == {"0"}))
        number = int(whole) if is_whole else None
        return number if number is not None and -INTEGERS[data_type] <= number < INTEGERS[data_type] else None
    if data_type.startswith("decimal"):
        width, scale = (int(one) for one in re.findall(r"\d+", data_type))
        if not set(text) <= set("+-.0123456789") or text.partition(".")[2][scale:].strip("0"):
            return None
        try:
            number = Decimal(text)
        except ArithmeticError:
            return None
        return number if number.copy_abs() < 10 ** (width - scale) else None
    return text


def _date(text: str) -> date | None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _timestamp(text: str) -> datetime | None:
    """Read a date and a time, a `T` or a space between them, up to nine decimals, and an offset of up to 15:59."""
    day, time = _date(text[:10]), text[11:]
    if day is None or text[10:11] not in ("T", " "):
        return None
    clock = re.match(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?", time)
    if not clock:
        return None
    hour, minute, second = (int(one or 0) for one in clock.groups()[:3])
    offset = time[clock.end() :]
    minutes = 0
    if offset not in ("", "Z"):
        parts = re.fullmatch(r"([+-])([0-9]{2})(?::?([0-9]{2}))?", offset)
        if not parts or int(parts[2]) > 15 or int(parts[3] or 0) > 59:
            return None
        minutes = (1 if parts[1] == "+" else -1) * (int(parts[2]) * 60 + int(parts[3] or 0))
    micros = int((clock[4] or "").ljust(6, "0")[:6])
    days, hour = (1, 0) if (hour, minute, second, micros) == (24, 0, 0, 0) else (0, hour)  # 24:00 is the end of a day
    try:
        at = datetime(day.year, day.month, day.day, hour, minute, second, micros)
        return at + timedelta(days=days, minutes=-minutes)
    except (ValueError, OverflowError):
        return None


def changes_in_a_double(number: str) -> bool:
    """Return whether a fraction changes when it passes through a double."""
    return bool(re.search(r"[.eE]", number)) and Decimal(repr(float(number))) != Decimal(number)


def is_json(line: str) -> bool:
    """Return whether a line is standard JSON, which has no NaN and no comma before a closing bracket."""

    def refuse(_: str) -> None:
        raise ValueError("no number of JSON's")

    try:
        json.loads(line, parse_constant=refuse)
    except ValueError:
        return False
    return True


def reasons_of_row(
    columns: Sequence[Column], row: dict[str, str | None], timed: set[str], landed: datetime
) -> set[str]:
    """Return why the values of a row are refused; `unread` stands for any reason why a value cannot be parsed.

    `timed` are the columns that must not be ahead of the landing.
    """
    found = set()
    for column in columns:
        text, meta = row[column.name], column.meta
        value = None if text is None else value_of(text, column.data_type)
        if meta.get("required") and not text:
            found.add(f"missing:{column.name}")
        elif text is not None and value is None:
            found.add(f"unread:{column.name}")
        elif column.name in timed and isinstance(value, datetime) and value > landed + timedelta(days=1):
            found.add(f"in_future:{column.name}")
        if text and value is not None and meta.get("allowed") and value not in meta["allowed"]:
            found.add(f"not_allowed:{column.name}")
        if value is not None and value in meta.get("excluded", []):
            found.add(f"out_of_range:{column.name}")
    return found
