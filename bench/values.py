"""Compare the gold tables of two database files: exits with 1, naming the tables, if any value differs.

python -m bench.values A.duckdb B.duckdb
python -m bench.values A.duckdb B.duckdb --only daily_revenue daily_traffic
"""

import argparse
import sys
from collections.abc import Collection
from pathlib import Path

import duckdb


def main() -> None:
    """Print what differs between the two files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--only", nargs="+", default=(), metavar="TABLE", help="default: all tables of both files")
    options = parser.parse_args()
    found = differences(options.first, options.second, options.only)
    equal = f"{', '.join(options.only)}: equal" if options.only else f"all {count(options.first)} gold tables are equal"
    print("\n".join(found) or equal)
    sys.exit(bool(found))


def differences(first: Path, second: Path, only: Collection[str] = ()) -> list[str]:
    """Return a line per gold table that only one file has, or whose columns or rows differ; a row counts as often as it occurs.

    `only` are the tables to compare, each of which must be there; without it, all tables of both files.
    """
    with duckdb.connect() as db:
        for name, path in (("a", first), ("b", second)):
            db.execute(f"attach '{path}' as {name} (read_only)")
        tables = {name: _gold(db, name) for name in ("a", "b")}
        if not any(tables.values()):
            return ["there are no gold tables"]
        found = []
        for table in sorted(only or tables["a"].keys() | tables["b"].keys()):
            columns, others = tables["a"].get(table), tables["b"].get(table)
            if columns is None and others is None:
                found.append(f"{table}: in neither file")
            elif columns is None or others is None:
                found.append(f"{table}: only in {first if others is None else second}")
            elif columns != others:
                odd = sorted({name for name, _ in columns.items() ^ others.items()})
                found.append(f"{table}: other columns or types: {', '.join(odd)}")
            elif any(counts := _unmatched(db, table, list(columns))):
                found.append(f"{table}: rows only in {first}: {counts[0]:,}, only in {second}: {counts[1]:,}")
    return found


def count(path: Path) -> int:
    """Return the number of gold tables in a file."""
    with duckdb.connect() as db:
        db.execute(f"attach '{path}' as a (read_only)")
        return len(_gold(db, "a"))


def _gold(db: duckdb.DuckDBPyConnection, name: str) -> dict[str, dict[str, str]]:
    """Return the columns of each gold table, with their types."""
    rows = db.sql(f"""
        select table_name, column_name, data_type from duckdb_columns() where database_name = '{name}' and schema_name = 'gold'
    """).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        tables.setdefault(table, {})[column] = kind
    return tables


def _unmatched(db: duckdb.DuckDBPyConnection, table: str, columns: list[str]) -> tuple[int, int]:
    """Return how many rows of each side the other one lacks. Columns are matched by name."""
    listed = ", ".join(f'"{column}"' for column in columns)
    left, right = (f"select {listed} from {name}.gold.{table}" for name in ("a", "b"))
    (counts,) = db.sql(f"""
        select (select count(*) from ({left} except all {right})), (select count(*) from ({right} except all {left}))
    """).fetchall()
    return counts


if __name__ == "__main__":
    main()
