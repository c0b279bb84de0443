"""Guess what a column of a source is: a plain name, a type, whether it is a key, a time or personal data.

A guess is made from a column's name and from all of its values in a sample, as exact texts. The types are those that
`typed` in macros/parse.sql reads, with what a contract says of how values are written. A type is proposed only if it reads every
value.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from ingestion.columns import Column
from ingestion.names import is_path, unfit
from ingestion.times import clock_of
from operations.numbers import APOSTROPHES, BLANKS, number

MONEY = "decimal(18,4)"
NAIVE = "those without an offset are read as UTC"
# The kinds of a JSON value, as DuckDB names them. The values of a file that has only texts are of kind TEXT.
TEXT, STRING, NUMBER, FRACTION, BOOLEAN, OBJECT, LIST = (
    *("TEXT", "VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "OBJECT", "ARRAY"),
)
# Why a column stays text although its values are more.
DAY_OR_MONTH = "texts: the day or the month may come first, which `time_format` would say"
COMMA = "texts: a comma may separate decimals or thousands, which `decimal` or `thousands` would say"
JSON = "texts: JSON, into which only a contract of `format: json_lines` has paths"
_SEVERAL = "numbers with several signs beside them, such as two currencies: have the sign in a column of its own"
_TOO_LONG = "numbers that no type reads exactly; have them exported with 15 decimals at most"
_NUMBER = re.compile(r"[+-]?([0-9]+|[0-9]{1,3}([.,][0-9]{3})+)([.,][0-9]+)?(e[+-]?[0-9]+)?-?", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))")
_WITH_COMMA = re.compile(r"[+-]?([0-9]+|[0-9]{1,3}(\.[0-9]{3})+)(,[0-9]*)?")
_WITH_GROUPS = re.compile(r"[+-]?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]*)?")
_AMBIGUOUS = re.compile(r"[+-]?[0-9]{1,3},[0-9]{3}")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(\.[0-9]{1,9})?)?"
    r"(Z|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)?"
)
_FLOAT_ID = re.compile(r"(\d+)\.0")
_ZERO_FIRST = re.compile(r"0[0-9]+|\+.*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"(\+|00)[1-9][0-9 ()/-]{6,20}")
# The length of a telephone number that begins with 00.
_WITH_COUNTRY = range(11, 18)
_IP = re.compile(r"((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)")
_CODE = re.compile(r"(?=\S*\d)\S+")
# A number with a sign beside it: of a currency, of its name, or of a percentage. Parentheses are a minus.
_CURRENCIES = (
    *(
        "EUR",
        "USD",
        "GBP",
        "CHF",
        "JPY",
        "CNY",
        "INR",
        "SEK",
        "NOK",
        "DKK",
        "PLN",
        "CZK",
        "HUF",
        "RON",
        "BGN",
        "TRY",
        "UAH",
        "CAD",
    ),
    *("AUD", "NZD", "BRL", "MXN", "ZAR", "SGD", "HKD", "KRW", "ILS", "AED", "THB", "kr", "Kč", "zł", "Ft", "lei", "Fr"),
)
_SIGN = rf"{'|'.join(_CURRENCIES)}|[A-Z]{{0,2}}[$€£¥₹₽₺₩₪₫฿₴₦₱]|%"
_WITH_SIGN = re.compile(
    rf"(?P<open>\()?[+-]?\s?(?P<before>{_SIGN})?\s?(?P<inner>\()?(?P<number>[+-]?[0-9][0-9.,'\s\u2019]*|[+-]?[.,][0-9]+)(?<!\s)"
    rf"(?(inner)\))(?P<last>-)?\s?(?P<behind>{_SIGN})?(?(open)\))"
)
_MINUS_LAST = re.compile(r"[0-9.,' \u00a0\u202f\u2019]*[0-9.,]-")
_CURRENCY = re.compile(r"[A-Z]{3}")
# How dates are written, and how the times of a day follow them. A column that fits two of the first group stays text.
_DATES = (
    *("%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y"),
)
_CLOCKS = tuple(f"{mark} {clock}" for mark in ("", ",") for clock in ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p"))
_ZONED = (
    *("%Y-%m-%d %H:%M:%S %z", "%Y-%m-%d %H:%M:%S.%f %z", "%a, %d %b %Y %H:%M:%S %z", "%d/%b/%Y:%H:%M:%S %z"),
    *("%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M:%S.%f UTC", "%Y-%m-%d %H:%M UTC"),
)
# Texts that mean that there is no value.
_NO_VALUE = ("N/A", "n/a", "NA", "#N/A", "NULL", "null", "None", "NaN", "nan", "-", "--", "?")
# Words for true and false. A column must have both.
_YES_AND_NO = (
    *(("TRUE", "FALSE"), ("True", "False"), ("yes", "no"), ("Yes", "No"), ("YES", "NO"), ("Y", "N"), ("y", "n")),
    *(("T", "F"), ("ja", "nein"), ("Ja", "Nein"), ("oui", "non"), ("si", "no")),
)
# So many values show which formats are worth trying.
_FIRST = 100
# How a date is written as a number. A column's name must say that it is one.
_COMPACT = "%Y%m%d"
_GLUED_TIME = re.compile(r"(date|datum|dat|time|zeit|zet)$")
_SERIAL = re.compile(r"[0-9]{5}(\.[0-9]{1,16})?")
# Days of a spreadsheet of the years 1980 to 2099.
_SERIAL_DAYS = range(29_221, 73_051)
_WHOLE = re.compile(r"[0-9]+\.0+")
_CLOCK_SHAPES = {
    "%H%M%S": re.compile("([01][0-9]|2[0-3])([0-5][0-9]){2}"),
    "%H:%M:%S": re.compile("([01]?[0-9]|2[0-3])(:[0-5][0-9]){2}"),
    "%H:%M": re.compile("([01]?[0-9]|2[0-3]):[0-5][0-9]"),
}
# Epoch seconds of the years 2000 to 2099.
_EPOCH = range(946_684_800, 4_102_444_800)
_LETTERS = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "ß": "ss",
        "Ä": "Ae",
        "Ö": "Oe",
        "Ü": "Ue",
        "æ": "ae",
        "ø": "oe",
        "Æ": "Ae",
        "Ø": "Oe",
    }
)
_LONGEST_NAME = 60
# Of the name of a thing: fewer letters begin too many names.
_SHORTEST_NAME = 4

_ID_WORDS = {
    "id",
    "uuid",
    "guid",
    "key",
    "nr",
    "no",
    "number",
    "nummer",
    "num",
    "code",
    "sku",
    "ean",
    "isbn",
    "ref",
    "hash",
    "oid",
}
_NUMBER_WORDS = ("nr", "no", "number", "nummer", "num")
_CODE_WORDS = {
    "zip",
    "plz",
    "postcode",
    "postal",
    "phone",
    "telefon",
    "mobile",
    "fax",
    "iban",
    "vat",
    "account",
    "konto",
}
_TIME_WORDS = {
    "time",
    "at",
    "date",
    "datum",
    "timestamp",
    "ts",
    "when",
    "zeit",
    "day",
    "on",
    "tag",
    "epoch",
    "created",
    "am",
    "tstamp",
    "datetime",
}
_BEGIN_WORDS = {
    *("created", "placed", "ordered", "occurred", "event", "invoice", "order", "booked", "purchased", "sold", "logged"),
    *(
        "erstellt",
        "bestellt",
        "bestelldatum",
        "rechnungsdatum",
        "buchungsdatum",
        "belegdatum",
        "posted",
        "paid",
        "transaction",
    ),
}
# What trackers call the time of an event, beside those of its transport.
_EVENT_TIMES = {"timestamp", "event time", "event timestamp", "event at", "derived tstamp", "occurred at"}
_CHANGE_WORDS = {
    "updated",
    "modified",
    "changed",
    "geaendert",
    "aktualisiert",
    "version",
    "revision",
    "lastmodified",
    "edited",
    "upd",
}
_OTHER_TIME_WORDS = {
    *(
        "birth",
        "birthday",
        "dob",
        "geburtsdatum",
        "geburtstag",
        "expires",
        "expiry",
        "expiration",
        "due",
        "valid",
        "until",
    ),
    *(
        "deleted",
        "shipped",
        "delivered",
        "end",
        "ended",
        "from",
        "to",
        "last",
        "next",
        "load",
        "loaded",
        "export",
        "exported",
    ),
}
_PERSONAL_WORDS = {
    *("email", "mail", "phone", "telefon", "mobile", "fax", "firstname", "lastname", "surname", "fullname", "vorname"),
    *(
        "nachname",
        "street",
        "strasse",
        "address",
        "adresse",
        "anschrift",
        "birth",
        "birthday",
        "birthdate",
        "dob",
        "ssn",
    ),
    *("geburtsdatum", "geburtstag", "iban", "passport", "ip", "latitude", "longitude", "username"),
}
_PERSONAL_NAMES = {
    *("first_name", "last_name", "full_name", "middle_name", "family_name", "given_name", "user_name", "customer_name"),
    *("contact_name", "display_name", "name_first", "name_last", "kundenname", "ip_address", "user_agent"),
    *("shipping_name", "billing_name", "recipient", "recipient_name", "cardholder_name"),
}
_AMOUNT_WORDS = {"amount", "total", "betrag", "summe", "revenue", "gross", "net", "sum", "umsatz"}
_PRICE_WORDS = {"price", "preis", "cost", "fee", "tax", "discount", "rabatt", "kosten", "shipping"}
_POSITION_WORDS = {"line", "position", "pos", "row", "sequence", "seq", "item", "idx", "zeile", "posnr"}
_PART_WORDS = {
    *_POSITION_WORDS,
    *(
        "date",
        "datum",
        "day",
        "month",
        "year",
        "currency",
    ),
    *("country", "language", "locale", "type", "kind", "variant", "size", "version", "warehouse", "store", "channel"),
}
_CURRENCY_WORDS = {"currency", "waehrung", "ccy"}


@dataclass(frozen=True)
class Type:
    """A proposed type, and why. Without a type, the contract cannot read the column. `options` are its further fields."""

    name: str | None
    why: str
    options: dict[str, object] = field(default_factory=dict)

    @property
    def is_text(self) -> bool:
        """Say whether it is text only because no other type reads it."""
        return self.name == "varchar" and self.why.startswith("texts")


def words(name: str) -> list[str]:
    """Split a name into its words, in lower case and plain letters; `#` is the word no."""
    plain = unicodedata.normalize("NFKC", name).replace("#", " no ").translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    plain = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3_\2\4", plain)
    return [part for part in re.split(r"[^a-z0-9]+", plain.lower()) if part]


def singular(name: str) -> str:
    """Return the name of one thing from that of several, as far as English spells it by rule."""
    if name.endswith("ies") and len(name) > 4:
        return f"{name[:-3]}y"
    if name.endswith(("sses", "xes", "ches", "shes")):
        return name[:-2]
    return name[:-1] if name.endswith("s") and not name.endswith(("ss", "us", "is")) and len(name) > 2 else name


def plain_names(headers: Sequence[str]) -> list[str]:
    """Return a name for each column of a source that a contract may use: different ones, whatever the headers are."""
    taken: set[str] = set()
    names = []
    for place, header in enumerate(headers, 1):
        base = "_".join(words(header))[:_LONGEST_NAME].strip("_") or f"column_{place}"
        base = f"c_{base}" if base[0].isdigit() else base
        name, number = base, 1
        if unfit(name, [name]):
            base = name = f"{base}_value"
        while name in taken or f"text_{name}" in taken or unfit(name, [*taken, name]):
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        names.append(name)
    return names


def can_be_named(header: str) -> bool:
    """Say whether `from` in a contract may hold this name. Braces would be read by dbt as a template."""
    return (
        bool(header.strip())
        and header.isprintable()
        and not is_path(header)
        and not re.search(r'["\\]|\{[{%#]', header)
    )


def moment(text: str) -> datetime | None:
    """Return the UTC time, or the start of the date, of a text as the parser of the records reads it; None if it does not."""
    if found := _DATE.fullmatch(text):
        parts: list[str | None] = [*found.groups(), "0", "0", None, None, None]
    elif found := _TIME.fullmatch(text):
        parts = list(found.groups())
    else:
        return None
    offset = timezone(_offset(parts[7] or "Z"))
    try:
        at = datetime(*(int(part or 0) for part in parts[:6]), tzinfo=offset)  # type: ignore[misc,arg-type]
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _offset(text: str) -> timedelta:
    if text == "Z":
        return timedelta(0)
    digits = text[1:].replace(":", "").ljust(4, "0")
    length = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -length if text[0] == "-" else length


def is_time(text: str) -> bool:
    """Say whether the parser reads a text as a timestamp."""
    return len(text) > 10 and moment(text) is not None


def is_date(text: str) -> bool:
    """Say whether the parser reads a text as a date."""
    return len(text) == 10 and moment(text) is not None


def type_of(name: str, values: Collection[str], kinds: Collection[str] = (TEXT,)) -> Type:
    """Propose a type that reads all of these values, of these kinds."""
    if not values:
        return Type("varchar", "there is no value in the sample") if set(kinds) <= {TEXT, STRING} else _json(set(kinds))
    if set(kinds) <= {TEXT} or set(kinds) == {STRING}:
        read = _type_of_texts if set(kinds) <= {TEXT} else _type_of_strings
        found = read(name, values)
        # a file of texts has nothing in place of an empty one, and a line has it
        rest = set(values).difference(_NO_VALUE, [""])
        if found.is_text and rest and len(rest) < len(set(values)):
            other = read(name, rest)
            if other.name != "varchar":
                marks = sorted(set(values) - rest)
                said = ", ".join(one or '""' for one in marks)
                return Type(other.name, f"{other.why}, but for {said}", {**other.options, "missing": marks})
        return found
    return _type_of_json(name, values, set(kinds))


def _type_of_texts(name: str, values: Collection[str]) -> Type:
    if found := _times(values) or _truths(values):
        return found
    if all(_INTEGER.fullmatch(one) for one in values):
        return _type_of_integers(name, values)
    if found := _ids_as_floats(name, values):
        return found
    if _names_a_thing(name) and all(map(_DECIMAL.fullmatch, values)):
        return Type("varchar", "numbers that name a thing or a version, of which no digit is left out")
    return (
        _serials(name, values)
        or _positions(name, values)
        or _decimals(values)
        or _marked_numbers(values)
        or _signed_numbers(values)
        or _written_times(values)
        or Type("varchar", _text(values))
    )


def _text(values: Collection[str]) -> str:
    values = _minus_first(values)
    if all(_AMBIGUOUS.fullmatch(one) or _INTEGER.fullmatch(one) for one in values):
        return COMMA
    if all(re.fullmatch(r"[0-9]{1,2}[/-][0-9]{1,2}[/-][0-9]{2,4}.*", one) for one in values):
        return DAY_OR_MONTH
    if all(map(_WITH_SIGN.fullmatch, values)) and len(_signs(values)) > 1:
        return f"texts: {_SEVERAL}"
    if all((one := _WITH_SIGN.fullmatch(text)) and _AMBIGUOUS.fullmatch(one["number"]) for text in values):
        return COMMA
    if all(map(_NUMBER.fullmatch, values)):
        return f"texts: {_TOO_LONG}"
    if all(one[:1] in ("{", "[") and one[-1:] in ("}", "]") for one in values):
        return JSON
    return "texts"


def by_days(values: Collection[str], first: str, last: str) -> Type | None:
    """Recognize dates and times of which the day or the month may come first, by the days that their files are of."""
    near = timedelta(days=2)
    start, end = (datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in (first, last))
    found = []
    for day in _DATES:
        for kind, clocks in (("date", ("",)), ("timestamp", _CLOCKS)):
            formats = [f"{day}{clock}" for clock in clocks]
            one = _fitting(kind, [tuple(formats)], list(values))
            if not one:
                continue
            read = reader(kind, one.options)
            if all((at := read(text)) and start - near <= at <= end + near for text in values):
                found.append(Type(kind, f"{one.why}, as the files' own dates show", one.options))
    return found[0] if len(found) == 1 else None


def shows_decimal_comma(values: Collection[str]) -> bool:
    """Say whether these are numbers with a decimal comma, and nothing else."""
    numbers = _minus_first({text.strip(BLANKS) for text in values})
    return bool(numbers) and all(_WITH_COMMA.fullmatch(one) for one in numbers) and not _is_unclear(numbers, ",")


def with_decimal_comma(values: Collection[str]) -> Type | None:
    """Read numbers such as 1,000, of which the file's other columns show that the comma separates decimals."""
    found = _decimals({one.replace(",", ".") for one in _minus_first(values)})
    return found and Type(found.name, f"{found.why}, with a decimal comma, as in other columns", {"decimal": ","})


