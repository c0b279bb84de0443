-- depends_on: {{ ref('plan_product_dates') }}
with products as (
    {{ current_after('products') }}
),

latest as (
    select max(activity_date) as as_of_date from ({{ whole('gold_daily_products') }})
),

recent as (
    select product_id, sum(units) as units, sum(views) as views, sum(carts) as carts
    from ({{ whole('gold_daily_products') }})
    where activity_date > (select as_of_date - 28 from latest)
    group by product_id
),

measured as (
    select
        products.product_id, products.name, products.category, products.unit_price, products.currency, products.stock_quantity,
        cast(coalesce(recent.units, 0) as bigint) as units_28_days,
        cast(coalesce(recent.views, 0) as bigint) as views_28_days,
        cast(coalesce(recent.carts, 0) as bigint) as carts_28_days
    from products
    left join recent on products.product_id = recent.product_id
),

final as (
    select
        *,
        {{ to_json_text(struct_of({
            'id': 'product_id',
            'title': 'name',
            'category': 'category',
            'price': 'cast(unit_price as string)',
            'currency': 'currency',
            'is_in_stock': 'coalesce(stock_quantity > 0, false)',
            'units_28_days': 'units_28_days',
            'views_28_days': 'views_28_days',
            'carts_28_days': 'carts_28_days'
        })) }} as document
    from measured
)

select * from final
