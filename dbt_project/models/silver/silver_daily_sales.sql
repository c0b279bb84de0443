-- the sales of the touched dates; gold.daily_revenue holds those of all others
with lines as (
    select * from {{ ref('silver_order_items') }} where is_counted
),

final as (
    select
        order_date,
        country,
        currency,
        {{ revenue_measures() }}
    from lines
    group by order_date, country, currency
)

select * from final
