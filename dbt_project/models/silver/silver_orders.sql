{% set dates = literals(ref('plan_order_dates'), 'order_date') %}

with orders as (
    select * from ({{ current_after('orders', dates) }})
    where order_id in (select order_id from {{ ref('plan_orders') }})
),

customers as (
    {{ current_after('customers', only=['customer_id']) }}
),

named as (
    select {{ star_replacing({'customer_id': empty_as_missing('customer_id')}) }} from orders
),

final as (
    select
        orders.order_id,
        orders.customer_id,
        orders.customer_id is not null and orders.customer_id in (select customer_id from customers) as is_known_customer,
        orders.status,
        orders.currency,
        orders.payment_method,
        orders.shipping_country,
        coalesce(nullif(trim(orders.shipping_country), ''), 'ZZ') as country,
        orders.total_amount,
        orders.ordered_at,
        orders.record_date as order_date,
        orders.updated_at,
        orders.batch_id,
        orders.record_no
    from named as orders
)

select * from final
