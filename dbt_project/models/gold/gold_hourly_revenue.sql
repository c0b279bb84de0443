with lines as (
    select *, date_trunc('hour', ordered_at) as order_hour from {{ ref('silver_order_items') }} where is_counted
),

final as (
    select
        order_hour,
        country,
        currency,
        {{ revenue_measures() }}
    from lines
    group by order_hour, country, currency
)

select * from final