def _type_of_strings(name: str, values: Collection[str]) -> Type:
    """Propose a type of the strings in lines, of which numbers and truths may have been written in quotes."""
    found = _type_of_texts(name, values)
    bare = {"bigint": "integer", "boolean": "boolean"}.get(str(found.name))
    if not bare:
        return found
    return Type(found.name, f"{found.why}, in quotes", found.options | {"json_types": ["string", bare]})


def _type_of_json(name: str, values: Collection[str], kinds: set[str]) -> Type:
    """A type reads only some kinds of JSON values; others would be refused."""
    if kinds <= {OBJECT, LIST}:
        return _json(kinds)
    if kinds == {BOOLEAN}:
        return Type("boolean", "all values are true or false")
    if kinds <= {NUMBER, STRING} and is_code(name):
        return Type("varchar", "numbers that name a thing", {"json_types": ["string", "integer"]})
    if kinds == {NUMBER} and all(map(_in_range, values)):
        if found := _counted(name, values):
            written = {"json_types": ["string", "integer"]} if found.name == "date" else {}
            return Type(found.name, found.why, found.options | written)
        return Type("bigint", "all values are whole numbers")
    if kinds <= {NUMBER, FRACTION, STRING} and (found := _decimals(values, digits=15)):
        return found
    if kinds <= {NUMBER, STRING}:
        return Type("varchar", "texts and whole numbers", {"json_types": ["string", "integer"]})
    return Type(None, f"no type reads its values, which are {' and '.join(sorted(kinds)).lower()}")


