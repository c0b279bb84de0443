"""Compare what a build says it restated with the differences between the tables before and after it."""

from datetime import date, datetime
from decimal import Decimal

import duckdb

from ingestion.home import Home
from warehouse.build import Request, build
from warehouse.lineage import read_gold

Cells = dict[tuple[str, str], tuple[date, dict[str, Decimal | None]]]


def build_and_compare(home: Home, request: Request, now: datetime) -> None:
    """Build, and compare what the build says it restated with how the tables changed."""
    given = restated_tables(home)
    if build(home, request, now).plan:
        assert restatements(home) == sorted(differences(given, restated_tables(home)))


def restated_tables(home: Home) -> Cells:
    """Read every gold table that has a date: each row's date and measures, by table and grain."""
    cells: Cells = {}
    if not home.state.exists():
        return cells
    with duckdb.connect(str(home.state), read_only=True) as state:
        for _, model in read_gold():
            meta, table = model["config"]["meta"], model["name"].removeprefix("gold_")
            if "date" in meta:
                names = [one["name"] for one in model["columns"] if one["name"] not in meta["grain"]]
                values = ", ".join(f"{name}::decimal(38, 4)" for name in names)
                grain = f"trim(concat_ws(' ', {', '.join(meta['grain'])}))"
                for key, day, *row in state.sql(
                    f"select {grain}, {meta['date']}, {values} from gold.{table}"
                ).fetchall():
                    cells[table, key] = (day, dict(zip(names, row, strict=True)))
    return cells


def differences(given: Cells, made: Cells) -> list[tuple]:
    """List each measure that changed, on the dates for which its table had rows before."""
    dates = {(table, day) for (table, _), (day, _) in given.items()}
    found = []
    for table, key in {*given, *made}:
        day, before = given.get((table, key), (None, {}))
        later, after = made.get((table, key), (day, {}))
        if (table, later) in dates:
            found += [
                (table, str(later), key, name, str(before.get(name)), str(after.get(name)))
                for name in before | after
                if before.get(name) != after.get(name)
            ]
    return found


def restatements(home: Home) -> list[tuple]:
    """Read what the last build says it restated."""
    with duckdb.connect(str(home.state), read_only=True) as state:
        rows = state.sql("""
            select gold_table, gold_date, row_key, measure, value_before, value_after from ops.restatements
            where build_id = (select max_by(build_id, build_number) from ops.builds)
        """).fetchall()
    return sorted((*row[:1], *map(str, row[1:])) for row in rows)
