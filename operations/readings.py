"""Read a text as a proposed column of a contract would: what `meant_text` and `typed` in macros/parse.sql make of it.

A proposal is checked and shown by it. SQL decides what a record is worth; a test holds both readings together.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from operations.guesses import reader
from operations.numbers import listed, number

_WHOLE = re.compile(r"[+-]?[0-9]+(\.0+)?")
_TIMES = ("timestamp", "date")


def as_read(kind: str, options: Mapping[str, object], text: str | None) -> tuple[str | None, bool]:
    """Return the value of a text of a type, as text, and whether it can be read; no value can."""
    if text is None or text in listed(options.get("missing")):
        return None, True
    meant = _meant(text, options)
    if kind in _TIMES:
        at = reader(kind, options)(meant)
        return (
            (None, False) if at is None else (f"{at:%Y-%m-%d}" if kind == "date" else f"{at:%Y-%m-%d %H:%M:%S}", True)
        )
    if kind.startswith("decimal") or kind in ("bigint", "integer"):
        found = number(meant, options)
        scale = int(kind.rstrip(")").rpartition(",")[2]) if "(" in kind else 0
        is_read = found is not None and (_WHOLE.fullmatch(found) if not scale else _fits(found, scale))
        return (f"{Decimal(found or 0):.{scale}f}", True) if is_read else (None, False)
    if kind == "boolean":
        return (meant, True) if meant in ("true", "false", "t", "f") else (None, False)
    return meant, True


def _fits(number: str, scale: int) -> bool:
    return len(number.partition(".")[2].rstrip("0")) <= scale


def _meant(text: str, options: Mapping[str, object]) -> str:
    """Return the contract's value for a text."""
    values = options.get("values")
    for value, texts in values.items() if isinstance(values, dict) else ():
        for one in listed(texts):
            pattern = one[1:-1] if len(one) > 2 and one[0] == one[-1] == "/" else None
            found = re.fullmatch(pattern, text) if pattern else None
            if found:
                return found.expand(str(value))
            if pattern is None and one == text:
                return str(value)
    return text