def _json(kinds: set[str]) -> Type:
    if LIST in kinds:
        return Type("json", "lists", {"json_types": ["object", "array"]})
    return Type("json", "all values are objects") if kinds else Type("varchar", "there is no value in the sample")


def _times(values: Collection[str]) -> Type | None:
    if all(map(is_date, values)):
        return Type("date", "all values are dates")
    if all(map(is_time, values)):
        naive = "" if all(map(_has_zone, values)) else f"; {NAIVE}"
        return Type("timestamp", f"all values are times{naive}")
    if all(is_time(one) or is_date(one) for one in values):
        return Type("timestamp", f"times, and dates; {NAIVE}", {"time_format": ["iso", "%Y-%m-%d"]})
    return None


def _has_zone(text: str) -> bool:
    found = _TIME.fullmatch(text)
    return bool(found and found[8])


def _written_times(values: Collection[str]) -> Type | None:
    """Recognize dates and times by how they are written; None if none fits all, or if two fit."""
    listed = list(values)
    for kind, formats in (("timestamp", [(one,) for one in _ZONED]), ("date", [(one,) for one in _DATES])):
        if found := _fitting(kind, formats, listed):
            return found
    written = [tuple(f"{day}{clock}" for clock in _CLOCKS) for day in _DATES]
    return _fitting("timestamp", [*written, _ZONED], listed)


