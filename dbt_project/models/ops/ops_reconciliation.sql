-- depends_on: {{ ref('ops_held') }} {{ ref('plan_batches') }} {{ ref('plan_touched') }} {{ ref('plan_keys_source_counts') }} {{ ref('plan_reconciled_amounts') }} {{ ref('plan_order_dates') }} {{ ref('plan_keys_refused') }}
with dates as (
    select * from {{ ref('plan_reconciled') }}
),

rebuilt_dates as (
    select unnest(['orders', 'order_items']) as dataset, order_date as record_date from {{ ref('plan_order_dates') }}
    union
    select dataset, record_date from {{ ref('plan_dates') }} where dataset = 'clickstream'
),

counts as (
    {{ whole('ops_source_counts') }}
),

latest_counts as (
    select * from counts
    qualify counted_at = max(counted_at) over (partition by dataset, event_date)
),

source as (
    select
        dataset,
        event_date as record_date,
        cast(sum(records) as bigint) as source_records,
        cast(sum(landed_records) as bigint) as landed_records,
        sum(abs(amount - coalesce(landed_amount, 0))) as source_amount_difference,
        max(counted_at) as counted_at
    from latest_counts
    group by dataset, event_date
),

bronze as (
    select dataset, record_date, cast(sum(records) as bigint) as bronze_records
    from ({{ whole('ops_batch_dates') }})
    group by dataset, record_date
),

-- batches that landed after a count are not part of it
landings as (
    select dates.dataset, dates.record_date, batches.landed_at
    from ({{ whole('ops_batch_dates') }}) as dates
    inner join ({{ whole('ops_batches') }}) as batches using (batch_id)
    where dates.dataset not in ('order_items', 'clickstream')
    union all
    select 'order_items' as dataset, lines.order_date as record_date, batches.landed_at
    from {{ ref('silver_order_items') }} as lines
    inner join ({{ whole('ops_batches') }}) as batches using (batch_id)
    union all
    select dataset, window_date as record_date, landed_at from ({{ whole('ops_batches') }}) where dataset = 'clickstream'
),

last_landing as (
    select dataset, record_date, max(landed_at) as landed_at from landings group by dataset, record_date
),

fates as (
    select
        dataset,
        record_date,
        {% for fate in ['current', 'superseded', 'duplicate', 'dead_letter', 'withdrawn'] -%}
        cast(coalesce(sum(records) filter (where fate = '{{ fate }}'), 0) as bigint) as {{ fate }}_records{{ ',' if not loop.last }}
        {% endfor %}
    from ({{ whole('ops_ledger') }})
    group by dataset, record_date
),

orders_with_lines as (
    select distinct order_id from {{ ref('silver_order_items') }} where is_known_order
),

silver as (
    select
        'orders' as dataset,
        order_date as record_date,
        count(*) as silver_records,
        count(*) filter (where status = 'cancelled') as cancelled_records,
        count(*) filter (where coalesce(status, '') <> 'cancelled' and order_id not in (select order_id from orders_with_lines)) as unmatched_records,
        count(*) filter (where not {{ is_an_order('status') }} and order_id in (select order_id from orders_with_lines)) as credit_note_records
    from {{ ref('silver_orders') }}
    group by order_date
    union all
    select
        'order_items' as dataset,
        order_date as record_date,
        count(*) as silver_records,
        count(*) filter (where order_status = 'cancelled') as cancelled_records,
        count(*) filter (where not is_known_order) as unmatched_records,
        0 as credit_note_records
    from {{ ref('silver_order_items') }}
    group by order_date
    union all
    select 'clickstream' as dataset, event_date as record_date, count(*) as silver_records, 0 as cancelled_records, 0 as unmatched_records, 0 as credit_note_records
    from {{ ref('silver_clickstream') }}
    group by event_date
),

