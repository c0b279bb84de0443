-- depends_on: {{ ref('plan_batches') }} {{ ref('plan_keys_source_counts') }} {{ ref('plan_order_dates') }}
with dates as (
    select * from {{ ref('plan_reconciled_amounts') }}
),

counts as (
    {{ whole('ops_source_counts') }}
),

source as (
    select event_date as order_date, currency, amount as source_amount, landed_amount
    from counts
    where dataset = 'order_items' and amount is not null and event_date in (select order_date from dates)
    qualify counted_at = max(counted_at) over (partition by event_date)
),

silver as (
    select
        order_date,
        currency,
        sum(line_amount) as silver_amount,
        coalesce(sum(line_amount) filter (where not is_counted), 0) as left_out_amount
    from {{ ref('silver_order_items') }}
    where order_date is not null
    group by order_date, currency
),

gold as (
    select order_date, currency, sum(net_amount) as gold_amount
    from {{ ref('gold_daily_revenue') }}
    -- of later dates only the means are rebuilt, nothing else
    where order_date in (select order_date from {{ ref('plan_order_dates') }})
    group by order_date, currency
),

rebuilt as (
    select order_date, currency, silver_amount, left_out_amount, coalesce(gold_amount, 0) as gold_amount
    from silver
    full join gold using (order_date, currency)
),

untouched as (
    select order_date, currency, silver_amount, left_out_amount, gold_amount
    from {{ before('ops_reconciliation_amounts') }}
    where
        order_date in (select order_date from dates)
        and order_date not in (select order_date from {{ ref('plan_order_dates') }} where order_date is not null)
        and silver_amount is not null
),

pipeline as (
    select * from rebuilt
    union all by name
    select * from untouched
),

known as (
    select * from pipeline
    full join source using (order_date, currency)
),

final as (
    select
        order_date,
        currency,
        source_amount,
        landed_amount,
        silver_amount,
        left_out_amount,
        gold_amount,
        source_amount - coalesce(landed_amount, 0) as source_difference,
        coalesce(silver_amount, 0) - coalesce(left_out_amount, 0) - coalesce(gold_amount, 0) as gold_difference
    from known
)

select * from final
