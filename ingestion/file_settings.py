"""The settings of a source of kind `file`: where its files are, and how a CSV is written."""

import calendar
import codecs
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ingestion.fields import Fields, bad, guess, items, mapping, text_of
from ingestion.names import is_path_of_list
from ingestion.sftp_servers import connection_in


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written. `quote` is None if nothing is quoted; `header` holds the columns of files without a header line."""

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()


COMMAS = Dialect()
_FORMS = {"date": "%Y-%m-%d", "year": "%Y", "month": "%m", "day": "%d", "hour": "%H"}


def _milliseconds(at: datetime) -> str:
    """Write when the day of a time begins, in milliseconds since 1970."""
    return str(calendar.timegm(at.date().timetuple()) * 1000)


# How each date part of a location writes a time in UTC.
PARTS: Mapping[str, Callable[[datetime], str]] = {
    **{part: f"{{:{form}}}".format for part, form in _FORMS.items()},
    "milliseconds": _milliseconds,
}
# Each of these says a day.
_DAYS = frozenset({"date", "milliseconds"})
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_PART = re.compile(r"(?<!\$)\{([^{}:]*)\}")


@dataclass(frozen=True)
class Files:
    """Where the files of a `file` source are (`location`), and how they are written.

    `unpivot` names the three columns of one that has a column per kind, `csv` how a CSV differs from commas and quotes, and
    `each` the path of the list in a line of which each element is a record.
    """

    location: str
    unpivot: tuple[str, ...] = ()
    csv: Dialect = COMMAS
    each: str = ""

    @property
    def connection(self) -> str | None:
        """The name of the connection that the location names, if it is one of SFTP by name."""
        return connection_in(expanded(self.location, lambda _name: ""))


def expanded(location: str, missing: Callable[[str], str]) -> str:
    """Return a location with the values of its variables; `missing` gives that of one that is not set, or raises."""
    return _VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[2] or missing(found[1]), location)


def parts_of(location: str) -> set[str]:
    """Return the names of a location's date parts."""
    return set(_PART.findall(location))


def is_of_days(location: str) -> bool:
    """Say whether each day, or each hour, has files of its own."""
    return bool(parts_of(location) & {"day", *_DAYS})


def wrong_parts(location: str) -> str:
    """Say what is wrong with a location's date parts; empty if nothing is."""
    found = parts_of(location)
    for name in sorted(found - set(PARTS)):
        known = ", ".join(f"{{{one}}}" for one in PARTS)
        return f"has the part {{{name}}}, which is not known{guess(name, PARTS) or '.'} Known are: {known}"
    needs = {"hour": "day", "day": "month", "month": "year"}
    for name, larger in needs.items():
        if name in found and not {larger, *_DAYS} & found:
            return f"has {{{name}}} without {{{larger}}}: it would be read again and again"
    return ""


def read_files(reader: Fields, columns: list[str]) -> Files:
    """Read the settings of a contract."""
    location = reader.text("location")
    if wrong := wrong_parts(location):
        raise bad(reader.path, f"{reader.name}.location", wrong)
    of_rows = [field for field in ("unpivot", "csv") if reader.has(field)]
    if of_rows and reader.text("format") == "json_lines":
        raise bad(reader.path, f"{reader.name}.{of_rows[0]}", "says how rows are written, but the format is json_lines")
    return Files(
        location,
        _unpivot(reader, columns) if reader.has("unpivot") else (),
        _dialect(reader) if reader.has("csv") else COMMAS,
        _each(reader) if reader.has("each") else "",
    )


def _each(reader: Fields) -> str:
    path = reader.text("each")
    if reader.text("format") != "json_lines":
        raise bad(reader.path, f"{reader.name}.each", "is for lines of JSON: rows have no lists")
    if not is_path_of_list(path):
        what = f"is {path}, and must be the path of a list by its names, such as $.line_items or $.order.lines, or $ of a line that is a list"
        raise bad(reader.path, f"{reader.name}.each", what)
    return path


def _dialect(reader: Fields) -> Dialect:
    name = f"{reader.name}.csv"
    csv = Fields(mapping(reader.meta["csv"], reader.path, name), reader.path, name)
    csv.only(("delimiter", "quote", "escape", "encoding", "header"))
    quote = None if csv.meta.get("quote") == "none" else _sign(csv, "quote", COMMAS.quote)
    delimiter, escape = _sign(csv, "delimiter", COMMAS.delimiter) or "", _sign(csv, "escape", None)
    signs = [sign for sign in (delimiter, quote, escape) if sign]
    if len(set(signs)) < len(signs) and quote != escape:
        raise bad(reader.path, f"{name}.delimiter", "must differ from the quote and the escape")
    return Dialect(delimiter, quote, escape, _encoding(csv), _header(csv) if csv.has("header") else ())


def _sign(reader: Fields, field: str, default: str | None) -> str | None:
    """Read one character. YAML writes a tab as "\\t", in double quotes."""
    if not reader.has(field):
        return default
    sign = text_of(reader.meta[field], reader.path, f"{reader.name}.{field}")
    if len(sign) != 1 or sign in "\r\n\0":
        also = ', or "none" if nothing is quoted' if field == "quote" else ' (a tab is "\\t", in double quotes)'
        raise bad(reader.path, f"{reader.name}.{field}", f"must be one character{also}, not {sign!r}")
    return sign


# Encodings that may hold half of a character as if it were one.
_MORE_THAN_TEXT = ("utf-7", "unicode_escape", "raw_unicode_escape", "unicode-escape", "raw-unicode-escape")


def _encoding(reader: Fields) -> str:
    """Read the name of one of Python's text encodings. One that cannot write line ends one by one is refused."""
    if not reader.has("encoding"):
        return COMMAS.encoding
    name = reader.text("encoding")
    try:
        known = codecs.lookup(name).name
        # UTF-16 and UTF-32 write a mark before each text, unless they are told their order.
        plain = f"{known}-le" if known in ("utf-16", "utf-32") else known
        ends = "\r".encode(plain) + "\n".encode(plain)
        is_right = "\r\n".encode(plain) == ends and ends.decode(plain) == "\r\n" and known not in _MORE_THAN_TEXT
    except (LookupError, ValueError):
        is_right = False
    if not is_right:
        what = f"is {name!r}, which is no text encoding: name one that Python knows, such as utf-8, latin-1, cp1252, utf-16"
        raise bad(reader.path, f"{reader.name}.encoding", what)
    return name


def _header(reader: Fields) -> tuple[str, ...]:
    field = f"{reader.name}.header"
    names = [text_of(name, reader.path, field).strip() for name in items(reader.meta["header"], reader.path, field)]
    if not names or "" in names or len(set(names)) < len(names):
        raise bad(reader.path, field, "must list the names of all columns in order, each once")
    return tuple(names)


def _unpivot(reader: Fields, columns: list[str]) -> tuple[str, ...]:
    names = reader.names("unpivot", columns)
    if len(set(names)) != 3 or len(names) != 3:
        raise bad(reader.path, f"{reader.name}.unpivot", "must name three columns: of dates, of kinds, of values")
    return names
