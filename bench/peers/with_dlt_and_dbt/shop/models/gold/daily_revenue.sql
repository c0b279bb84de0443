with sold as (
    select order_date, {{ revenue_measures() }}
    from {{ ref('order_items') }}
    where is_counted
    group by order_date, country, currency
)

select
    * exclude (net_units),
    {{ moving_mean('order_date', 7, 'day') }} as net_amount_7_days,
    {{ moving_mean('order_date', 28, 'day') }} as net_amount_28_days
from sold
