-- depends_on: {{ ref('plan_batches') }} {{ ref('plan_keys_refused') }} {{ ref('plan_keys_orders') }} {{ ref('plan_order_dates') }}
with batches as (
    select batch_id, landed_at from ({{ whole('ops_batches') }}) where source <> 'corrections'
),

dates as (
    select record_date from {{ ref('plan_reconciled') }} where dataset in ('orders', 'order_items')
),

-- an order without a time is in no date of the source
refused as (
    select json_extract_string(raw, '$.order_id') as order_id, record_date as order_date, json_extract_string(raw, '$.currency') as currency, batch_id
    from ({{ whole('records_refused') }})
    where dataset = 'orders' and json_extract_string(raw, '$.ordered_at') is not null
),

decided as (
    select order_id, record_date as order_date, currency, batch_id from ({{ whole('records_orders') }}) where decision is not null
),

out_of_silver as (
    select * from refused
    union all
    select * from decided
),

standing as (
    select order_id from ({{ whole('silver_orders') }})
    where batch_id in (select batch_id from batches) and order_id in (select order_id from out_of_silver)
),

final as (
    select order_id, order_date, currency
    from out_of_silver
    inner join batches using (batch_id)
    where order_id is null or order_id not in (select order_id from standing)
    qualify order_date in (select record_date from dates) and row_number() over (partition by order_id order by landed_at desc, batch_id) = 1
)

select * from final
