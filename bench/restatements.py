"""Measure how the state grows while a day is restated every day: its bytes, and how many of them are free.

Builds are made without dbt and applied as real ones are: only the apply writes to the state.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from ingestion.home import Home
from warehouse import state
from warehouse.apply import change_tables
from warehouse.dbt import Change
from warehouse.plan import Build

FIRST = date(2026, 1, 1)
# A table of records, where each key of a date is replaced, and one of gold, where the date is.
_RECORDS = """
    select md5('{day}' || n) as event_id, date '{day}' as record_date, '{batch}' as batch_id, n as record_no, 'current' as fate,
        md5('{day}' || n || 'visitor' || {version}) as visitor_id, 'page_view' as event_type, {version} as version,
        ['https://shop.example/' || n % 50] as urls
    from range({rows}) as made (n)
"""
_GOLD = "select record_date, event_type, count(*) as events, max(version) as version from records.clicks group by all"


@dataclass(frozen=True)
class Size:
    """The state after some builds."""

    builds: int
    file_bytes: int
    free_share: float
    rows: int


def simulate(folder: Path, days: int, rows: int, restatements: int, look_every: int) -> Iterator[Size]:
    """Land a history day by day, then restate one day of it after another; yield the size of the state every few builds."""
    home = Home(folder, folder / "landing")
    with state.connect(home.state, read_only=False) as connection:
        connection.execute("create schema ops; create table ops.builds (build_id varchar, build_number bigint)")
    builds = [(number, 0) for number in range(days)]
    # the last month is restated most often
    builds += [((days - 1 - number % 30) % days, number + 1) for number in range(restatements)]
    for number, (day, version) in enumerate(builds, 1):
        _apply(_made(home, number, FIRST + timedelta(days=day), version, rows))
        if number == days or number % look_every == 0 or number == len(builds):
            yield measure(home.state, number)


def measure(path: Path, builds: int) -> Size:
    """Measure a state."""
    with state.connect(path) as connection:
        usage = state.rows(connection, "select total_blocks, free_blocks from pragma_database_size()")[0]
        rows = state.rows(connection, "select count(*) as rows from records.clicks")[0]["rows"]
    return Size(builds, path.stat().st_size, usage["free_blocks"] / max(usage["total_blocks"], 1), rows)


def _made(home: Home, number: int, day: date, version: int, rows: int) -> Build:
    build = Build(home, f"{number:06}")
    build.folder.mkdir(parents=True)
    with state.connect(build.file, read_only=False) as connection:
        connection.execute("create schema records; create schema gold; create schema plan; create schema ops")
        select = _RECORDS.format(day=day, batch=build.build_id, version=version, rows=rows)
        connection.execute(f"create table records.clicks as {select}")
        connection.execute(f"create table gold.events as {_GOLD}")
        connection.execute("create table plan.keys as select event_id, record_date from records.clicks")
        connection.execute("create table plan.dates as select distinct record_date from records.clicks")
        connection.execute(
            f"create table ops.builds as select '{build.build_id}' as build_id, {number} as build_number"
        )
    return build


def _apply(build: Build) -> None:
    with state.connect(build.file) as connection:
        changes = [
            _change(connection, "records", "clicks", "keys", ("event_id", "record_date")),
            _change(connection, "gold", "events", "dates", ("record_date",)),
        ]
    with state.writing(build.home.state) as connection:
        change_tables(connection, build, changes)
    state.drop(build.file)


def _change(connection: duckdb.DuckDBPyConnection, schema: str, table: str, match: str, by: tuple[str, ...]) -> Change:
    columns = {row["column_name"]: row["column_type"] for row in state.rows(connection, f"describe {schema}.{table}")}
    return Change(
        model=f"{schema}_{table}",
        schema=schema,
        table=table,
        match_schema="plan",
        match_table=match,
        by={name: name for name in by},
        columns=tuple(columns),
        types=tuple(columns.values()),
        view_sql="",
        is_published=False,
    )


def main() -> None:
    """Print the sizes."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--days", type=int, default=365)
    options.add_argument("--rows", type=int, default=2_000, help="records per day")
    options.add_argument("--restatements", type=int, default=365)
    options.add_argument("--every", type=int, default=73)
    given = options.parse_args()
    print(f"{'builds':>8} {'MB':>8} {'free':>6} {'rows':>10}")
    with TemporaryDirectory() as folder:
        for size in simulate(Path(folder), given.days, given.rows, given.restatements, given.every):
            print(
                f"{size.builds:>8} {size.file_bytes / 1e6:>8.1f} {size.free_share:>6.0%} {size.rows:>10,}", flush=True
            )


if __name__ == "__main__":
    main()
