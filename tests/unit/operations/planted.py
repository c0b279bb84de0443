"""A home whose published file and state are written by hand: a year of history, and everything that a page must not show."""

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ingestion.home import Home

CANARY = "c4n4ry"
MARKUP = "<script>alert(1)</script>"
NOW = datetime(2026, 11, 27, 6, tzinfo=UTC)
LAST_BUILD = "20261127T050000Z-b"
# The clicks are complete up to the 25th, the 20th has no orders, the 24th differs from the source's count.
EXAMPLES = [
    {
        "dataset": "orders",
        "order_id": "o-17",
        "email": f"{CANARY}@shop.example",
        "raw": f'{{"a": "{CANARY}"}}',
        "value": CANARY,
    }
]
_PUBLISHED = f"""
    create schema ops; create schema gold; create schema silver;
    create table days as select cast(day as date) as day from range(timestamp '2025-11-27', timestamp '2026-11-27', interval 1 day) as t (day);
    create table hours as select hour from range(timestamp '2025-11-27', timestamp '2026-11-27', interval 1 hour) as t (hour);

    create table ops.builds as
    select
        strftime(hour + interval 5 hours, '%Y%m%dT%H0000Z-b') as build_id, row_number() over (order by hour) as build_number, '' as base_build_id,
        false as is_full, case when hour = timestamp '2026-11-26 23:00' then 'fixed {MARKUP}' else '' end as reason,
        hour as planned_at, hour + interval 1 minute as audited_at, 3 as batches_entered, 0 as batches_left
    from hours;
    update ops.builds set build_id = '{LAST_BUILD}' where build_number = (select max(build_number) from ops.builds);

    create table ops.completeness as from (values
        ('clickstream', timestamp '2025-11-27', timestamp '2026-11-25', timestamp '2026-11-26', 1, 2, []::date[]),
        ('orders', timestamp '2025-11-27', timestamp '2026-11-27', timestamp '2026-11-27', 0, 0, [date '2026-11-24']),
        ('order_items', timestamp '2025-11-27', timestamp '2026-11-27', timestamp '2026-11-27', 0, 0, []::date[])
    ) as rows (dataset, complete_from, complete_until, latest_window_end, holes, short_windows, unreconciled_dates);

    create table ops.gold_completeness as from (values
        ('daily_funnel', ['clickstream'], timestamp '2026-11-25', null::timestamp),
        ('daily_revenue', ['order_items', 'orders'], timestamp '2026-11-27', timestamp '2026-11-24'),
        ('daily_traffic', ['clickstream'], timestamp '2026-11-25', null)
    ) as rows (gold_table, datasets, complete_until, reconciled_until);

    create table datasets as select unnest(['clickstream', 'orders', 'order_items', 'a <b>dataset</b>', 'decisions']) as dataset;
    create table ops.batches as
    select
        dataset, dataset || strftime(hour, '%Y%m%d%H') as batch_id, case dataset when 'clickstream' then 'clickstream' else 'orders' end as source,
        hour as window_start, hour + interval 1 hour as window_end, cast(hour as date) as window_date, hour + interval 2 hours as landed_at,
        100 as counted_by_source, 100 as records_written
    from datasets, hours;
    create table ops.ledger as
    select
        dataset, batch_id, window_date as record_date, unnest(['current', 'duplicate', 'dead_letter']) as fate, unnest([90, 8, 2]) as records,
        case dataset when 'order_items' then 'EUR' end as currency, dataset = 'order_items' as is_amount_read,
        case dataset when 'order_items' then 1.5::decimal(38, 4) end as amount
    from ops.batches;
    -- a record from the future, and one without a date
    update ops.ledger set record_date = date '2035-01-01' where batch_id = 'orders2026112500' and fate = 'dead_letter';
    update ops.ledger set record_date = null where batch_id = 'orders2026112501' and fate = 'dead_letter';
    create table ops.batch_dates as
    select dataset, batch_id, record_date, currency, is_amount_read, sum(records) as records, sum(amount) as amount from ops.ledger group by all;
    create table ops.reconciliation as
    select
        dataset, day as record_date, 100 as source_records, 0 as fates_difference, 0 as gold_difference, 0::decimal(38, 4) as gold_amount_difference,
        case when dataset = 'orders' and day = date '2026-11-24' then 7 else 0 end as source_difference,
        dataset = 'clickstream' and day = date '2026-11-25' as is_held
    from datasets, days where dataset in ('clickstream', 'orders');

    create table ops.differences (dataset varchar, event_date date, is_accepted boolean);
    create table ops.findings as from (values
        ('{LAST_BUILD}', 'numbers are odd {MARKUP}', 'fail', 1, 'look & see. Next: clearwell status', $examples, 'alert'),
        ('{LAST_BUILD}', 'some_warning', 'warn', 12, 'look', '[]', ''),
        ('{LAST_BUILD}', 'good', 'pass', 0, '', '[]', ''),
        ('20261101T000000Z-b', 'an_old_failure', 'fail', 1, '', '[]', 'alert')
    ) as rows (build_id, check_name, result, failed_rows, message, examples, consequence);
    create table ops.held as from (values
        ('clickstream', 'held-batch', timestamp '2026-11-25', timestamp '2026-11-25 01:00', 61, 100, 'refused_records', 'held-batch', true),
        ('clickstream', 'belongs-to-it', timestamp '2026-11-25', timestamp '2026-11-25 01:00', 0, 50, 'refused_records', 'held-batch', true),
        ('clickstream', 'settled', timestamp '2026-11-01', timestamp '2026-11-01 01:00', 61, 100, 'refused_records', 'settled', false)
    ) as rows (dataset, batch_id, window_start, window_end, refused_records, records, cause, broken_batch_id, is_open);
    create table ops.restatements as
    select
        '{LAST_BUILD}' as build_id, 'daily_revenue' as gold_table, day as gold_date, 'key {CANARY} ' || day as row_key, 'net_usd' as measure,
        1.0::decimal(38, 4) as value_before, 3.0::decimal(38, 4) as value_after, 2.0::decimal(38, 4) as difference, day < date '2026-11-20' as is_late
    from days where day >= date '2026-11-18';
    create table ops.anomalies as
    select
        'gold.daily_funnel:purchases:day:' || day as anomaly, 'clickstream' as dataset, 0.25::double as value, 0.75::double as expected,
        1.0::double as spread, -9.5::double as score, cast(day as timestamp) as period_start, true as is_alert, day < date '2026-11-20' as is_accepted
    from days;
    create table ops.runs as
    select
        'ingest' as stage, source, dataset, null::varchar as of_build_id, window_start, window_end,
        window_end + interval 90 minutes as started_at, 4.0::double as seconds, 100 as records, 5000 as bytes, 'ok' as result
    from ops.batches where dataset in ('clickstream', 'orders', 'order_items')
    union all by name
    select stage, build_id as of_build_id, planned_at as started_at, seconds, 300 as records, 'ok' as result
    from ops.builds, (values ('transform', 12.5), ('audit', 7.25)) as stages (stage, seconds)
    union all by name
    select 'plan' as stage, planned_at as started_at, 1.25 as seconds, 0 as records, 'ok' as result from ops.builds
    union all by name
    select 'ingest' as stage, 'orders' as source, timestamp '2026-11-26 04:00' as started_at, 9.0 as seconds, 0 as records, 'transient' as result;

    create table gold.daily_revenue as
    select
        day as order_date, unnest(['DE', 'US']) as country, 500.25::decimal(38, 4) as net_usd, 10 as orders, 0 as lines_without_usd
    from days where day <> date '2026-11-20';
    create table gold.daily_traffic as
    select day as event_date, unnest(['view', 'cart']) as event_type, 1200 as events from days where day < date '2026-11-26';
    create table gold.daily_funnel as
    select day as session_date, 200 as sessions, 80 as cart_sessions, 40 as checkout_sessions, 20 as purchase_sessions
    from days where day < date '2026-11-26';
    create table silver.customers as select '{CANARY}-1' as customer_id, '{CANARY}@shop.example' as email;
    drop table days; drop table hours; drop table datasets;
"""
_STATE = f"""
    create schema ops; create schema silver;
    create table ops.builds as select '{LAST_BUILD}' as build_id, 1 as build_number;
    create table silver.dead_letters as from (values
        ('clickstream', ['missing:visitor_id', 'broken_json'], date '2026-11-03', '{CANARY}'),
        ('clickstream', ['broken_json'], date '2026-11-05', '{CANARY}'),
        ('clickstream', ['bad {MARKUP}'], null, '{CANARY}')
    ) as rows (dataset, reasons, record_date, raw);
"""


def plant(root: Path) -> Home:
    """Write both files of a home, and return it."""
    home = Home(root, root / "landing")
    home.published.parent.mkdir(parents=True)
    for path, script in ((home.published, _PUBLISHED), (home.state, _STATE)):
        with duckdb.connect(str(path)) as connection:
            connection.execute(script.replace("$examples", "'" + json.dumps(EXAMPLES).replace("'", "''") + "'"))
    return home
