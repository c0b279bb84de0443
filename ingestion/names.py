"""The names of a source's columns, and the names they have in bronze's Parquet.

A source may name a column anything. SQL resolves names without case, and bronze has columns of its own: where a
source's name would clash with either, the Parquet column gets another name, and the manifest says which.
"""

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


def physical_names(columns: Iterable[str]) -> dict[str, str]:
    """Return the Parquet name of each column of a source, in order: its own, where that clashes with nothing.

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
    """Return only the columns that have another name in Parquet than at the source. Part of the manifest."""
    return {name: physical for name, physical in physical_names(columns).items() if name != physical}


def source_columns(wanted: Iterable[str], columns: Iterable[str]) -> Mapping[str, str]:
    """Say which column of a source each name of a contract means: the exact one, else the only one that differs by case.

    A name that no column has, or that several have in other cases, means none and is left out.
    """
    columns = list(columns)
    by_fold = {fold(name): name for name in columns}
    spelled = Counter(map(fold, columns))
    meant = {name: name if name in columns else by_fold.get(fold(name), "") for name in wanted}
    return {name: column for name, column in meant.items() if column and (column == name or spelled[fold(name)] == 1)}


def fold(name: str) -> str:
    """Write a name so that names which any SQL engine may take for the same become the same."""
    return name.lower().casefold()
