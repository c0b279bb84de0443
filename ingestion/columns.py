"""A contract's columns: their types, the values that they allow, and how the source writes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ingestion.fields import Fields, bad, guess, mapping, text_of
from ingestion.names import PLAIN_STEP, QUOTED_STEP, is_path

# What is said of a column that the source has.
_OF_THE_SOURCE = (
    *(
        "from",
        "time_format",
        "timezone",
        "decimal",
        "thousands",
        "symbol",
        "percent",
        "missing",
        "values",
        "json_types",
        "hash",
    ),
    *("join", "row_id", "absent", "constant"),
)
META = (
    *_OF_THE_SOURCE,
    "required",
    "allowed",
    "unlisted",
    "excluded",
    "min",
    "max",
    "pattern",
    "personal",
    "hashed_with",
    "roles",
)
# The kinds of JSON value, by the names of JSON Schema.
JSON_TYPES = ("string", "integer", "number", "boolean", "object", "array")
# The parts that events play in models, each by default the event type of that name.
ROLES = ("page_view", "click", "search", "ad_impression", "add_to_cart", "remove_from_cart", "checkout", "purchase")
# Counts of time since 1970, as a time format.
EPOCHS = ("seconds", "milliseconds", "microseconds")
# Days as a spreadsheet counts them, as a time format: 2 is 1 January 1900, and the fraction is the time of day.
EXCEL = "excel"
_COUNTS = (*EPOCHS, EXCEL)
# The directives of a time format. DuckDB and Python must read each of them alike.
DIRECTIVES = "YymdHIMSfbBaApz"
_TYPES = "varchar, json, bigint, integer, boolean, date, timestamp, decimal(<digits>,<decimals>)"
_TYPE = re.compile(r"varchar|json|bigint|integer|boolean|date|timestamp|decimal\((\d+), ?(\d+)\)")
# A step of a path: a name, a name with other signs in quotes, or a place in a list. The first step is a plain name.
_STEP = rf"(?:\.{PLAIN_STEP}|\['{QUOTED_STEP}'\]|\[\d+\])"
_PATH = re.compile(rf"\$(?!\['){_STEP}+(\[\w+=[^\[\]'=]+\]{_STEP}*)?")


@dataclass(frozen=True)
class Column:
    """One column of a contract; `type` is the dbt data type; an empty `allowed` allows any value."""

    name: str
    type: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    # Whether a value that is not allowed is a warning, and not a reason to refuse the record.
    warns_of_unlisted: bool = False
    excluded: tuple[str, ...] = ()
    min: str | None = None
    max: str | None = None
    pattern: str | None = None
    personal: bool = False
    # The connection with the key of its hash, which is published in its place.
    hashed_with: str | None = None
    description: str = ""
    # What the source calls it, if that is another name; the first of several that has a value. `$.a.b` is a path in a line.
    source_names: tuple[str, ...] = ()
    # The source's columns whose texts it is made of, with a blank between them, such as a date and a time.
    joined: tuple[str, ...] = ()
    # How the source writes its times: "iso", one of EPOCHS, EXCEL, or a pattern such as "%d.%m.%Y"; the first one that fits.
    time_formats: tuple[str, ...] = ("iso",)
    # The time zone of times that do not say theirs.
    timezone: str = "UTC"
    # The signs in its numbers.
    decimal: str = "."
    thousands: str = ""
    # What may stand before or behind a number, such as a currency's sign.
    symbols: tuple[str, ...] = ()
    # Whether its numbers are percentages: 12.5% is 0.125.
    is_percent: bool = False
    # The texts that mean that there is no value.
    missing: tuple[str, ...] = ()
    # What to read for other texts: pairs of a value and the texts that mean it, or patterns between slashes.
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    # The kinds of JSON value that a line may have here, where the type's own are too few.
    json_types: tuple[str, ...] = ()
    # Whether it is a whole number made of the source's text, which identifies a record and is no number.
    is_hash: bool = False
    # Whether it is no column of the source, but says which row this is: by content, and a number among equal rows.
    is_row_id: bool = False
    # The value of every record, where the source does not say it, such as the currency of a shop that has one.
    constant: str | None = None
    # Whether the source is known not to have it: no warning that it is missing.
    is_absent: bool = False
    # Which values play a part that models know by another name.
    roles: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def is_plain_number(self) -> bool:
        """Whether the source writes its numbers as SQL does."""
        return (
            not (self.values or self.missing or self.thousands or self.symbols or self.is_percent or self.is_hash)
            and self.decimal == "."
        )

    @property
    def is_at_source(self) -> bool:
        """Whether the source is to have it."""
        return not self.is_row_id and not self.is_absent and self.constant is None

    @property
    def at_source(self) -> tuple[str, ...]:
        """The names that it may have at the source, or those of its parts."""
        return self.joined or self.source_names or (self.name,)


def read_column(column: dict[str, Any], path: Path, dataset: str) -> Column:
    """Read a column of a contract from its YAML."""
    name = column.get("name")
    if name in (None, "") or "data_type" not in column:
        raise bad(path, f"{dataset}.{name or 'columns'}", "needs a name and a data_type")
    name = text_of(name, path, f"{dataset}.columns")
    reader = Fields(read_meta(column, path, f"{dataset}.{name}"), path, f"{dataset}.{name}")
    reader.only(META)
    data_type = str(column["data_type"])
    match = _TYPE.fullmatch(data_type)
    if not match or (match[1] and not 0 <= int(match[2]) <= int(match[1]) <= 38):
        raise bad(path, f"{reader.name}.data_type", f"is {data_type}, and must be one of: {_TYPES}")
    _check_type(reader, data_type)
    low, high = (_value(reader, name, data_type) if reader.has(name) else None for name in ("min", "max"))
    if low is not None and high is not None and in_order(low, data_type) > in_order(high, data_type):
        raise bad(path, f"{reader.name}.min", f"is {low}, over max: {high}")
    if reader.has("unlisted") and (not reader.has("allowed") or reader.one_of("unlisted", ("warn", "refuse")) == ""):
        raise bad(path, f"{reader.name}.unlisted", "needs a list of `allowed` values")
    decimal, thousands = (_sign(reader, name) if reader.has(name) else None for name in ("decimal", "thousands"))
    if (decimal or ".") == thousands:
        raise bad(path, f"{reader.name}.thousands", f"is {thousands!r}, which separates the decimals")
    return Column(
        name=name,
        type=data_type,
        required=reader.flag("required"),
        allowed=_values(reader, "allowed", data_type),
        warns_of_unlisted=reader.has("unlisted") and reader.text("unlisted") == "warn",
        excluded=_values(reader, "excluded", data_type),
        min=low,
        max=high,
        pattern=reader.text_or_none("pattern"),
        personal=reader.flag("personal"),
        hashed_with=_hashed_with(reader, data_type),
        source_names=read_names(reader) if reader.has("from") else (),
        joined=_joined(reader, data_type) if reader.has("join") else (),
        time_formats=_time_formats(reader) if reader.has("time_format") else ("iso",),
        timezone=_timezone(reader) if reader.has("timezone") else "UTC",
        decimal=decimal or ".",
        thousands=thousands or "",
        symbols=_symbols(reader) if reader.has("symbol") else (),
        is_percent=reader.flag("percent"),
        missing=_texts(reader, "missing") if reader.has("missing") else (),
        values=_texts_by_name(reader, "values", data_type),
        json_types=_json_types(reader) if reader.has("json_types") else (),
        constant=_value(reader, "constant", data_type) if reader.has("constant") else None,
        is_absent=reader.flag("absent"),
        is_hash=reader.flag("hash"),
        is_row_id=reader.flag("row_id"),
        roles=_roles(reader, data_type),
        description=" ".join(str(column.get("description", "")).split()),
    )


def read_meta(entry: dict[str, Any], path: Path, field: str) -> dict[Any, Any]:
    """Return the `config: {meta: …}` of a table or column; refuse fields that belong in it but stand beside it."""
    misplaced = [name for name in ("meta", *META) if name in entry]
    if misplaced:
        raise bad(path, f"{field}.{misplaced[0]}", "must be under config: {meta: …}: it has no effect here")
    return mapping(mapping(entry.get("config"), path, f"{field}.config").get("meta"), path, f"{field}.config.meta")


def in_order(value: str, data_type: str) -> Any:
    """Convert a bound of a type to a value that can be compared; ValueError if it is not of that type."""
    if data_type == "date":
        return date.fromisoformat(value)
    if data_type in ("bigint", "integer") or data_type.startswith("decimal"):
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("nan")
        if not number.is_finite():
            raise ValueError(f"{value} is no number")
        return number
    return value


# The fields that only some types can have.
_TYPES_OF: Mapping[str, tuple[str, ...]] = {
    "time_format": ("timestamp", "date"),
    "timezone": ("timestamp",),
    "join": ("timestamp", "varchar", "bigint"),
    "decimal": ("decimal", "bigint", "integer"),
    "thousands": ("decimal", "bigint", "integer"),
    "symbol": ("decimal", "bigint", "integer"),
    "percent": ("decimal",),
    "roles": ("varchar",),
    "hash": ("bigint",),
    "row_id": ("varchar", "bigint"),
}


def _hashed_with(reader: Fields, data_type: str) -> str | None:
    if not reader.has("hashed_with"):
        return None
    if data_type != "varchar" or not reader.flag("personal"):
        raise bad(reader.path, f"{reader.name}.hashed_with", "is for a varchar that is `personal: true`")
    return reader.text("hashed_with")


def _check_type(reader: Fields, data_type: str) -> None:
    for field, types in _TYPES_OF.items():
        if reader.has(field) and not data_type.startswith(types):
            raise bad(
                reader.path, f"{reader.name}.{field}", f"is for a {' or '.join(types)}, and this is a {data_type}"
            )
    for alone in ("row_id", "constant", "absent"):
        beside = [field for field in _OF_THE_SOURCE if field != alone and reader.has(field)]
        if reader.has(alone) and beside:
            what = f"has no effect beside {alone}: the source has no such column"
            raise bad(reader.path, f"{reader.name}.{beside[0]}", what)


def _joined(reader: Fields, data_type: str) -> tuple[str, ...]:
    """Read `join`: the columns of the source that make one value."""
    names = read_names(reader, "join")
    if reader.has("from"):
        raise bad(reader.path, f"{reader.name}.from", "has no effect beside join, which names the source's columns")
    if reader.meta.get("hash") is not True and data_type == "bigint":
        raise bad(reader.path, f"{reader.name}.join", "of a bigint needs `hash: true`: two numbers do not make one")
    if len(names) < 2 or not isinstance(reader.meta["join"], list):
        raise bad(reader.path, f"{reader.name}.join", "must list two columns or more, such as [date, time]")
    if reader.flag("personal"):
        raise bad(reader.path, f"{reader.name}.personal", "is for a column of the source, and this is made of several")
    return names


def read_names(reader: Fields, of: str = "from") -> tuple[str, ...]:
    """Read `from`, or another field: what the source calls a column, or a list of such names."""
    value, field = reader.meta[of], f"{reader.name}.{of}"
    names = [text_of(name, reader.path, field) for name in (value if isinstance(value, list) else [value])]
    for name in names:
        if not name.strip() or set(name) & {'"', "\\"} or not name.isprintable():
            raise bad(reader.path, field, f"is {name!r}: a name is printable, and has no quotation mark or backslash")
        if is_path(name) and not _PATH.fullmatch(name):
            raise bad(
                reader.path,
                field,
                f"is {name!r}: write a path in a line as $.context.page, $.items[0].id, $.params[key=page].value, or $.properties['utm.source']",
            )
    if not names:
        raise bad(reader.path, field, "is empty: name what the source calls the column, or leave it out")
    return tuple(names)


def _time_formats(reader: Fields) -> tuple[str, ...]:
    formats = _texts(reader, "time_format")
    field = f"{reader.name}.time_format"
    for one in formats:
        named = re.findall(r"%(.?)", one)
        unknown = [f"%{name}" for name in named if not name or name not in DIRECTIVES]
        if one != "iso" and one not in _COUNTS and not named:
            raise bad(
                reader.path,
                field,
                f"is {one!r}: use iso, {', '.join(_COUNTS)}, or a pattern such as %d.%m.%Y %H:%M{guess(one, _COUNTS)}",
            )
        if unknown:
            known = " ".join(f"%{name}" for name in DIRECTIVES)
            raise bad(reader.path, field, f"has {unknown[0]}, which is not read. Known are: {known}")
        if named and not {"Y", "y"} & set(named):
            raise bad(reader.path, field, f"is {one!r}, which has no year")
    return formats


def _timezone(reader: Fields) -> str:
    name = reader.text("timezone")
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise bad(reader.path, f"{reader.name}.timezone", f"is {name!r}: use a name such as Europe/Berlin") from None
    return name


def _sign(reader: Fields, field: str) -> str:
    """Read the sign between the digits of a number. YAML writes a blank as ' '."""
    value = text_of(reader.meta[field], reader.path, f"{reader.name}.{field}")
    if value not in {".", ",", "'", "\u2019", " ", "\u00a0", "\u202f", "_"} or (
        field == "decimal" and value not in ".,"
    ):
        raise bad(reader.path, f"{reader.name}.{field}", f"is {value!r}, which does not separate digits")
    return value


def _symbols(reader: Fields) -> tuple[str, ...]:
    """Read what may stand beside a number: no part of a number itself, which could then be read in two ways."""
    symbols = _texts(reader, "symbol")
    for one in symbols:
        if not one.strip() or one != one.strip() or re.search(r"[\d.,+%'_-]", one):
            what = (
                f"is {one!r}, and must be a sign or a word without digits, marks or blanks around it, such as $ or EUR"
            )
            raise bad(reader.path, f"{reader.name}.symbol", what)
    return symbols


def _json_types(reader: Fields) -> tuple[str, ...]:
    types = _texts(reader, "json_types")
    for one in types:
        if one not in JSON_TYPES:
            what = f"is {one}, and must be some of {', '.join(JSON_TYPES)}{guess(one, JSON_TYPES)}"
            raise bad(reader.path, f"{reader.name}.json_types", what)
    return types


def _texts(reader: Fields, field: str) -> tuple[str, ...]:
    """Read a text, or a list of texts."""
    value, name = reader.meta[field], f"{reader.name}.{field}"
    texts = tuple(text_of(one, reader.path, name) for one in (value if isinstance(value, list) else [value]))
    if not texts:
        raise bad(reader.path, name, "is empty: give it a value, or leave it out")
    return texts


def _texts_by_name(reader: Fields, field: str, data_type: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Read a mapping from a value to the source's texts for it."""
    if not reader.has(field):
        return ()
    given = mapping(reader.meta[field], reader.path, f"{reader.name}.{field}")
    inner = Fields(
        {_value_name(key, data_type): value for key, value in given.items()}, reader.path, f"{reader.name}.{field}"
    )
    seen: dict[str, str] = {}
    for name in inner.meta:
        for text in _texts(inner, name):
            if other := seen.get(text):
                raise bad(reader.path, f"{reader.name}.{field}", f"says that {text!r} is both {other} and {name}")
            seen[text] = name
            read_pattern(reader, field, text)
            if field == "values" and (used := groups_in(name)):
                _check_groups(reader, field, text, max(used))
    return tuple((name, _texts(inner, name)) for name in inner.meta)


