"""Read what the control room shows: from the published file, its ops tables, and a few facts that cost nothing.

Nothing personal is read, and no raw record: of the rows behind a finding only columns that are known to say nothing of a
person are kept. All lists are bounded, so that a year of history takes no longer than a day.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb

from ingestion.contract import Contract, read_contracts, source_ends
from ingestion.errors import ClearwellError, Permanent
from ingestion.home import Home
from operations import ledger, markup
from operations.status import late_datasets
from warehouse import service_levels, state
from warehouse.audit import last_refused
from warehouse.lineage import read_gold, read_lineage
from warehouse.plan import Build
from warehouse.publish import Pin, pinned

# A chart has at most this many days, and a table of dates this many.
YEAR, LISTED = 366, 60
# The first rows of a finding.
ROWS = 3
# So long after the last complete date, missing dates are drawn as missing.
_MISSING = timedelta(days=31)
# Columns of the rows behind a finding that hold counts, dates, and names that Clearwell or a contract gives. All others may hold what a
# record holds.
_SAFE_COLUMNS = """
    anomaly batch_id broken_batch_id build_id cause check_name column_name contents copies counted_by_source currency current_records
    dataset event_date expected fate fates_difference gold_amount_difference gold_date gold_difference gold_table keys landed_at
    landed_records lines measure moved odd_rows order_date record_date record_no records records_difference records_with_a_fate
    records_written refused_records score session_date source_difference source_records what window_end window_start