gold as (
    select 'orders' as dataset, order_date as record_date, cast(sum(orders) as bigint) as gold_records
    from {{ ref('gold_daily_revenue') }}
    group by order_date
    union all
    select 'clickstream' as dataset, event_date as record_date, cast(sum(events) as bigint) as gold_records
    from {{ ref('gold_daily_traffic') }}
    group by event_date
),

rebuilt as (
    select
        dates.dataset, dates.record_date,
        silver_records, cancelled_records, unmatched_records, credit_note_records, gold_records
    from rebuilt_dates as dates
    left join silver on {{ same('silver', 'dates', ['dataset', 'record_date']) }}
    left join gold on {{ same('gold', 'dates', ['dataset', 'record_date']) }}
),

untouched as (
    select state.dataset, state.record_date, silver_records, cancelled_records, unmatched_records, credit_note_records, gold_records
    from {{ before('ops_reconciliation') }} as state
    anti join rebuilt_dates on {{ same('rebuilt_dates', 'state', ['dataset', 'record_date']) }}
),

-- a date without rows has none of each; other datasets have no silver to count
pipeline as (
    select
        dates.dataset, dates.record_date,
        {% for layer in ['silver', 'cancelled', 'unmatched', 'credit_note', 'gold'] -%}
        case
            when dates.dataset in ('orders', 'clickstream'{{ ", 'order_items'" if layer != 'gold' }})
                then coalesce(counted.{{ layer }}_records, 0)
        end as {{ layer }}_records{{ ',' if not loop.last }}
        {% endfor %}
    from dates
    left join (select * from rebuilt union all select * from untouched) as counted
        on {{ same('counted', 'dates', ['dataset', 'record_date']) }}
),

order_dates as (
    select record_date from ({{ whole('ops_dates') }}) where dataset = 'orders'
),

amounts as (
    select
        'order_items' as dataset,
        order_date as record_date,
        sum(abs(gold_difference)) as gold_amount_difference
    from ({{ whole('ops_reconciliation_amounts') }})
    group by order_date
),

final as (
    select
        dates.dataset,
        dates.record_date,
        source.source_records,
        source.landed_records,
        coalesce(bronze.bronze_records, 0) as bronze_records,
        {% for fate in ['current', 'superseded', 'duplicate', 'dead_letter', 'withdrawn'] -%}
        coalesce(fates.{{ fate }}_records, 0) as {{ fate }}_records,
        {% endfor -%}
        pipeline.silver_records,
        pipeline.cancelled_records,
        pipeline.unmatched_records,
        pipeline.credit_note_records,
        pipeline.gold_records,
        coalesce(bronze.bronze_records, 0)
        - coalesce(current_records + superseded_records + duplicate_records + dead_letter_records + withdrawn_records, 0) as fates_difference,
        source.source_records - source.landed_records as source_difference,
        pipeline.silver_records - cancelled_records - unmatched_records - credit_note_records - gold_records as gold_difference,
        source.source_amount_difference,
        amounts.gold_amount_difference,
        source.counted_at,
        source.counted_at >= coalesce(last_landing.landed_at, source.counted_at) as is_counted_since,
        {{ is_held('dates') }} as is_held
    from dates
    left join source on {{ same('source', 'dates', ['dataset', 'record_date']) }}
    left join last_landing on {{ same('last_landing', 'dates', ['dataset', 'record_date']) }}
    left join bronze on {{ same('bronze', 'dates', ['dataset', 'record_date']) }}
    left join fates on {{ same('fates', 'dates', ['dataset', 'record_date']) }}
    left join pipeline on {{ same('pipeline', 'dates', ['dataset', 'record_date']) }}
    left join amounts on {{ same('amounts', 'dates', ['dataset', 'record_date']) }}
    -- a date goes with its last record, order and count
    where
        fates.dataset is not null or source.dataset is not null
        or (dates.dataset in ('orders', 'order_items') and dates.record_date in (select record_date from order_dates))
        or (dates.dataset in ('orders', 'order_items') and dates.record_date is null)
)

select * from final
