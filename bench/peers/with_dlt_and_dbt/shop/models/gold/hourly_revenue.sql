with sold as (
    select date_trunc('hour', ordered_at) as order_hour, {{ revenue_measures() }}
    from {{ ref('order_items') }}
    where is_counted
    group by date_trunc('hour', ordered_at), country, currency
)

select
    * exclude (net_units),
    {{ moving_mean('order_hour', 24, 'hour') }} as net_amount_24_hours,
    {{ moving_mean('order_hour', 168, 'hour') }} as net_amount_7_days
from sold
