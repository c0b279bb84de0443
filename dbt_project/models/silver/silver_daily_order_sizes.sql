with orders as (
    select order_date, ordered_usd from {{ ref('silver_order_facts') }} where ordered_usd > 0
),

final as (
    select
        order_date,
        count(*) as orders,
        quantile_disc(ordered_usd, 0.5) as median_usd
    from orders
    group by order_date
)

select * from final
