-- the dates of the orders that are made again, and none for lines without an order
with final as (
    select order_date from {{ ref('plan_orders') }}
    union
    select cast(null as date) as order_date
)

select * from final