"""
_SHOWN = frozenset(_SAFE_COLUMNS.split())
# Shown where it is a number: a measure, and no value of a record.
_NUMBERS = frozenset(["value"])


@dataclass(frozen=True)
class Finding:
    """A check that failed or warns, and the first rows behind it, without what may be personal or raw."""

    build_id: str
    check_name: str
    result: str
    failed_rows: int
    consequence: str
    message: str
    rows: tuple[Mapping[str, Any], ...] = ()
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True)
class Day:
    """One date of a chart. A value is missing where nothing is known; a `mark` says why the numbers are not the whole ones."""

    date: date
    values: Mapping[str, float | None]
    mark: str = ""


@dataclass(frozen=True)
class Room:
    """Everything that the page shows. The rows of `tables` are those of the queries, by name."""

    at: datetime
    tables: Mapping[str, Sequence[state.Row]]
    late: tuple[str, ...]
    findings: tuple[Finding, ...]
    pin: Pin | None
    # None if the state could not be read: another process changes it.
    refused: Sequence[state.Row] | None
    days: Mapping[str, Sequence[Day]]
    traces: Mapping[str, str] = field(default_factory=dict)
    gold: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused_build: str = ""
    # The seconds of each model, by build; without the builds whose files are gone.
    models: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def read(home: Home, now: datetime) -> Room:
    """Read what the page shows. Permanent if nothing is published."""
    if not home.published.exists():
        raise Permanent(
            "nothing is published yet",
            where=str(home.published),
            todo="clearwell run --from DATE --to DATE; or clearwell build, if batches have landed",
        )
    contracts = read_contracts()
    with state.connect(home.published) as connection:
        there = _tables(connection)
        found = {name: _rows(connection, there, *query) for name, query in _QUERIES.items()}
        found["gold"] = _gold_rows(connection, there)
        found["ledger"], found["money"] = _accounts(connection, there)
        measures = service_levels.read(connection, contracts, now)
    ends = source_ends(contracts)
    refused_build, stopped = _refused_build(home)
    personal = {column.name for one in contracts.values() for column in one.columns if column.personal}
    keys = {name for one in contracts.values() for name in one.key}
    allowed = frozenset(name for name in _SHOWN | keys if name not in personal)
    lineage = {name: one.datasets for name, one in read_lineage().items()}
    said = {model["name"].removeprefix("gold_"): model["config"]["meta"] for _, model in read_gold()}
    gold = {name: lineage.get(name) or ((meta["dataset"],) if "dataset" in meta else ()) for name, meta in said.items()}
    return Room(
        at=now,
        tables=found,
        late=tuple(late_datasets(service_levels.measure(measures, contracts, ends, now))),
        findings=(*stopped, *(_finding(row, allowed) for row in found["findings"])),
        pin=pinned(home),
        refused=_refused(home),
        days={
            name: _days(
                found[name],
                values,
                next((row for row in found["gold_completeness"] if row["gold_table"] == table), None),
                found["completeness"],
                _until(ends, contracts, now),
            )
            for name, (table, values) in _CHARTS.items()
        },
        traces=_traces(lineage, said),
        gold=gold,
        refused_build=refused_build,
        models=dict(_models(home, [row["build_id"] for row in found["builds"]])),
    )


def _tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    query = "select table_schema, table_name from information_schema.tables"
    return {f"{schema}.{name}" for schema, name in connection.execute(query).fetchall()}


def _rows(
    connection: duckdb.DuckDBPyConnection, there: set[str], needs: tuple[str, ...], query: str
) -> list[state.Row]:
    """Run a query if its tables exist: a file may be older than one of them."""
    return state.rows(connection, query) if there.issuperset(needs) else []


def _accounts(connection: duckdb.DuckDBPyConnection, there: set[str]) -> tuple[list[state.Row], list[state.Row]]:
    """Return the fates of each dataset, and the currencies whose money does not add up."""
    if not there.issuperset(("ops.batches", "ops.batch_dates", "ops.ledger")):
        return [], []
    fates = state.rows(connection, ledger.SUMMARY, [None])
    money = state.rows(connection, ledger.MONEY, [None])
    return [row for row in fates if row["dataset"] not in markup.OURS], [row for row in money if row["difference"]]


def _gold_rows(connection: duckdb.DuckDBPyConnection, there: set[str]) -> list[state.Row]:
    names = sorted(name.removeprefix("gold.") for name in there if name.startswith("gold."))
    query = " union all ".join(f"select '{name}' as name, count(*) as rows from gold.{name}" for name in names)
    return state.rows(connection, f"{query} order by name") if names else []


def _refused_build(home: Home) -> tuple[str, tuple[Finding, ...]]:
    """Return the build that was refused after the published one, and what stopped it: by name alone, as messages may name data."""
    build = last_refused(home)
    if build is None:
        return "", ()
    failed = [one for one in json.loads(build.verdict.read_text()) if one["consequence"] == "stopped"]
    return build.build_id, tuple(
        Finding(build.build_id, one["check_name"], one["result"], one["failed_rows"], "stopped", "") for one in failed
    )


def _models(home: Home, builds: Iterable[str]) -> Iterator[tuple[str, dict[str, float]]]:
    for build_id in builds:
        with suppress(OSError, ValueError):
            yield build_id, json.loads(Build(home, build_id).times.read_text())


def _refused(home: Home) -> list[state.Row] | None:
    try:
        return state.read(home.state, "silver.dead_letters", _DEAD_LETTERS)
    except (ClearwellError, duckdb.Error):
        return None


def _finding(row: state.Row, allowed: frozenset[str]) -> Finding:
    kept, hidden = shown(row["examples"], allowed)
    told = {name: value for name, value in row.items() if name not in ("examples", "of_all", "failing")}
    return Finding(**told, rows=tuple(kept), hidden=tuple(hidden))


def shown(examples: str | None, allowed: frozenset[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows behind a finding with the columns that may be shown, and the names of those that are left out."""
    try:
        rows = [row for row in json.loads(examples or "[]") if isinstance(row, dict)]
    except ValueError:
        rows = []
    kept, hidden = [], set()
    for row in rows[:ROWS]:
        may = {
            name: value
            for name, value in row.items()
            if name in allowed or (name in _NUMBERS and isinstance(value, int | float))
        }
        hidden |= row.keys() - may.keys()
        if may:
            kept.append(may)
    return kept, sorted(hidden)