def _roles(reader: Fields, data_type: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    roles = _texts_by_name(reader, "roles", data_type)
    for role, _ in roles:
        if role not in ROLES:
            what = f"has {role}, which no model asks for{guess(role, ROLES)}. Known are: {', '.join(ROLES)}"
            raise bad(reader.path, f"{reader.name}.roles", what)
    return roles


def _value_name(key: object, data_type: str) -> str:
    return str(key).lower() if isinstance(key, bool) and data_type == "boolean" else str(key)


def groups_in(value: str) -> list[int]:
    """List the groups of a pattern that a value is made of, each written as a backslash and its number."""
    return [int(number) for number in re.findall(r"\\(\d)", value)]


def _check_groups(reader: Fields, field: str, text: str, last: int) -> None:
    groups = re.compile(text[1:-1]).groups if is_pattern(text) else 0
    if groups < last:
        what = f"is made of group {last} of {text}, which has {groups}: write a pattern such as '\\1': '/(\\d+)[.]0/'"
        raise bad(reader.path, f"{reader.name}.{field}", what)


def read_pattern(reader: Fields, field: str, text: str) -> None:
    """Refuse a text between slashes that is no pattern."""
    if is_pattern(text):
        try:
            re.compile(text[1:-1])
        except re.error as error:
            raise bad(
                reader.path, f"{reader.name}.{field}", f"has the pattern {text}, which is wrong: {error}"
            ) from None


def is_pattern(text: str) -> bool:
    """Say whether a text of `values` is a pattern, and not the text itself."""
    return len(text) > 2 and text.startswith("/") and text.endswith("/")


def _values(reader: Fields, field: str, data_type: str) -> tuple[str, ...]:
    if not reader.has(field):
        return ()
    values = reader.meta[field]
    if not isinstance(values, list) or not values:
        raise bad(reader.path, f"{reader.name}.{field}", f"must be a list of values, not {values!r}")
    return tuple(_value(reader, field, data_type, value) for value in values)


def _value(reader: Fields, field: str, data_type: str, value: object = None) -> str:
    """Return a value of a column as text. YAML's own idea of it counts where the column has that type, and nowhere else."""
    value = reader.meta[field] if value is None else value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if data_type == "boolean" and isinstance(value, bool):
        return str(value).lower()
    if not (number and data_type.startswith(("bigint", "integer", "decimal"))) and not (
        isinstance(value, date) and data_type in ("date", "timestamp")
    ):
        text_of(value, reader.path, f"{reader.name}.{field}")
    try:
        in_order(str(value), data_type)
    except ValueError as error:
        raise bad(reader.path, f"{reader.name}.{field}", f"is no {data_type}: {error}") from None
    return str(value)