def _fitting(kind: str, choices: Sequence[tuple[str, ...]], values: Sequence[str]) -> Type | None:
    fitting = []
    for formats in choices:
        if not reader(kind, {"time_format": list(formats)})(values[0]):
            continue
        readers = {one: reader(kind, {"time_format": [one]}) for one in formats}
        used = [one for one in formats if any(readers[one](text) for text in values)]
        if used and all(any(readers[one](text) for one in used) for text in values):
            fitting.append(used)
    if len(fitting) != 1:
        return None
    (used,) = fitting
    naive = "" if used[0] in _ZONED or kind == "date" else f"; {NAIVE}"
    option: object = used[0] if len(used) == 1 else used
    return Type(kind, f"written as {' or '.join(used)}{naive}", {"time_format": option})


def time_of_two(date: Type, clock_name: str, clocks: Collection[str]) -> Type | None:
    """Recognize the time of day of a column of dates, in a column beside it, such as SAP's 235959. The blank is of the joined text."""
    said = date.options.get("time_format", "%Y-%m-%d")
    if date.name != "date" or not isinstance(said, str) or "%" not in said or not clocks or not event_rank(clock_name):
        return None
    for written, shape in _CLOCK_SHAPES.items():
        if all(map(shape.fullmatch, clocks)):
            return Type("timestamp", f"a date and a time in two columns; {NAIVE}", {"time_format": f"{said} {written}"})
    return None