def _until(ends: Mapping[str, datetime | None], contracts: Mapping[str, Contract], now: datetime) -> dict[str, date]:
    """Return the last date that each dataset of a source should have by now: yesterday, or the last one of a source that has ended."""
    found = {}
    for name, contract in contracts.items():
        if contract.source in ends:
            end = ends[contract.source]
            through = min(now, end) if end else now
            found[name] = through.astimezone(UTC).date() - timedelta(days=1)
    return found


def _days(
    rows: Sequence[state.Row],
    values: Iterable[str],
    table: state.Row | None,
    completeness: Sequence[state.Row],
    until: Mapping[str, date],
) -> list[Day]:
    """Return one day per date, at most a year: 0 on a complete date without a row, nothing on one that is not complete.

    `table` is the row of ops.gold_completeness; without it, no date is known to be complete.
    """
    datasets = table["datasets"] if table else ()
    by_date = {row["day"]: row for row in rows}
    of = [row for row in completeness if row["dataset"] in datasets]
    whole = [row["complete_from"] for row in of if row["complete_from"]]
    if not by_date:
        return []
    start = max(whole, default=datetime.combine(min(by_date), datetime.min.time()))
    # a dataset without a single whole window leaves no date complete
    end = (table["complete_until"] if table else None) or start
    due = max((until[name] for name in datasets if name in until), default=(end - timedelta(days=1)).date())
    last = max(*by_date, (end - timedelta(days=1)).date(), min(due, (end + _MISSING).date()))
    first = max(min(by_date), last - timedelta(days=YEAR - 1))
    unreconciled = {one for row in of for one in row["unreconciled_dates"] or ()}
    found = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        opened = datetime.combine(day, datetime.min.time())
        is_complete = start <= opened and opened + timedelta(days=1) <= end
        row = by_date.get(day)
        mark = "incomplete" if row else "not here yet"
        found.append(
            Day(
                day,
                {
                    name: _value(row[name]) if row else 0.0 if is_complete and name not in _SHARES else None
                    for name in values
                },
                "" if is_complete and day not in unreconciled else "not reconciled" if is_complete else mark,
            )
        )
    return found


def _value(value: Any) -> float | None:
    return None if value is None else float(value)


