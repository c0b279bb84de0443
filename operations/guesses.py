"""Guess what a column of a source is: a plain name, a type, whether it is a key, a time or personal data.

A guess is made from a column's name and from all of its values in a sample, as exact texts. The types are those that
`typed` in macros/parse.sql reads; a type is proposed only if it reads every value.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from ingestion.names import unfit

MONEY = "decimal(18,4)"
# The kinds of a JSON value, as DuckDB names them. The values of a file that has only texts are of kind TEXT.
TEXT, STRING, NUMBER, FRACTION, BOOLEAN, OBJECT, LIST = (
    *("TEXT", "VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "OBJECT", "ARRAY"),
)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))")
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]{1,4}")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(\.[0-9]{1,9})?)?"
    r"(Z|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)?"
)
_ZERO_FIRST = re.compile(r"0[0-9]+|\+.*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"(\+|00)[0-9][0-9 ()/-]{6,20}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_OTHER_TIMES = {
    re.compile(r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{2,4}.*"): "day.month.year",
    re.compile(r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}.*"): "dates with slashes",
    re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].+ [A-Z]{3,4}"): "times with the name of a zone",
    re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*"): "dates and times in one column",
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
}
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
}
_BEGIN_WORDS = {
    *("created", "placed", "ordered", "occurred", "event", "invoice", "order", "booked", "purchased", "sold", "logged"),
    *("erstellt", "bestellt", "bestelldatum", "rechnungsdatum", "sent", "received", "posted", "paid", "transaction"),
}
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
}
_AMOUNT_WORDS = {"amount", "total", "betrag", "summe", "revenue", "gross", "net", "sum", "umsatz"}
_PRICE_WORDS = {"price", "preis", "cost", "fee", "tax", "discount", "rabatt", "kosten", "shipping"}
_PART_WORDS = {
    *(
        "line",
        "position",
        "pos",
        "row",
        "sequence",
        "seq",
        "item",
        "zeile",
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
    options: dict[str, str] = field(default_factory=dict)


def words(name: str) -> list[str]:
    """Split a name into its words, in lower case and plain letters."""
    plain = unicodedata.normalize("NFKC", name).translate(_LETTERS)
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
    return bool(header.strip()) and header.isprintable() and not re.search(r'["\\]|\{[{%#]', header)


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


def type_of(name: str, values: Collection[str], kinds: Collection[str] = (TEXT,), known: Collection[str] = ()) -> Type:
    """Propose a type that reads all of these values. `known` are the options of columns that contracts have."""
    if not values:
        return Type("varchar", "there is no value in the sample") if set(kinds) <= {TEXT} else _no_json(kinds)
    if set(kinds) <= {TEXT}:
        return _type_of_texts(name, values, known)
    return _type_of_json(name, values, set(kinds), known)


def _type_of_texts(name: str, values: Collection[str], known: Collection[str]) -> Type:
    if found := _times(values):
        return found
    if set(values) <= {"true", "false"} or set(values) == {"t", "f"}:
        return Type("boolean", "all values are true or false")
    if all(_INTEGER.fullmatch(one) for one in values):
        return _type_of_integers(name, values, known)
    if scale := _decimals(values):
        return scale
    return _type_of_other(values, known)


def _type_of_json(name: str, values: Collection[str], kinds: set[str], known: Collection[str]) -> Type:
    """A type reads only some kinds of JSON values; the others would be refused."""
    if kinds == {BOOLEAN}:
        return Type("boolean", "all values are true or false")
    if kinds == {OBJECT}:
        return Type("json", "all values are objects")
    if kinds == {NUMBER} and all(_in_range(one) for one in values):
        return _epoch(name, values, known) or Type("bigint", "all values are whole numbers")
    if kinds <= {NUMBER, FRACTION, STRING} and kinds != {STRING}:
        found = _decimals(values, digits=15)
        return found or _no_json(kinds)
    if kinds == {STRING}:
        return _times(values) or _type_of_other(values, known)
    return _no_json(kinds)


def _no_json(kinds: Collection[str]) -> Type:
    if not kinds:
        return Type("varchar", "there is no value in the sample")
    if set(kinds) <= {STRING, TEXT}:
        return Type("varchar", "there is no value in the sample")
    return Type(None, f"no type reads its values, which are {' and '.join(sorted(kinds)).lower()}")


def _times(values: Collection[str]) -> Type | None:
    if all(map(is_date, values)):
        return Type("date", "all values are dates")
    if all(map(is_time, values)):
        naive = "" if all(map(_has_zone, values)) else "; those without an offset are read as UTC"
        return Type("timestamp", f"all values are times{naive}")
    return None


def _has_zone(text: str) -> bool:
    found = _TIME.fullmatch(text)
    return bool(found and found[8])


def _type_of_integers(name: str, values: Collection[str], known: Collection[str]) -> Type:
    if any(_ZERO_FIRST.fullmatch(one) for one in values):
        return Type("varchar", "numbers with zeros or a sign in front, which must be kept")
    if not all(map(_in_range, values)):
        return Type("varchar", "numbers that are too large for bigint")
    if found := _epoch(name, values, known):
        return found
    if is_code(name):
        return Type("varchar", "numbers that name a thing: nobody adds them up")
    return Type("bigint", "all values are whole numbers")


def _in_range(text: str) -> bool:
    return len(text) <= 20 and -(2**63) <= int(text) < 2**63


def _epoch(name: str, values: Collection[str], known: Collection[str]) -> Type | None:
    """Recognize seconds or milliseconds since 1970 in a column whose name speaks of time."""
    if not set(words(name)) & (_TIME_WORDS | _CHANGE_WORDS | _BEGIN_WORDS) or is_code(name):
        return None
    numbers = [int(one) for one in values]
    for unit, size in (("seconds", 1), ("milliseconds", 1000)):
        if all(number // size in _EPOCH for number in numbers):
            if "unit" in known:
                return Type("timestamp", f"{unit} since 1970", {"unit": unit})
            return Type("bigint", f"{unit} since 1970, which this version of Clearwell does not read as a time")
    return None


def _decimals(values: Collection[str], digits: int = 18) -> Type | None:
    whole, scale = 0, 0
    for one in values:
        found = _DECIMAL.fullmatch(one)
        if not found:
            return None
        whole = max(whole, len((found[1] or "").lstrip("0")))
        scale = max(scale, len(found[2] or found[3] or ""))
        if digits < 18 and len(one.strip("+-").replace(".", "").strip("0")) > digits:
            return None
    if scale <= 4 and whole <= 14:
        return Type(MONEY, "all values are numbers of up to 4 decimals")
    if scale <= 8 and whole <= 10:
        return Type("decimal(18,8)", f"all values are numbers of up to {scale} decimals")
    return Type("decimal(38,15)", f"numbers of up to {scale} decimals") if scale <= 15 and whole <= 23 else None


def _type_of_other(values: Collection[str], known: Collection[str]) -> Type:
    if all(_COMMA.fullmatch(one) or _INTEGER.fullmatch(one) for one in values) and any("," in one for one in values):
        if "decimal" in known and all(len(one.split(",")[0].lstrip("+-")) <= 14 for one in values):
            return Type(MONEY, "numbers with a decimal comma", {"decimal": ","})
        return Type("varchar", "numbers with a decimal comma, which this version of Clearwell keeps as text")
    for pattern, said in _OTHER_TIMES.items():
        if all(pattern.fullmatch(one) for one in values):
            return Type("varchar", f"{said}: no type reads them, so they are kept as text")
    return Type("varchar", "texts")


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
    if said[:1] in (["line"], ["row"], ["position"], ["sequence"]):
        return False
    return bool(said) and (said[-1] in _ID_WORDS or bool(set(said) & _CODE_WORDS) or bool(_GLUED_ID.search(said[-1])))


_GLUED_ID = re.compile(
    r"(kunden|bestell|artikel|rechnungs|beleg|order|customer|product|invoice|user)(id|nr|nummer|no)$"
)


def is_part_of_key(name: str) -> bool:
    """Say whether a name is that of what often identifies a record together with an id: a position, a date, a currency."""
    return bool(set(words(name)) & _PART_WORDS)


def event_rank(name: str) -> int:
    """Rank how much a name sounds like the time of a record; 0 for not at all."""
    said = set(words(name))
    if said & (_CHANGE_WORDS | _OTHER_TIME_WORDS):
        return 0
    glued = bool(re.search(r"(date|datum|time|zeit)$", "".join(words(name))))
    return 2 * bool(said & _BEGIN_WORDS) + bool(said & _TIME_WORDS or glued)


def is_version(name: str) -> bool:
    """Say whether a name is that of a record's last change."""
    return bool(set(words(name)) & _CHANGE_WORDS)


def personal(name: str, values: Iterable[str]) -> str:
    """Return why a column may hold personal data; empty if nothing speaks for it."""
    said = words(name)
    if "_".join(said) in _PERSONAL_NAMES or set(said) & _PERSONAL_WORDS:
        return "its name"
    listed = list(values)
    for pattern, what in ((_EMAIL, "email addresses"), (_PHONE, "telephone numbers")):
        found = sum(bool(pattern.fullmatch(one)) for one in listed)
        if listed and found >= max(1, len(listed) // 20):
            return what
    return ""


def is_amount(name: str) -> bool:
    """Say whether a name is that of a record's money."""
    return bool(set(words(name)) & _AMOUNT_WORDS) and not is_price(name)


def is_price(name: str) -> bool:
    """Say whether a name is that of money which is a part of a record's money, or of one of its units."""
    return bool(set(words(name)) & _PRICE_WORDS)


def is_currency(name: str, values: Collection[str]) -> bool:
    """Say whether a column holds currencies: by its name, and by its values, which are codes of three letters."""
    return bool(set(words(name)) & _CURRENCY_WORDS) and bool(values) and all(map(_CURRENCY.fullmatch, values))
