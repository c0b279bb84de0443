-- The valid lines with their order. Amounts are whole ten-thousandths.
with typed as (
    select
        order_id,
        cast(line_number as bigint) as line_number,
        nullif(product_id, '') as product_id,
        cast(quantity as bigint) as quantity,
        {{ to_decimal('unit_price') }} as unit_price,
        {{ to_decimal('discount_amount') }} as discount_amount,
        discount_amount is not null as has_discount,
        updated_at at time zone 'UTC' as updated_at
    from {{ source('raw', 'order_items') }}
),

valid as (
    select * exclude (has_discount) replace (coalesce(discount_amount, 0) as discount_amount)
    from typed
    where
        order_id <> ''
        and line_number is not null
        and quantity <> 0
        and unit_price is not null
        and (not has_discount or discount_amount is not null)
)

select
    valid.*,
    valid.quantity * {{ to_units('valid.unit_price') }} - {{ to_units('valid.discount_amount') }} as amount_units,
    orders.order_date,
    orders.ordered_at,
    orders.country,
    orders.currency,
    coalesce(orders.is_counted, false) as is_counted
from valid
left join {{ ref('orders') }} as orders on valid.order_id = orders.order_id
