-- An order date is rebuilt if one of its orders or lines changes, if their customer or product becomes known or unknown, or if
-- its exchange rate changes. Lines without an order have no date: they are few, and checked again in each build.
with lines as (
    select distinct order_id from {{ ref('plan_keys_order_items') }}
),

customers as (
    select distinct customer_id from {{ ref('plan_keys_customers') }}
),

products as (
    select distinct product_id from {{ ref('plan_keys_products') }}
),

orders as (
    select record_date as order_date from {{ ref('plan_dates') }} where dataset = 'orders'
),

orders_of_lines_before as (
    select order_date from {{ before('silver_orders') }} where order_id in (select order_id from lines)
),

orders_of_lines_after as (
    select record_date as order_date from {{ ref('records_orders') }}
    where fate = 'current' and not is_deleted and order_id in (select order_id from lines)
),

orders_of_customers as (
    select order_date from {{ before('silver_orders') }}
    where
        customer_id in (select customer_id from customers)
        and is_known_customer <> (customer_id in (select customer_id from {{ ref('records_customers') }} where fate = 'current' and not is_deleted))
),

orders_of_products as (
    select order_date from {{ before('silver_order_items') }}
    where
        product_id in (select product_id from products)
        and is_known_product <> (product_id in (select product_id from {{ ref('records_products') }} where fate = 'current' and not is_deleted))
),

-- a rate applies to its own date and, if none follows, to the five days after it
orders_of_rates as (
    select order_date from {{ before('silver_orders') }}
    where order_date in (
        select record_date + cast(days as integer)
        from {{ ref('plan_dates') }}, range({{ var('rate_days') }} + 1) as later (days)
        where dataset = 'exchange_rates'
    )
),

final as (
    select order_date from orders
    union
    select order_date from orders_of_rates
    union
    select order_date from orders_of_lines_before
    union
    select order_date from orders_of_lines_after
    union
    select order_date from orders_of_customers
    union
    select order_date from orders_of_products
    union
    select cast(null as date) as order_date
)

select * from final