def mostly_time(texts: Sequence[str]) -> tuple[Type, int] | None:
    """Return the type of a time that reads the most of these texts, and how many it does not read; None if another reads as many."""
    iso: list[tuple[str, dict[str, object]]] = [("timestamp", {}), ("date", {})]
    kinds = iso + [("date", {"time_format": one}) for one in _DATES]
    kinds += [("timestamp", {"time_format": f"{day}{clock}"}) for day in _DATES for clock in _CLOCKS]
    kinds += [("timestamp", {"time_format": one}) for one in _ZONED]
    found = []
    for kind, options in kinds:
        read = reader(kind, options)
        if 2 * sum(read(text) is None for text in texts[:_FIRST]) <= len(texts[:_FIRST]):
            found.append((sum(read(text) is None for text in texts), kind, options))
    found.sort(key=lambda one: one[0])
    if not found or (len(found) > 1 and found[0][0] == found[1][0]):
        return None
    wrong, kind, options = found[0]
    return Type(kind, f"all values but {wrong:,} are {kind}s; those are refused", options), wrong


def reader(kind: str, options: Mapping[str, object]) -> Callable[[str], datetime | None]:
    """Return what reads the texts of a proposed time as UTC, as the parser of the records does."""
    formats = options.get("time_format")
    if not formats:
        wanted = is_date if kind == "date" else is_time
        return lambda text: moment(text) if wanted(text) else None
    listed = [formats] if isinstance(formats, str) else list(formats) if isinstance(formats, list) else []
    others = clock_of(Column("x", kind, time_formats=tuple(one for one in listed if one != "iso")))
    return lambda text: (moment(text) if "iso" in listed and is_time(text) else None) or others(text)


