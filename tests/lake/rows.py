"""Compare two states, or published files, row by row."""

from pathlib import Path

from ingestion import database

# Tables about builds, not about records: two machines end a build at different times.
ABOUT_BUILDS = {("ops", "builds"), ("ops", "findings"), ("ops", "runs")}


def rows_that_differ(one: Path, other: Path) -> dict[str, tuple[int, int]]:
    """Return the numbers of rows that only one of them has, by table. Each may be a file or name a lake."""
    found = {}
    with database.connect(one) as connection, database.attached(connection, other, "other"):
        listed = "select schema_name, table_name from duckdb_tables() where schema_name in ('records', 'silver', 'gold', 'ops')"
        here, there = (
            {*connection.execute(f"{listed} and database_name = {name}").fetchall()}
            for name in ("current_database()", "'other'")
        )
        assert here == there and len(here) > 10
        for schema, table in sorted(here - ABOUT_BUILDS):
            counts = [
                connection.execute(f"select count(*) from (from {left} except all from {right})").fetchall()[0][0]
                for left, right in (
                    (f"{schema}.{table}", f"other.{schema}.{table}"),
                    (f"other.{schema}.{table}", f"{schema}.{table}"),
                )
            ]
            if any(counts):
                found[f"{schema}.{table}"] = (counts[0], counts[1])
    return found


def types(path: Path) -> dict[tuple[str, str, str], str]:
    """Return the types of the columns of a file."""
    query = """
        select schema_name, table_name, column_name, data_type from duckdb_columns()
        where database_name = current_database() and not internal
    """
    with database.connect(path) as connection:
        return {(schema, table, column): kind for schema, table, column, kind in connection.execute(query).fetchall()}