def _traces(lineage: Mapping[str, Sequence[str]], said: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return, by dataset, the command that lists the records behind a date of gold, with {date} for the date."""
    found: dict[str, str] = {}
    # first the tables that the page draws
    drawn = [table for table, _ in _CHARTS.values() if table in lineage]
    for table in dict.fromkeys([*drawn, *lineage]):
        column = said[table].get("date")
        if column in said[table]["grain"]:
            for dataset in lineage[table]:
                found.setdefault(dataset, f"clearwell trace --gold {table} --where \"{column} = '{{date}}'\"")
    return found


_OURS = ", ".join(f"'{name}'" for name in markup.OURS)
# The charts of gold: the table, and the columns of the query that are drawn.
_CHARTS = {
    "revenue": ("daily_revenue", ("net_usd", "orders", "lines_without_usd")),
    "traffic": ("daily_traffic", ("events",)),
    "funnel": ("daily_funnel", ("sessions", "cart", "checkout", "purchase")),
}
# Of nothing there is no share.
_SHARES = frozenset(["cart", "checkout", "purchase"])
_LAST_BUILDS = "(select build_id from ops.builds order by build_number desc limit 10)"
_SINCE = f"(select max(started_at) - interval {YEAR} days from ops.runs)"
_FATE_SUMS = ", ".join(
    f"coalesce(sum(records) filter (where fate = '{fate}'), 0)::bigint as {fate}" for fate in markup.FATES
)
# Each query with the tables that it needs.
_QUERIES: dict[str, tuple[tuple[str, ...], str]] = {
    "builds": (
        ("ops.builds",),
        "select * from ops.builds order by build_number desc limit 10",
    ),
    # All stages of a build begin when it is planned.
    "stages": (
        ("ops.builds", "ops.runs"),
        f"""
        select builds.build_id, stage, sum(seconds) as seconds
        from ops.builds as builds
        inner join ops.runs as runs
            on builds.planned_at = runs.started_at and coalesce(runs.of_build_id, builds.build_id) = builds.build_id and runs.stage <> 'ingest'
        where builds.build_id in {_LAST_BUILDS}
        group by all
        """,
    ),
    "checks": (
        ("ops.builds", "ops.findings"),
        f"""
        select build_id, count(*) filter (where result = 'fail') as failed, count(*) filter (where result = 'warn') as warned
        from ops.findings where build_id in {_LAST_BUILDS} group by build_id
        """,
    ),
    "findings": (
        ("ops.builds", "ops.findings"),
        """
        select
            build_id, check_name, result, failed_rows, consequence, message, examples,
            count(*) over () as of_all, count(*) filter (where result = 'fail' and consequence <> 'accepted') over () as failing
        from ops.findings
        where result <> 'pass' and build_id = (select max_by(build_id, build_number) from ops.builds)
        order by result, consequence desc, check_name
        limit 50
        """,
    ),
    "completeness": (
        ("ops.completeness",),
        "select * from ops.completeness order by dataset",
    ),
    "gold_completeness": (
        ("ops.gold_completeness",),
        "select * from ops.gold_completeness order by gold_table",
    ),
    "sources": (
        ("ops.batches",),
        """
        select dataset, max_by(source, landed_at) as source
        from ops.batches where source not in ('corrections', 'decisions') group by dataset
        """,
    ),
    "unbalanced": (
        ("ops.reconciliation",),
        """
        select dataset, record_date from ops.reconciliation
        where fates_difference <> 0 or coalesce(gold_difference, 0) <> 0 or coalesce(gold_amount_difference, 0) <> 0
        order by all limit 20
        """,
    ),
    # Dates after the last window are those of records with a wrong clock.
    "dates": (
        ("ops.completeness", "ops.ledger", "ops.reconciliation"),
        f"""
        with dated as (
            select
                dataset, record_date, sum(records)::bigint as records, {_FATE_SUMS}
            from ops.ledger
            where dataset not in ({_OURS})
            group by dataset, record_date
        ),

        placed as (
            select
                dated.*,
                record_date > cast(latest_window_end as date) as is_later,
                row_number() over (
                    partition by dataset, record_date > cast(latest_window_end as date) order by record_date desc nulls last
                ) as place
            from dated
            left join ops.completeness using (dataset)
        ),

        named as (
            select
                * exclude (record_date, is_later, place),
                case when not coalesce(is_later, false) and place <= {LISTED} then record_date end as record_date,
                case
                    when record_date is null then 'without a date'
                    when is_later then 'after the last window'
                    when place > {LISTED} then 'before these dates'
                end as others
            from placed
        )

        select
            dataset, record_date, others, sum(records)::bigint as records,
            {", ".join(f"sum({fate})::bigint as {fate}" for fate in markup.FATES)},
            any_value(source_difference) as source_difference, any_value(gold_difference) as gold_difference,
            coalesce(bool_or(is_held), false) as is_held
        from named
        left join ops.reconciliation using (dataset, record_date)
        group by dataset, record_date, others
        order by dataset, record_date desc nulls last, others
        """,
    ),
    "held": (
        ("ops.held",),
        """
        select
            dataset, batch_id, window_start, window_end, refused_records, records, cause, count(*) over () as of_all
        from ops.held
        where is_open
        order by batch_id <> broken_batch_id, dataset, window_start
        limit 40
        """,
    ),
    "held_records": (
        ("ops.held",),
        "select dataset, sum(records)::bigint as records from ops.held where is_open group by dataset",
    ),
    "restatements": (
        ("ops.builds", "ops.restatements"),
        f"""
        select
            build_id, gold_table, count(distinct row_key)::bigint as changed, min(gold_date) as first_date, max(gold_date) as last_date,
            count(distinct row_key) filter (where is_late)::bigint as late, sum(difference) filter (where measure = 'net_usd') as net_usd,
            count(*) over () as of_all
        from ops.restatements
        where build_id in {_LAST_BUILDS}
        group by build_id, gold_table
        order by build_id desc, gold_table
        limit 40
        """,
    ),
    "anomalies": (
        ("ops.anomalies",),
        """
        select anomaly, value, expected, score, is_alert, is_accepted, count(*) over () as of_all
        from ops.anomalies
        order by period_start desc, abs(score) desc nulls last, anomaly
        limit 30
        """,
    ),
    "lag": (
        ("ops.runs",),
        f"""
        select cast(started_at as date) as day, source as name, min(epoch(started_at - window_end)) / 3600 as value
        from ops.runs
        where stage = 'ingest' and result = 'ok' and window_end is not null and started_at > {_SINCE}
        group by all
        order by all
        """,
    ),
    # The datasets of a landing share its seconds.
    "throughput": (
        ("ops.runs",),
        f"""
        with stages as (
            select started_at, stage, source, of_build_id, sum(records) as records, max(seconds) as seconds
            from ops.runs
            where result = 'ok' and stage <> 'plan' and started_at > {_SINCE}
            group by all
        )

        select cast(started_at as date) as day, stage as name, sum(records) / nullif(sum(seconds), 0) as value
        from stages
        where records > 0
        group by all
        order by all
        """,
    ),
    "errors": (
        ("ops.completeness", "ops.ledger"),
        f"""
        select
            record_date as day, dataset as name,
            100 * coalesce(sum(records) filter (where fate = 'dead_letter'), 0)::double / sum(records) as value
        from ops.ledger
        inner join ops.completeness using (dataset)
        where
            dataset not in ({_OURS})
            and record_date between cast(latest_window_end as date) - {YEAR} and cast(latest_window_end as date)
        group by record_date, dataset
        having sum(records) > 0
        order by all
        """,
    ),
    "failures": (
        ("ops.runs",),
        """
        select stage, coalesce(source, '') as source, result, count(*) as runs, max(started_at) as last
        from ops.runs
        where result <> 'ok' and started_at > (select max(started_at) - interval 30 days from ops.runs)
        group by all
        order by last desc
        limit 20
        """,
    ),
    "revenue": (
        ("gold.daily_revenue",),
        f"""
        select
            order_date as day, sum(net_usd) as net_usd, sum(orders)::bigint as orders, sum(lines_without_usd)::bigint as lines_without_usd
        from gold.daily_revenue group by order_date order by order_date desc limit {YEAR}
        """,
    ),
    "traffic": (
        ("gold.daily_traffic",),
        f"select event_date as day, sum(events)::bigint as events from gold.daily_traffic group by event_date order by event_date desc limit {YEAR}",
    ),
    "funnel": (
        ("gold.daily_funnel",),
        f"""
        select
            session_date as day, sum(sessions)::bigint as sessions, 100 * sum(cart_sessions) / sum(sessions) as cart,
            100 * sum(checkout_sessions) / sum(sessions) as checkout, 100 * sum(purchase_sessions) / sum(sessions) as purchase
        from gold.daily_funnel group by session_date order by session_date desc limit {YEAR}
        """,
    ),
}
_DEAD_LETTERS = """
    select
        dataset, reason, count(*) as records, min(record_date) as first_date, max(record_date) as last_date, count(*) over () as of_all
    from silver.dead_letters, unnest(reasons) as reasons (reason)
    group by dataset, reason order by records desc, dataset, reason limit 40
"""
