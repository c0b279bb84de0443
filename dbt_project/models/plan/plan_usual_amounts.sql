-- The usual amount of an order as of each order date, after this build and before it. If the two differ, the amounts of orders
-- that this build does not touch may have become another multiple of it.
-- depends_on: {{ ref('plan_order_dates') }}
with sizes as (
    select order_date, orders, median_usd from ({{ whole('silver_daily_order_sizes') }})
),

sizes_before as (
    select order_date, orders, median_usd from {{ before('silver_daily_order_sizes') }}
),

usual as (
    {{ usual_amounts('sizes') }}
),

usual_before as (
    {{ usual_amounts('sizes_before') }}
),

final as (
    select order_date, usual.usual_usd, usual_before.usual_usd as usual_usd_before
    from usual
    full join usual_before using (order_date)
)

select * from final
