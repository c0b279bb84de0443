"""A planted home at its worst: hundreds of open findings, names that are long, foreign or markup, thousands of dead letters."""

import duckdb

from ingestion.home import Home
from tests.unit.operations.planted import LAST_BUILD, MARKUP

LONG = "a_dataset_with_a_name_that_somebody_gave_it_who_never_had_to_read_it_in_a_table_" + "x" * 120
RIGHT_TO_LEFT = "الطلبات من المتجر الجديد \u202e reversed"
NAMES = (
    LONG,
    f"{MARKUP}\"'><b>bold",
    RIGHT_TO_LEFT,
    "🛒🧾 orders 👨‍👩‍👧‍👦",
    "ein wirklich sehr langer Name mit vielen Wörtern " * 4,
)
_LISTED = ", ".join("'" + one.replace("'", "''") + "'" for one in NAMES)
_PUBLISHED = f"""
    alter table ops.batches alter counted_by_source type bigint;
    alter table ops.batches alter records_written type bigint;
    alter table ops.ledger alter records type bigint;
    alter table ops.restatements alter value_after type decimal(38, 4);
    alter table ops.restatements alter difference type decimal(38, 4);
    create temp table names as select name from unnest([{_LISTED}]) as t (name);
    create temp table many as select name || case number when 0 then '' else ' ' || number end as name, number from names, range(8) as t (number);
    insert into ops.completeness
    select name, timestamp '2025-11-27', timestamp '2026-11-20', timestamp '2026-11-27', 17, 250, [date '2026-11-01', date '2026-11-02'] from many;
    insert into ops.gold_completeness select 'gold ' || name, [name, 'orders'], timestamp '2026-11-20', null from many;
    insert into ops.batches
    select name, md5(name || day), name, cast(day as timestamp), day + interval 1 day, day, day + interval 26 hours, 12345678901, 12345678901
    from many, (select cast(d as date) as day from range(timestamp '2026-09-01', timestamp '2026-11-27', interval 1 day) as t (d));
    insert into ops.ledger
    select dataset, batch_id, window_date, unnest(['current', 'superseded', 'duplicate', 'dead_letter', 'withdrawn']), unnest([12345678901, 1, 2, 3, 4]),
        null, false, null
    from ops.batches where dataset in (select name from many);
    insert into ops.findings
    select
        '{LAST_BUILD}', name || ' check ' || number || ' of ' || other, case other % 3 when 0 then 'warn' else 'fail' end, 1234567 * other,
        'something about ' || name || ' that takes a long sentence to say, and another one. Next: clearwell builds accept ' || name || ' --reason TEXT',
        $examples, case other % 3 when 0 then '' else 'alert' end
    from many, range(12) as t (other);
    insert into ops.held
    select name, md5(name || n), timestamp '2026-11-01', timestamp '2026-11-01 01:00', 61, 100, 'refused_records ' || name, md5(name || n), true
    from many, range(6) as t (n);
    insert into ops.anomalies
    select name || ':purchase_per_checkout_sessions:day:' || day, name, 0.25, 12345678.123456, 1.0, -9999999.5, cast(day as timestamp), true, false
    from many, (select cast(d as date) as day from range(timestamp '2026-11-20', timestamp '2026-11-27', interval 1 day) as t (d));
    insert into ops.restatements
    select '{LAST_BUILD}', 'gold ' || name, date '2026-11-20', 'key', 'net_usd', 1.0, 98765432109876.5, 98765432109875.5, true from many;
    update ops.builds set reason = '{LONG}' || reason where build_number > (select max(build_number) - 3 from ops.builds);
"""
_STATE = f"""
    create temp table names as select name from unnest([{_LISTED}]) as t (name);
    insert into silver.dead_letters
    select name, ['bad value ' || n % 60 || ' of ' || name, 'missing:' || name], date '2026-11-01' + cast(n % 28 as integer), 'raw'
    from names, range(1500) as t (n);
"""


def uglify(home: Home) -> None:
    """Add what is ugly to a planted home."""
    row = ", ".join(f'{{"order_id": "{"o" * 60}{n}", "dataset": "orders", "count": {n}}}' for n in range(40))
    for path, script in ((home.published, _PUBLISHED), (home.state, _STATE)):
        with duckdb.connect(str(path)) as connection:
            connection.execute(script.replace("$examples", f"'[{row}]'"))