def _truths(values: Collection[str]) -> Type | None:
    found = set(values)
    if found <= {"true", "false"} or found == {"t", "f"}:
        return Type("boolean", "all values are true or false")
    for yes, no in _YES_AND_NO:
        if found == {yes, no}:
            return Type("boolean", f"all values are {yes} or {no}", {"values": {"true": [yes], "false": [no]}})
    return None


def _type_of_integers(name: str, values: Collection[str]) -> Type:
    if any(_ZERO_FIRST.fullmatch(one) for one in values):
        return Type("varchar", "numbers with zeros or a sign in front, which must be kept")
    if not all(map(_in_range, values)):
        return Type("varchar", "numbers that are too large for bigint")
    if found := _counted(name, values):
        return found
    if is_code(name):
        return Type("varchar", "numbers that name a thing: nobody adds them up")
    return Type("bigint", "all values are whole numbers")


def _in_range(text: str) -> bool:
    return len(text) <= 20 and -(2**63) <= int(text) < 2**63


def _counted(name: str, values: Collection[str]) -> Type | None:
    """Recognize a count of time since 1970, or a date such as 20261101, in a column whose name speaks of time."""
    glued = _GLUED_TIME.search("".join(words(name)))
    if not (glued or set(words(name)) & (_TIME_WORDS | _CHANGE_WORDS | _BEGIN_WORDS)) or is_code(name):
        return None
    read = reader("date", {"time_format": _COMPACT})
    if all(len(one) == 8 and read(one) for one in values):
        return Type("date", f"written as {_COMPACT}", {"time_format": _COMPACT})
    if found := _serials(name, values):
        return found
    numbers = [int(one) for one in values]
    for unit, size in (("seconds", 1), ("milliseconds", 1000), ("microseconds", 1_000_000)):
        if all(number // size in _EPOCH for number in numbers):
            return Type("timestamp", f"{unit} since 1970", {"time_format": unit})
    return None


def _serials(name: str, values: Collection[str]) -> Type | None:
    """Recognize days as a spreadsheet counts them, in a column whose name speaks of time."""
    said = set(words(name))
    is_of_time = _GLUED_TIME.search("".join(words(name))) or said & (_TIME_WORDS | _CHANGE_WORDS | _BEGIN_WORDS)
    if not is_of_time or is_code(name) or not all(map(_SERIAL.fullmatch, values)):
        return None
    if not all(int(one.partition(".")[0]) in _SERIAL_DAYS for one in values):
        return None
    kind = "timestamp" if any("." in one for one in values) else "date"
    return Type(kind, "days as a spreadsheet counts them", {"time_format": "excel"})


def _positions(name: str, values: Collection[str]) -> Type | None:
    """Recognize positions such as 1.00, as a database's numeric writes them."""
    if not is_position(name) or not all(_WHOLE.fullmatch(one) and _in_range(one.partition(".")[0]) for one in values):
        return None
    return Type("bigint", "all values are whole numbers, with zeros behind")


def _ids_as_floats(name: str, values: Collection[str]) -> Type | None:
    """Recognize ids such as 17850.0: a tool that keeps numbers with gaps as floats wrote them."""
    if not is_code(name) or not all(map(_FLOAT_ID.fullmatch, values)):
        return None
    why = "numbers that name a thing, without the .0 that a tool wrote behind them"
    return Type("varchar", why, {"values": {r"\1": f"/{_FLOAT_ID.pattern}/"}})


def _decimals(values: Collection[str], digits: int = 18) -> Type | None:
    whole, scale = 0, 0
    for one in values:
        found = _DECIMAL.fullmatch(one)
        if not found:
            return None
        whole = max(whole, len((found[1] or "").lstrip("0")))
        scale = max(scale, len((found[2] or found[3] or "").rstrip("0")))
        if digits < 18 and len(one.strip("+-").replace(".", "").strip("0")) > digits:
            return None
    if scale <= 4 and whole <= 14:
        return Type(MONEY, "all values are numbers of up to 4 decimals")
    if scale <= 8 and whole <= 10:
        return Type("decimal(18,8)", f"all values are numbers of up to {scale} decimals")
    return Type("decimal(38,15)", f"numbers of up to {scale} decimals") if scale <= 15 and whole <= 23 else None


def _marked_numbers(texts: Collection[str]) -> Type | None:
    """Recognize numbers with a decimal comma, with marks between thousands, with the minus behind them, or blanks around them."""
    bare = {text.strip(BLANKS) for text in texts}
    is_behind = any(map(_MINUS_LAST.fullmatch, bare))
    values, sign = _without_groups(_minus_first(bare))
    if (sign or is_behind or bare != set(texts)) and all(_INTEGER.fullmatch(one) and _in_range(one) for one in values):
        return Type(
            "bigint", "all values are whole numbers, with signs or blanks beside them", {"thousands": sign or ","}
        )
    is_comma_clear = bool(sign) and not any("." in one for one in values)
    if all(_WITH_COMMA.fullmatch(one) for one in values) and (is_comma_clear or not _is_unclear(values, ",")):
        found = _decimals({one.replace(".", "").replace(",", ".") for one in values})
        options: dict[str, object] = {"decimal": ","}
        thousands = sign or ("." if any("." in one for one in values) else "")
        options |= {"thousands": thousands} if thousands else {}
        return found and Type(found.name, f"{found.why}, with a decimal comma", options)
    if sign and (found := _decimals(values)):
        return Type(found.name, f"{found.why}, with {sign!r} between thousands", {"thousands": sign})
    if not sign and all(_WITH_GROUPS.fullmatch(one) for one in values) and not _is_unclear(values, "."):
        found = _decimals({one.replace(",", "") for one in values})
        written = (
            "a minus behind" if is_behind else "blanks around" if bare != set(texts) else "commas between thousands"
        )
        return found and Type(found.name, f"{found.why}, with {written}", {"thousands": ","})
    return None


def _without_groups(values: Collection[str]) -> tuple[set[str], str]:
    """Take the blanks or apostrophes between thousands out of numbers; return which sign that is, or none if no number has one."""
    for alike in (BLANKS, APOSTROPHES):
        grouped = re.compile(rf"[+-]?[0-9]{{1,3}}([{alike}][0-9]{{3}})+([.,][0-9]*)?|[^{alike}]*")
        if any(one in text for text in values for one in alike) and all(map(grouped.fullmatch, values)):
            return {re.sub(f"[{alike}]", "", text) for text in values}, alike[0]
    return set(values), ""


def _signs(values: Collection[str]) -> set[str]:
    """List the signs beside some numbers."""
    found = [one for text in values if (one := _WITH_SIGN.fullmatch(text))]
    return {sign for one in found for sign in (one["before"], one["behind"]) if sign}


def _signed_numbers(values: Collection[str]) -> Type | None:
    """Recognize amounts with the sign of one currency, percentages, and numbers with a minus written as parentheses."""
    found = [one for text in values if (one := _WITH_SIGN.fullmatch(text))]
    signs = _signs(values)
    is_percent = signs == {"%"}
    if len(found) < len(values) or len(signs) > 1 or (is_percent and not all(one["behind"] for one in found)):
        return None
    plain = {one["number"].lstrip("+-") for one in found}
    read = _decimals(plain) or _marked_numbers(plain)
    if not read or (not signs and not any("(" in text for text in values)):
        return None
    options = dict(read.options)
    if is_percent:
        options["percent"] = True
        read = _decimals({share for text in values if (share := number(text, options))})
    elif signs:
        options["symbol"] = min(signs)
    elif not options:
        # a contract that says one of the signs of numbers reads parentheses
        options["thousands"] = ","
    if any(one["last"] for one in found) and not {"thousands", "decimal"} & set(options):
        options["thousands"] = ","
    if not all(number(text, options) for text in values):
        return None
    said = "percentages" if is_percent else f"numbers with {min(signs)}" if signs else "numbers"
    minus = ", of which parentheses are a minus" if any("(" in text for text in values) else ""
    return read and Type(read.name, f"all values are {said}{minus}", options)


def _minus_first(values: Collection[str]) -> list[str]:
    """Put a minus behind a number in front of it, as the parser does where a contract says the signs of numbers."""
    return [f"-{one[:-1]}" if _MINUS_LAST.fullmatch(one) else one for one in values]


def _is_unclear(values: Collection[str], decimal: str) -> bool:
    """Say whether no value shows which sign separates the decimals."""
    if decimal == ",":
        return all(one.count(",") == 0 or _AMBIGUOUS.fullmatch(one) for one in values)
    return not any("." in one or one.count(",") > 1 for one in values)


def id_rank(name: str, dataset: str) -> int:
    """Rank how much a name sounds like the id of the dataset's own records: 3 at most, 0 for not at all."""
    said = words(name)
    if not is_code(name) or set(said) & _CODE_WORDS:
        return 0
    named = "".join(said[:-1] if said[-1] in _ID_WORDS else said)
    about = re.sub(r"(id|nr|nummer|no)$", "", named) if said[-1] not in _ID_WORDS else named
    if said in (["id"], ["uuid"], ["guid"]):
        return 3
    return 3 if len(about) >= _SHORTEST_NAME and dataset.replace("_", "").startswith(singular(about)) else 2


def is_code(name: str) -> bool:
    """Say whether a name is that of ids, numbers or codes which name things."""
    said = words(name)
    if said[:1] in (["line"], ["row"], ["position"], ["sequence"]) and said[-1] in {said[0], *_NUMBER_WORDS}:
        return False
    return bool(said) and (
        said[-1] in _ID_WORDS or said[0] == "id" or bool(set(said) & _CODE_WORDS) or bool(_GLUED_ID.search(said[-1]))
    )


_GLUED_ID = re.compile(
    r"(kunden|bestell|artikel|rechnungs|beleg|order|customer|product|invoice|user)(id|nr|nummer|no)$"
)


def _names_a_thing(name: str) -> bool:
    """Say whether a name is that of an id or a version, of which 1.10 is not 1.1."""
    said = words(name)
    return bool(said) and not is_position(name) and (said[-1] in _ID_WORDS or "version" in said)


def are_codes(values: Collection[str]) -> bool:
    """Say whether values look like codes: each has a digit, and no blank."""
    return bool(values) and all(map(_CODE.fullmatch, values))


def is_position(name: str) -> bool:
    """Say whether a name is that of a position within something that has an id."""
    return bool(set(words(name)[-2:]) & _POSITION_WORDS)


def is_index(name: str) -> bool:
    """Say whether a name is that of a column without one, which numbers the rows of its file if it is pandas' index."""
    return bool(re.fullmatch(r"column \d+|Unnamed: \d+", name))


def has_no_name(name: str) -> bool:
    """Say whether a name is one that a file without a header is given."""
    return bool(re.fullmatch(r"column_\d+", name))


def are_random(values: Collection[str]) -> bool:
    """Say whether values are ids that are made at random: UUIDs, or hexadecimal digits of a hash's length."""
    return bool(values) and all(map(_RANDOM.fullmatch, values))


_RANDOM = re.compile(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,128}")


def is_part_of_key(name: str) -> bool:
    """Say whether a name is that of what often identifies a record together with an id: a position, a date, a currency."""
    return bool(set(words(name)) & _PART_WORDS)


def event_rank(name: str) -> int:
    """Rank how much a name sounds like the time of a record; 0 for not at all."""
    said = set(words(name))
    if is_other_time(name):
        return 0
    if " ".join(words(name)) in _EVENT_TIMES:
        return 4
    glued = bool(_GLUED_TIME.search("".join(words(name))))
    return 2 * bool(said & _BEGIN_WORDS) + bool(said & _TIME_WORDS or glued)


def is_other_time(name: str) -> bool:
    """Say whether a name is that of a time which does not say when a record happened, such as a birthday."""
    return bool(set(words(name)) & (_CHANGE_WORDS | _OTHER_TIME_WORDS))


def is_version(name: str) -> bool:
    """Say whether a name is that of a record's last change."""
    said = set(words(name))
    return bool(said & _CHANGE_WORDS) or ("write" in said and bool(said & {"date", "time", "at"}))


def personal(name: str, values: Iterable[str]) -> str:
    """Return why a column may hold personal data; empty if nothing speaks for it."""
    said = words(name)
    if "_".join(said) in _PERSONAL_NAMES or set(said) & _PERSONAL_WORDS:
        return "its name"
    listed = list(values)
    for pattern, what in ((_EMAIL, "email addresses"), (_PHONE, "telephone numbers"), (_IP, "IP addresses")):
        if pattern is _PHONE and (is_code(name) or _are_padded(listed)):
            continue
        found = sum(bool(pattern.fullmatch(one)) for one in listed)
        if listed and found >= max(1, len(listed) // 20):
            return what
    return ""


def _are_padded(values: Collection[str]) -> bool:
    """Say whether values are numbers with zeros in front to one length, such as SAP's ids. A telephone number with 00 has another."""
    lengths = {len(one) for one in values}
    return len(lengths) == 1 < len(values) and lengths.isdisjoint(_WITH_COUNTRY) and all(map(str.isdecimal, values))


def is_amount(name: str) -> bool:
    """Say whether a name is that of a record's money."""
    return bool(set(words(name)) & _AMOUNT_WORDS) and not is_price(name)


def is_price(name: str) -> bool:
    """Say whether a name is that of money which is a part of a record's money, or of one of its units."""
    return bool(set(words(name)) & _PRICE_WORDS)


def is_currency(name: str, values: Collection[str]) -> bool:
    """Say whether a column holds currencies: by its name, and by its values, which are codes of three letters."""
    return bool(set(words(name)) & _CURRENCY_WORDS) and bool(values) and all(map(_CURRENCY.fullmatch, values))
