select
    product_id,
    name,
    category,
    {{ to_decimal('unit_price') }} as unit_price,
    currency,
    cast(stock_quantity as bigint) as stock_quantity,
    updated_at at time zone 'UTC' as updated_at
from {{ source('raw', 'products') }}
where product_id <> ''
