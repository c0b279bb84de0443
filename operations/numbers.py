"""Read a number by the signs that a contract says, as the macro `meant_text` does."""

import re
from collections.abc import Mapping
from decimal import Decimal

# What is a blank beside a number or between its digits.
BLANKS = " \u00a0\u202f"
APOSTROPHES = "'\u2019"
_BLANK = f"[{BLANKS}]?"
_DIGITS = f"[0-9.,'_\u2019{BLANKS}]*[0-9.,]"
_PLAIN = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")


def listed(said: object) -> list[str]:
    """Return what a contract says as one text or as a list of texts."""
    return [said] if isinstance(said, str) else list(map(str, said)) if isinstance(said, list | tuple) else []


def signs_between(thousands: str) -> str:
    """Return the signs that may stand between thousands where a contract says one: of blanks and of apostrophes, all that look alike."""
    return next((alike for alike in (BLANKS, APOSTROPHES) if thousands and thousands in alike), thousands)


def number(text: str, options: Mapping[str, object]) -> str | None:
    """Return a number as SQL writes it, by the signs that a contract says; None if the text is none by them."""
    is_percent, decimal = bool(options.get("percent")), str(options.get("decimal", "."))
    symbols = "|".join(map(re.escape, listed(options.get("symbol"))))
    thousands = str(options.get("thousands", ""))
    if symbols or is_percent or thousands or decimal == ",":
        text = text.strip(BLANKS)
        behind = "|".join(one for one in (symbols, "%" if is_percent else "") if one)
        sign = f"(?:{behind})?"
        text = re.sub(
            rf"^({sign}{_BLANK})\(({sign}{_BLANK}{_DIGITS}{_BLANK}{sign})\)({_BLANK}{sign})$", r"-\1\2\3", text
        )
        is_marked = text.endswith("%")
        if symbols:
            text = re.sub(rf"^([+-]?){_BLANK}(?:{symbols}){_BLANK}([+-]?{_DIGITS}-?)$", r"\1\2", text)
        if behind:
            text = re.sub(rf"^([+-]?{_DIGITS}-?){_BLANK}(?:{behind})$", r"\1", text)
        if is_percent and not is_marked:
            return None
    if thousands or decimal == ",":
        thousands, point = signs_between(thousands), re.escape(decimal)
        whole = rf"([0-9]+|[0-9]{{1,3}}([{thousands}][0-9]{{3}})+)" if thousands else "[0-9]+"
        digits = rf"({whole}({point}[0-9]*)?|{point}[0-9]+)"
        if re.fullmatch(f"{digits}-", text):
            text = f"-{text[:-1]}"
        elif not re.fullmatch(rf"[+-]?{digits}", text):
            return None
        text = text.translate(dict.fromkeys(map(ord, thousands))).replace(decimal, ".")
    if not _PLAIN.fullmatch(text):
        return None
    return f"{Decimal(text).scaleb(-2):f}" if is_percent else text
