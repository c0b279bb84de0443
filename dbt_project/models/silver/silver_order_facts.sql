-- the inputs of a context, for the orders that are made again; silver.order_context holds those of all others
with made as (
    select order_id from {{ ref('plan_orders') }}
),

lines as (
    select
        order_id,
        sum(line_amount_usd) filter (where is_counted) as order_amount_usd,
        count(*) filter (where is_counted and line_amount_usd is null) > 0 as is_usd_missing,
        count(*) filter (where is_counted) as lines,
        sum(line_amount_usd) filter (where not {{ is_a_return('quantity', 'order_status') }}) as ordered_usd
    from {{ ref('silver_order_items') }}
    where is_known_order and order_id in (select order_id from made)
    group by order_id
),

final as (
    select
        orders.order_id,
        orders.order_date,
        orders.ordered_at,
        orders.customer_id,
        orders.country,
        {{ is_an_order('orders.status') }} as is_an_order,
        coalesce(lines.lines, 0) > 0 as is_counted,
        cast(coalesce(lines.order_amount_usd, 0) as decimal(38, 4)) as order_amount_usd,
        coalesce(lines.is_usd_missing, false) as is_usd_missing,
        cast(lines.ordered_usd as decimal(38, 4)) as ordered_usd
    from {{ ref('silver_orders') }} as orders
    left join lines on orders.order_id = lines.order_id
    where orders.order_id in (select order_id from made)
)

select * from final
