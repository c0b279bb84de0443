-- depends_on: {{ ref('plan_batches') }} {{ ref('plan_keys_source_counts') }} {{ ref('plan_order_dates') }}
with dates as (
    select * from {{ ref('plan_reconciled_amounts') }}
),

counts as (
    {{ whole('ops_source_counts') }}
),

source as (
    select event_date as order_date, currency, amount as source_amount
    from counts
    where dataset = 'order_items' and amount is not null and event_date in (select order_date from dates)
    qualify counted_at = max(counted_at) over (partition by event_date)
),

corrections as (
    select batch_id from ({{ whole('ops_batches') }}) where source = 'corrections'
),

corrected_orders as (
    select order_id from {{ ref('silver_orders') }} where batch_id in (select batch_id from corrections)
),

absent as (
    select
        order_date,
        currency,
        coalesce(sum(amount), 0) as absent_amount,
        count(*) filter (where not is_amount_read) as unread_records
    from {{ ref('ops_absent_lines') }}
    group by order_date, currency
),

silver as (
    select
        order_date,
        currency,
        sum(line_amount) as silver_amount,
        coalesce(sum(line_amount) filter (
            where batch_id in (select batch_id from corrections) or order_id in (select order_id from corrected_orders)
        ), 0) as corrected_amount,
        coalesce(sum(line_amount) filter (where not is_counted), 0) as left_out_amount
    from {{ ref('silver_order_items') }}
    where order_date is not null
    group by order_date, currency
),

gold as (
    select order_date, currency, sum(net_amount) as gold_amount
    from {{ ref('gold_daily_revenue') }}
    -- the means of later dates are made again too, and nothing else of them
    where order_date in (select order_date from {{ ref('plan_order_dates') }})
    group by order_date, currency
),

rebuilt as (
    select order_date, currency, silver_amount, corrected_amount, left_out_amount, coalesce(gold_amount, 0) as gold_amount
    from silver
    full join gold using (order_date, currency)
),

untouched as (
    select order_date, currency, silver_amount, corrected_amount, left_out_amount, gold_amount
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
        coalesce(known.order_date, absent.order_date) as order_date,
        coalesce(known.currency, absent.currency) as currency,
        source_amount,
        silver_amount,
        corrected_amount,
        coalesce(absent_amount, 0) as absent_amount,
        coalesce(unread_records, 0) as unread_records,
        left_out_amount,
        gold_amount,
        source_amount - coalesce(silver_amount, 0) + coalesce(corrected_amount, 0) - coalesce(absent_amount, 0) as source_difference,
        coalesce(silver_amount, 0) - coalesce(left_out_amount, 0) - coalesce(gold_amount, 0) as gold_difference
    from known
    full join absent on {{ same('known', 'absent', ['order_date', 'currency']) }}
)

select * from final
