with lines as (
    select * from {{ ref('silver_order_items') }} where is_counted
),

final as (
    select
        order_date,
        product_id,
        currency,
        cast(sum(quantity) as bigint) as units,
        cast(sum(line_amount) as decimal(38, 4)) as net_amount
    from lines
    group by order_date, product_id, currency
)

select * from final
