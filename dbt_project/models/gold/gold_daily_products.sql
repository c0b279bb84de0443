-- depends_on: {{ ref('plan_keys_products') }}
{% set made = ref('plan_product_dates') %}

with touched_orders as (
    select order_date from {{ ref('plan_order_dates') }} where order_date is not null
),

touched_events as (
    select event_date from {{ ref('plan_event_dates') }}
),

given as (
    select * from {{ before('gold_daily_products') }}
    where activity_date in ({{ looked_back(made, 'activity_date', 'gold_daily_products') }})
),

-- sales and views on untouched dates come from the state
sold as (
    select
        order_date as activity_date,
        product_id,
        count(distinct order_id) filter (where {{ is_an_order('order_status') }}) as orders,
        cast(sum(quantity) as bigint) as units,
        cast(coalesce(-sum(quantity) filter (where quantity < 0), 0) as bigint) as returned_units,
        cast(sum(line_amount_usd) as decimal(38, 4)) as net_usd,
        count(*) - count(line_amount_usd) as lines_without_usd
    from {{ ref('silver_order_items') }}
    where is_counted and product_id is not null
    group by order_date, product_id
    union all
    select activity_date, product_id, orders, units, returned_units, net_usd, lines_without_usd
    from given
    where (net_usd is not null or lines_without_usd > 0) and activity_date not in (select order_date from touched_orders)
),

looked_at as (
    select
        event_date as activity_date,
        product_id,
        count(*) filter (where {{ event_is('page_view') }}) as views,
        count(*) filter (where {{ event_is('add_to_cart') }}) as carts
    from {{ ref('silver_clickstream') }}
    where product_id is not null and ({{ event_is('page_view') }} or {{ event_is('add_to_cart') }})
    group by event_date, product_id
    union all
    select activity_date, product_id, views, carts
    from given
    where views + carts > 0 and activity_date not in (select event_date from touched_events)
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
        sum(units + returned_units) over ({{ sliding(['product_id'], 'activity_date', 28, 'days') }}) as units_28_days
    from both_sides
),

history as (
    select product_id, stock_quantity, valid_from from ({{ whole('silver_product_history') }})
),

stocked as (
    select measured.*, {{ as_hugeint('measured.units_28_days') }} as units_sold, {{ as_hugeint('history.stock_quantity') }} as stock
    from measured
    {{ asof_join('left', 'history', 'history', keys={'measured.product_id': 'product_id'}, at='cast(measured.activity_date + 1 as timestamp)', since='valid_from', is_before=true) }}
    where measured.activity_date in (select activity_date from {{ made }})
),

final as (
    select
        activity_date,
        product_id,
        orders,
        units,
        returned_units,
        net_usd,
        lines_without_usd,
        views,
        carts,
        case when views > 0 then cast({{ from_units(divided_half_even('(' ~ as_hugeint('carts') ~ ' * 10000)', 'views')) }} as decimal(18, 4)) end as cart_rate,
        cast(units_28_days as bigint) as units_28_days,
        cast(stock as bigint) as stock_quantity,
        case
            when units_sold > 0 and abs(stock) < 1000000000000
                then cast({{ from_units(divided_half_even('(stock * 280000)', 'units_sold')) }} as decimal(18, 4))
        end as stock_cover_days
    from stocked
)

select * from final
