with sold as (
    select
        order_date as activity_date,
        product_id,
        count(distinct order_id) as orders,
        cast(sum(quantity) as bigint) as units,
        cast(coalesce(-sum(quantity) filter (where quantity < 0), 0) as bigint) as returned_units,
        {{ to_amount('sum(usd_units)') }} as net_usd,
        count(*) - count(usd_units) as lines_without_usd
    from {{ ref('order_items') }}
    where is_counted and product_id is not null
    group by order_date, product_id
),

looked_at as (
    select
        event_date as activity_date,
        product_id,
        count(*) filter (where event_type = 'page_view') as views,
        count(*) filter (where event_type = 'add_to_cart') as carts
    from {{ ref('clickstream') }}
    where product_id is not null and event_type in ('page_view', 'add_to_cart')
    group by event_date, product_id
),

both_sides as (
    select
        activity_date,
        product_id,
        coalesce(orders, 0) as orders,
        coalesce(units, 0) as units,
        coalesce(returned_units, 0) as returned_units,
        net_usd,
        coalesce(lines_without_usd, 0) as lines_without_usd,
        coalesce(views, 0) as views,
        coalesce(carts, 0) as carts
    from sold
    full join looked_at using (activity_date, product_id)
),

measured as (
    select
        *,
        cast(
            sum(units + returned_units) over (
                partition by product_id order by activity_date range between interval 27 days preceding and current row
            ) as bigint
        ) as units_28_days
    from both_sides
)

select
    measured.* exclude (units_28_days),
    case when views > 0 then {{ ratio('carts', 'views') }} end as cart_rate,
    units_28_days,
    products.stock_quantity,
    case when units_28_days > 0 then {{ ratio('stock_quantity * 28', 'units_28_days') }} end as stock_cover_days
from measured
left join {{ ref('products') }} as products
    on measured.product_id = products.product_id and cast(measured.activity_date + 1 as timestamp) > products.updated_at
