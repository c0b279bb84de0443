"""Map the names of a source's columns to those in bronze's Parquet.

A source's columns may have any names. SQL ignores the case of names, and bronze has columns of its own: if a source's
name clashes with either, the Parquet column gets another name, which the manifest records.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

RECORD_NO = "record_no"
IS_DELETED = "is_deleted"
NOT_UTF8 = "not_utf8"
BAD_ROW = "bad_row"
BRONZE_BATCH = "bronze_batch"
# The names that a path may have as they are, and those that it may have in quotes. `=` is the sign of a search in a list, and
# dbt reads braces as a template.
PLAIN_STEP = r"[\w@$:-]+"
QUOTED_STEP = r"[^'\"\\={}]+"
_QUOTED = re.compile(rf"\['({QUOTED_STEP})'\]")
_NAMED = re.compile(rf"\.({PLAIN_STEP})|{_QUOTED.pattern}")
# A step of a path that looks for an object in a list.
_SEARCH = re.compile(r"\[(\w+)=([^\]]+)\]")
# Bronze's own Parquet columns: the record's number, whether the row says that its key is gone, the exact bytes of values
# that are not UTF-8, the raw row of a file where it could not be split into columns, and in a file of several batches the
# batch of the record. `bronze_file` is the name under which readers of bronze see the file's name.
BRONZE_OWN = (RECORD_NO, IS_DELETED, NOT_UTF8, BAD_ROW, BRONZE_BATCH, "bronze_file")

# The columns that Clearwell adds to the contract's on the way from bronze to records.
RECORDS_OWN = (
    *(RECORD_NO, IS_DELETED, NOT_UTF8, "batch_id", "record_date", "window_date", "landed_at", "fate", "decision"),
    *("reasons", "raw", "source_file", "source_line", "money_amount", "money_currency", "is_money_read", "is_selected"),
    *("bronze_row", "kinds", "lenient", "unreadable", "content_md5", "key_hash", "place", "copy"),
)
# The words that DuckDB does not accept as a column's name, from its duckdb_keywords().
_SQL_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create default
    deferrable desc describe distinct do else end except false fetch for foreign from group having in initially intersect
    into lambda lateral leading limit not null offset on only or order pivot pivot_longer pivot_wider placing primary
    qualify references returning select show some summarize symmetric table then to trailing true union unique unpivot
    using variadic when where window with anti asof at authorization binary by collation columns concurrently cross freeze
    full generated glob ilike inner is isnull join left like map natural notnull outer overlaps positional right semi
    similar struct tablesample try_cast unpack verbose
    """,
    )
)


def unfit(name: str, names: Iterable[str] = ()) -> str:
    """Return why a contract's column cannot have its name among the others; empty if it can.

    A source may name a column anything. A contract's names are used in models, beside Clearwell's own columns.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return "is not a plain name: use letters, digits and _, and say what the source calls it in `from`"
    if name.lower() in RECORDS_OWN or name.lower() in {f"text_{other}".lower() for other in names}:
        return "is a column that Clearwell adds: use another name, and say what the source calls it in `from`"
    if name.lower() in _SQL_WORDS:
        return "is an SQL keyword: use another name, and say what the source calls it in `from`"
    return ""


def physical_names(columns: Iterable[str]) -> dict[str, str]:
    """Return the Parquet name of each column of a source, in order: its own name if nothing clashes with it.

    Of names that differ only by case, the lower-case one keeps its name. The names do not depend on the columns' order.
    """
    columns = list(columns)
    taken = {fold(name) for name in BRONZE_OWN}
    names: dict[str, str] = {}
    for name in sorted(columns, key=lambda name: (name != name.lower(), name)):
        if fold(name) not in taken:
            taken.add(fold(name))
            names[name] = name
    for name in sorted(columns):
        number = 2
        while name not in names:
            other = f"{name}_{number}"
            number += 1
            if fold(other) not in taken:
                taken.add(fold(other))
                names[name] = other
    return {name: names[name] for name in columns}


def renamed(columns: Iterable[str]) -> dict[str, str]:
    """Return the columns whose Parquet name differs from the source's name. The manifest holds them."""
    return {name: physical for name, physical in physical_names(columns).items() if name != physical}


def source_columns(wanted: Mapping[str, Sequence[str]], columns: Iterable[str]) -> Mapping[str, str]:
    """Map each name of a contract to a column of the source, by the names that the source may have for it, the first one first.

    A column matches a name exactly, or else if it is the only one that differs from it by case. What matches none is left out.
    """
    columns = list(columns)
    by_fold = {fold(name): name for name in columns}
    spelled = Counter(map(fold, columns))
    meant: dict[str, str] = {}
    for name, candidates in wanted.items():
        for one in candidates:
            if one in columns or spelled[fold(one)] == 1:
                meant[name] = one if one in columns else by_fold[fold(one)]
                break
    return meant


def is_path(name: str) -> bool:
    """Say whether a name at the source is a path into a line, such as $.context.page."""
    return name.startswith(("$.", "$["))


def path_of(name: str) -> str:
    """Return a name at the source as a path for JSON functions."""
    return _QUOTED.sub(r'."\1"', name) if is_path(name) else f'$."{name}"'


def step(name: str) -> str | None:
    """Return a name as a step of a path; None if no path can have it."""
    if re.fullmatch(PLAIN_STEP, name):
        return f".{name}"
    return f"['{name}']" if re.fullmatch(QUOTED_STEP, name) and name.isprintable() and name.strip() else None


def steps_of(path: str) -> tuple[str, ...]:
    """Return the names of a path that has no others, such as $.order.lines; none of any other path."""
    found = re.fullmatch(rf"\$(\.{PLAIN_STEP}(?:\.{PLAIN_STEP}|\['{QUOTED_STEP}'\])*)", path)
    return tuple(plain or quoted for plain, quoted in _NAMED.findall(found[1])) if found else ()


def is_path_of_list(path: str) -> bool:
    """Say whether `each` may have a path: of names alone, or `$`, the line itself."""
    return path == "$" or bool(steps_of(path))


def top_of(path: str) -> str:
    """Return the name at the top of a line that a path begins with."""
    return re.split(r"[.\[]", path, maxsplit=2)[1]


def text_in_raw(names: Sequence[str], raw: str = "raw") -> str:
    """Return SQL for the text of a refused record under the first of these names that it has. `raw` is a JSON object."""
    found = [_at(name, raw) for name in names]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def _at(name: str, raw: str) -> str:
    """Return SQL for the text at a name or path, as the macro `in_line` does."""
    if is_path(name) and (searched := _SEARCH.search(name)):
        before, after = (
            path_of(name[: searched.start()]),
            path_of(f"${name[searched.end() :]}") if searched.end() < len(name) else "$",
        )
        return (
            f"json_extract_string(list_filter(from_json(json_extract({raw}, '{before}'), '[\"JSON\"]'),"
            f" lambda one: json_extract_string(one, '$.\"{searched[1]}\"') = '{searched[2]}')[1], '{after}')"
        )
    return f"json_extract_string({raw}, '{path_of(name).replace(chr(39), chr(39) * 2)}')"


def fold(name: str) -> str:
    """Normalize a name, so that names which an SQL engine may treat as equal become equal."""
    return name.lower().casefold()
