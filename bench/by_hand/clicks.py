"""Make the clicks: valid, without duplicates, in sessions."""

import json
from collections.abc import Mapping

import duckdb

from bench.by_hand.columns import CLICK
from bench.by_hand.job import Job
from bench.by_hand.values import READERS, is_suspicious, listed

PARQUET = "(format parquet, compression zstd, compression_level 1)"
EVENT_TYPES = [
    "page_view",
    "click",
    "search",
    "ad_impression",
    "add_to_cart",
    "remove_from_cart",
    "checkout",
    "purchase",
]
EMPTY_IS_MISSING = ("customer_id", "product_id", "order_id", "campaign", "country")
# Numbers of many digits and names of no number are where DuckDB's JSON is lenient.
DOUBTFUL = r"[0-9.]{17}|[nN][aA][nN]|[nN][fF]"
# The JSON types that a key may have, besides text and null.
JSON_TYPES = {"quantity": ["BIGINT", "UBIGINT"], "properties": ["OBJECT"]}


def parse_clicks(db: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Make `good`, a view of the valid lines.

    A line that reads back byte for byte has no key twice, no unknown key, no text that was a number, and nothing that
    DuckDB reads too leniently. Only the others are looked at closely.
    """
    shape = json.dumps({name: "JSON" if name in JSON_TYPES else "VARCHAR" for name in CLICK})
    texts = {"quantity": "quantity_text"}
    typed = ", ".join(
        f"{READERS.get(kind, '{}').format(texts.get(name, name))} as {name}" for name, kind in CLICK.items()
    )
    db.execute(f"""
        create temp table parsed as
        with lines as (
            select file, raw, from_json(case when json_valid(raw) then raw end, '{shape}') as line
            from read_parquet('{job.lines}/*.parquet')
        ),

        opened as (
            select
                file, raw, line.* exclude (quantity), line.quantity::varchar as quantity_text,
                raw is not null and line is not null and coalesce(to_json(line) || chr(10) = raw, false)
                    and coalesce(left(line.properties::varchar, 1) = '{{', true)
                    and not coalesce(regexp_matches(line.properties::varchar, '{DOUBTFUL}'), false) as is_exact
            from lines
        )

        select
            file, {typed},
            unit_price is not null as has_price, quantity_text is not null as has_quantity,
            is_exact, case when not is_exact then raw end as raw
        from opened
    """)
    valid = f"""
        event_id <> '' and event_type in ({listed(EVENT_TYPES)}) and visitor_id <> '' and event_time <= {job.latest()}
        and (not has_quantity or quantity <> 0) and (not has_price or unit_price is not null)
    """
    look_closely(db, valid)
    columns = ", ".join(CLICK)
    db.execute(f"""
        create temp view good as
        select file, {columns}, cast(event_time as date) as event_date from parsed where is_exact and {valid}
        union all
        select file, {columns}, cast(event_time as date) from close_look
    """)


def look_closely(db: duckdb.DuckDBPyConnection, valid: str) -> None:
    """Make `close_look`, the valid lines among those that do not read back as they were: other orders of keys, spaces, unknown keys."""
    paths = ", ".join(f"'$.{name}'" for name in CLICK)
    fitting = " and ".join(
        f"coalesce(kinds[{number}] in ('NULL', {listed(JSON_TYPES.get(name, ['VARCHAR']))}), true)"
        for number, name in enumerate(CLICK, 1)
    )
    db.execute(rf"""
        create temp table close_look as
        with looked_at as (
            select
                *, json_type(raw, [{paths}]) as kinds, json_keys(raw) as keys,
                regexp_replace(raw, '"([^"\\]|\\.)*"', '""', 'g') as without_texts
            from parsed
            where not is_exact and raw is not null and json_valid(raw) and json_type(raw) = 'OBJECT'
        )

        select file, {", ".join(CLICK)}
        from looked_at
        where
            {valid} and {fitting}
            and (len(keys) = list_count(kinds) or len(list_distinct(keys)) = len(keys))
            and not regexp_matches(without_texts, ',\s*[\]}}]|(?i)[:,\[]\s*[+-]?(nan|inf)')
            and len(list_filter(regexp_extract_all(without_texts, '[0-9]+\.[0-9]+'), lambda number: len(number) > 16)) = 0
    """)


def keep_clicks(db: duckdb.DuckDBPyConnection, job: Job, lines: Mapping[str, int]) -> None:
    """Make `silver.clickstream`: of lines with the same id and date, the one with the greatest content."""
    held = held_hours(db, lines)
    entering = f"left(file, 13) not in ({listed(held)})" if held else "true"
    kept = ", ".join(f"nullif({name}, '') as {name}" if name in EMPTY_IS_MISSING else name for name in CLICK)
    content = f"md5(concat({', '.join(f'canonical({name})' for name in CLICK)}))"
    db.execute(f"""
        create temp table repeated as
        select hash(event_id, event_date) as key_hash from good where {entering} group by key_hash having count(*) > 1
    """)
    db.execute(f"""
        copy (
            with contested as (
                select * from good where {entering} and hash(event_id, event_date) in (select key_hash from repeated)
            ),

            won as (
                select * from contested
                qualify row_number() over (partition by event_id, event_date order by {content} desc) = 1
            )

            select {kept}, event_date from good
            where {entering} and hash(event_id, event_date) not in (select key_hash from repeated)
            union all
            select {kept}, event_date from won
        ) to '{job.silver_clicks}' {PARQUET}
    """)
    db.execute("drop view good; drop table parsed; drop table close_look; drop table repeated")
    db.execute(f"create view silver.clickstream as select * from '{job.silver_clicks}'")


def held_hours(db: duckdb.DuckDBPyConnection, lines: Mapping[str, int]) -> list[str]:
    """Return the hours, as `2026-11-01/05`, of which too many lines are refused."""
    of_hour: dict[str, int] = {}
    for name, count in lines.items():
        of_hour[name[:13]] = of_hour.get(name[:13], 0) + count
    good = dict(db.sql("select left(file, 13), count(*) from good group by all").fetchall())
    return [hour for hour, count in of_hour.items() if is_suspicious(count - good.get(hour, 0), count)]


def order_clicks(db: duckdb.DuckDBPyConnection) -> None:
    """Make `ordered`: the clicks numbered by visitor and time, in one sort that serves sessions, searches and features.

    "First" and "last" are then of a whole number instead of a time and a text.
    """
    db.execute(f"""
        create temp table ordered as
        select
            visitor_id, event_time, event_date, event_id, cast(event_type as enum({listed(EVENT_TYPES)})) as event_type,
            country, campaign, customer_id, product_id, case when event_type = 'search' then search_query end as search_query,
            row_number() over by_time as place,
            coalesce(event_time - lag(event_time) over by_time > interval 30 minutes, false) as is_after_gap
        from silver.clickstream
        window by_time as (partition by visitor_id order by event_time, event_id)
    """)


def make_sessions(db: duckdb.DuckDBPyConnection) -> None:
    """Make `silver.sessions`. One that lasts for more than a day is cut at each midnight."""
    db.execute("""
        create temp table numbered as
        select
            * exclude (is_after_gap, search_query, product_id),
            count(*) filter (where is_after_gap) over (partition by visitor_id order by place rows unbounded preceding) as number
        from ordered
    """)
    db.execute(f"create temp table whole_sessions as {sessions_of('numbered', 'number')}")
    db.execute(f"""
        create table silver.sessions as
        with long as (
            select visitor_id, number from whole_sessions where ended_at - started_at > interval '1 day'
        ),

        clicks_of_long as (
            select numbered.* from numbered semi join long using (visitor_id, number)
        ),

        cut as (
            select *, false as is_cut from whole_sessions where ended_at - started_at <= interval '1 day'
            union all by name
            select * exclude (event_date), true as is_cut from ({sessions_of("clicks_of_long", "number, event_date")})
        )

        select md5(concat_ws(' ', session_date, first_event_id, visitor_id)) as session_id, * exclude (first_event_id, number) from cut
    """)
    db.execute("drop table numbered; drop table whole_sessions")


def sessions_of(clicks: str, by: str) -> str:
    """Return the query of sessions: one row per visitor and `by`."""
    events = ", ".join(f"count(*) filter (where event_type = '{kind}') as {kind}_events" for kind in EVENT_TYPES)
    return f"""
        select
            visitor_id, {by}, cast(min(event_time) as date) as session_date,
            min(event_time) as started_at, max(event_time) as ended_at, min_by(event_id, place) as first_event_id,
            count(*) as events, {events},
            min_by(country, place) filter (where country is not null) as country,
            min_by(campaign, place) filter (where campaign is not null) as campaign,
            case when min(customer_id) = max(customer_id) then min(customer_id) end as customer_id
        from {clicks}
        group by visitor_id, {by}
    """


def link_visitors(db: duckdb.DuckDBPyConnection) -> None:
    """Make `accounts`, the customers each visitor was seen as, and `silver.purchases`, each with the last campaign of a week before it."""
    db.execute("""
        create temp table accounts as
        with seen as (
            select visitor_id, customer_id, min(event_time) as first_seen_at
            from ordered
            where customer_id is not null
            group by visitor_id, customer_id
        )

        select *, count(*) over (partition by visitor_id order by first_seen_at) as accounts_by_then from seen
    """)
    db.execute("""
        create table silver.purchases as
        with bought as (
            select event_date, event_id, event_time as purchased_at, visitor_id, order_id
            from silver.clickstream
            where event_type = 'purchase' and order_id is not null
        ),

        touches as (
            select visitor_id, event_time as touched_at, max_by(campaign, event_id) as campaign
            from ordered
            where campaign is not null and visitor_id in (select visitor_id from bought)
            group by visitor_id, event_time
        )

        select
            bought.*, case when purchased_at - touched_at <= interval '7 days' then touched_at end as touched_at,
            case when purchased_at - touched_at <= interval '7 days' then campaign end as campaign
        from bought
        asof left join touches on bought.visitor_id = touches.visitor_id and bought.purchased_at >= touches.touched_at
    """)
