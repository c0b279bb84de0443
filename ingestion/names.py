"""Map the names of a source's columns to those in bronze's Parquet.

A source may name a column anything. SQL resolves names without case, and bronze has columns of its own: where a
source's name would clash with either, the Parquet column gets another name, and the manifest says which.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

RECORD_NO = "record_no"
IS_DELETED = "is_deleted"
NOT_UTF8 = "not_utf8"
BAD_ROW = "bad_row"
# The Parquet columns that are bronze's: the number of the record, whether the row says that its key is gone, the exact
# bytes of what is not UTF-8, and a row of a file as it came where it could not be cut into columns. `bronze_file` is
# what the readers call the file's name.
BRONZE_OWN = (RECORD_NO, IS_DELETED, NOT_UTF8, BAD_ROW, "bronze_file")

# What stands beside the contract's columns on the way from bronze to records.
RECORDS_OWN = (
    *(RECORD_NO, IS_DELETED, NOT_UTF8, "batch_id", "record_date", "window_date", "landed_at", "fate", "decision"),
    *("reasons", "raw", "source_file", "source_line", "money_amount", "money_currency", "is_money_read"),
    *("bronze_row", "kinds", "lenient", "unreadable", "content_md5", "key_hash", "place", "copy"),
)
# The words that DuckDB takes for no column, as its duckdb_keywords() says.
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

    A source may name a column anything. A contract's names are typed in models, beside our own.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return "is no plain name: give letters, digits and _, and let the source have a view that names it so"
    if name.lower() in RECORDS_OWN or name.lower() in {f"text_{other}".lower() for other in names}:
        return "is the name of a column of ours: take another, and let the source have a view that names it so"
    if name.lower() in _SQL_WORDS:
        return "is a word of SQL: take another name, and let the source have a view that names it so"
    return ""


def physical_names(columns: Iterable[str]) -> dict[str, str]:
    """Return the Parquet name of each column of a source, in order: its own name if nothing clashes with it.

    Of names that differ by case alone the one in lower case keeps its own. The order of the columns changes no name.
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


def source_columns(wanted: Iterable[str], columns: Iterable[str]) -> Mapping[str, str]:
    """Map each name of a contract to a column of the source: the exact one, or else the only one that differs by case.

    A name that no column has, or that several have in other cases, means none and is left out.
    """
    columns = list(columns)
    by_fold = {fold(name): name for name in columns}
    spelled = Counter(map(fold, columns))
    meant = {name: name if name in columns else by_fold.get(fold(name), "") for name in wanted}
    return {name: column for name, column in meant.items() if column and (column == name or spelled[fold(name)] == 1)}


def fold(name: str) -> str:
    """Normalise a name, so that names which an SQL engine may treat as equal become equal."""
    return name.lower().casefold()
