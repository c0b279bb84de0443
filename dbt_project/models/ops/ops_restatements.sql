-- depends_on: {{ ref('plan_order_dates') }} {{ ref('plan_event_dates') }} {{ ref('plan_batches') }}
{% set order_dates = literals(ref('plan_order_dates'), 'order_date') %}
{% set event_dates = literals(ref('plan_event_dates'), 'event_date') %}
with restated as (
    {% for table, plan in var('restated').items() -%}
    {% set _ = ref(plan) -%}
    select * from ({{ restatements_of('gold_' ~ table) }})
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

-- the batches of this build that have, or had, a row of silver on the date
rows_of_silver as (
    select order_date as gold_date, batch_id from {{ ref('silver_orders') }}
    union all
    select order_date, batch_id from {{ ref('silver_order_items') }}
    union all
    select event_date, batch_id from {{ ref('silver_clickstream') }}
    union all
    select order_date, batch_id from {{ given_before('silver_orders') }} where order_date in ({{ order_dates }})
    union all
    select order_date, batch_id from {{ given_before('silver_order_items') }} where order_date in ({{ order_dates }})
    union all
    select event_date, batch_id from {{ given_before('silver_clickstream') }} where event_date in ({{ event_dates }})
),

causes as (
    select rows_of_silver.gold_date, batches.batch_id, batches.landed_at
    from rows_of_silver
    inner join {{ ref('plan_batches') }} as batches using (batch_id)
    where rows_of_silver.gold_date in (select gold_date from restated)
    union
    select dates.gold_date, batches.batch_id, batches.landed_at
    from (select distinct gold_date from restated) as dates
    inner join {{ ref('plan_batches') }} as batches on batches.dataset = 'decisions'
    union
    -- a rate applies to its own date and, if none follows, to the days after it
    select dates.gold_date, batches.batch_id, batches.landed_at
    from (select distinct gold_date from restated) as dates
    inner join {{ ref('records_exchange_rates') }} as rates
        on rates.record_date between dates.gold_date - {{ var('rate_days') }} and dates.gold_date
    inner join {{ ref('plan_batches') }} as batches on rates.batch_id = batches.batch_id
),

batches_by_date as (
    select gold_date, list(distinct batch_id order by batch_id) as batch_ids, max(landed_at) as landed_at
    from causes
    group by gold_date
),

final as (
    select
        '{{ var("build_id", "dev") }}' as build_id,
        gold_table,
        gold_date,
        row_key,
        measure,
        value_before,
        value_after,
        coalesce(value_after, 0) - coalesce(value_before, 0) as difference,
        coalesce(batches_by_date.batch_ids, []) as batch_ids,
        coalesce(batches_by_date.landed_at > cast(gold_date + 1 as timestamp) + lateness, false) as is_late
    from restated
    left join batches_by_date using (gold_date)
)

select * from final
