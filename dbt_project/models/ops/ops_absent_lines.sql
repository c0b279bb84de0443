-- depends_on: {{ ref('plan_batches') }} {{ ref('plan_keys_refused') }} {{ ref('plan_keys_order_items') }} {{ ref('plan_order_dates') }}
with batches as (
    select batch_id from ({{ whole('ops_batches') }}) where source <> 'corrections'
),

silver as (
    select order_id, line_number, line_amount as amount, true as is_amount_read
    from ({{ whole('silver_order_items') }})
    where batch_id in (select batch_id from batches)
),

refused as (
    select
        json_extract_string(raw, '$.order_id') as order_id,
        try_cast(json_extract_string(raw, '$.line_number') as integer) as line_number,
        amount,
        is_amount_read
    from ({{ whole('records_refused') }})
    where dataset = 'order_items' and batch_id in (select batch_id from batches)
),

decided as (
    select order_id, line_number, {{ contract('order_items').meta.get('money', {}).get('amount', 'null') }} as amount, true as is_amount_read
    from ({{ whole('records_order_items') }})
    where decision is not null and batch_id in (select batch_id from batches)
),

out_of_silver as (
    select * from refused
    union all
    select * from decided
),

absent as (
    select * from out_of_silver
    anti join (select * from silver semi join out_of_silver using (order_id, line_number)) as standing using (order_id, line_number)
    union all
    select * from silver where order_id in (select order_id from {{ ref('ops_absent_orders') }})
),

orders as (
    select order_id, order_date, currency from {{ ref('ops_absent_orders') }}
    union all
    select order_id, order_date, currency from ({{ whole('silver_orders') }})
    where
        order_id in (select order_id from absent)
        and order_id not in (select order_id from {{ ref('ops_absent_orders') }} where order_id is not null)
        and order_date in (select record_date from {{ ref('plan_reconciled') }} where dataset = 'order_items')
),

final as (
    select order_id, line_number, order_date, currency, max(amount) as amount, bool_or(coalesce(is_amount_read, false)) as is_amount_read
    from absent
    inner join orders using (order_id)
    group by order_id, line_number, order_date, currency
)

select * from final
