select
    order_id,
    nullif(customer_id, '') as customer_id,
    status,
    currency,
    payment_method,
    shipping_country,
    coalesce(nullif(trim(shipping_country), ''), 'ZZ') as country,
    {{ to_decimal('total_amount') }} as total_amount,
    ordered_at at time zone 'UTC' as ordered_at,
    cast(ordered_at at time zone 'UTC' as date) as order_date,
    updated_at at time zone 'UTC' as updated_at,
    coalesce(status, '') <> 'cancelled' as is_counted
from {{ source('raw', 'orders') }}
where
    order_id <> ''
    and currency <> ''
    and ordered_at at time zone 'UTC' <= timestamp '{{ var("latest") }}'
    and coalesce(status, '') in ('created', 'paid', 'shipped', 'completed', 'cancelled', 'refunded', '')
