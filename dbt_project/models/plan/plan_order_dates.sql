-- An order date is rebuilt if one of its orders or lines changes, if their customer or product becomes known or unknown, or if
-- its exchange rate changes. Lines without an order have no date: they are few, and checked again in each build.
with lines as (
    select distinct order_id from {{ ref('plan_keys_order_items') }}
),

{% for thing in ['customer', 'product'] -%}
{{ thing }}s_known as (
    select distinct {{ thing }}_id from {{ ref('records_' ~ thing ~ 's') }} where fate = 'current' and not is_deleted
),

{{ thing }}s_gone as (
    select {{ thing }}_id from {{ ref('plan_keys_' ~ thing ~ 's') }}
    except
    select {{ thing }}_id from {{ thing }}s_known
),

{% endfor -%}
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

-- two conditions of each: the first reads little more than the flags, and the second nothing if nothing is gone
{% for thing, table in [('customer', 'silver_orders'), ('product', 'silver_order_items')] -%}
orders_of_{{ thing }}s as (
    select order_date from {{ before(table) }}
    where is_known_{{ thing }} = false and {{ thing }}_id in (select {{ thing }}_id from {{ thing }}s_known)
    union all
    select order_date from {{ before(table) }}
    where is_known_{{ thing }} and {{ thing }}_id in (select {{ thing }}_id from {{ thing }}s_gone)
),

{% endfor -%}
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
