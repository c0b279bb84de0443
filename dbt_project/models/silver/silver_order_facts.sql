-- what a context is made of, for the orders of the touched dates; of all the others, silver.order_context holds it
with lines as (
    select
        order_id,
        sum(line_amount_usd) as order_amount_usd,
        count(*) > count(line_amount_usd) as is_usd_missing,
        count(*) as lines
    from {{ ref('silver_order_items') }}
    where is_counted
    group by order_id
),

final as (
    select
        orders.order_id,
        orders.order_date,
        orders.ordered_at,
        orders.customer_id,
        orders.country,
        coalesce(lines.lines, 0) > 0 as is_counted,
        cast(coalesce(lines.order_amount_usd, 0) as decimal(38, 4)) as order_amount_usd,
        coalesce(lines.is_usd_missing, false) as is_usd_missing
    from {{ ref('silver_orders') }} as orders
    left join lines on orders.order_id = lines.order_id
)

select * from final
