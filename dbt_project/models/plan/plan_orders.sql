-- An order's rows are made again if the order or one of its lines changes, if their customer or product becomes known or unknown,
-- if the exchange rate of its date changes (rates that land again do not), or if its date is touched and another version of the models made its rows. Lines
-- without an order have no date: they are few, and made again in each build.
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
    select order_id, record_date as order_date from {{ ref('plan_keys_orders') }}
    where record_date in (select record_date from {{ ref('plan_dates') }} where dataset = 'orders')
),

-- two conditions of each: the first reads little more than the flags, and the second nothing if nothing is gone
{% for thing, table in [('customer', 'silver_orders'), ('product', 'silver_order_items')] -%}
orders_of_{{ thing }}s as (
    select order_id, order_date from {{ before(table) }}
    where is_known_{{ thing }} = false and {{ thing }}_id in (select {{ thing }}_id from {{ thing }}s_known)
    union all
    select order_id, order_date from {{ before(table) }}
    where is_known_{{ thing }} and {{ thing }}_id in (select {{ thing }}_id from {{ thing }}s_gone)
),

{% endfor -%}
{% set rate = ['rate_date', 'currency', 'rate'] -%}
rates_before as (
    {{ current_before('exchange_rates', only=rate) }}
),

rates_after as (
    select {{ rate | join(', ') }} from {{ ref('records_exchange_rates') }} where fate = 'current' and not is_deleted
),

rates as (
    {{ differing('rates_before', 'rates_after', rate) }}
),

-- a rate applies to its own date and, if none follows, to the five days after it
orders_of_rates as (
    select order_id, order_date from {{ before('silver_orders') }}
    where order_date in (
        select rate_date + cast(days as integer) from rates, range({{ var('rate_days') }} + 1) as later (days)
    )
),

orders_of_lines as (
    select order_id, order_date from {{ before('silver_orders') }} where order_id in (select order_id from lines)
    union all
    select order_id, record_date as order_date from {{ ref('records_orders') }}
    where fate = 'current' and not is_deleted and order_id in (select order_id from lines)
),

orders_there as (
    select order_id from {{ ref('records_orders') }} where fate = 'current' and not is_deleted
),

undated_lines as (
    select order_id, cast(null as date) as order_date from lines anti join orders_there using (order_id)
    union all
    select order_id, order_date from {{ before('silver_order_items') }} where order_date is null
),

changed as (
    select order_id, order_date from orders
    union all
    select order_id, order_date from orders_of_customers
    union all
    select order_id, order_date from orders_of_products
    union all
    select order_id, order_date from orders_of_rates
    union all
    select order_id, order_date from orders_of_lines
    union all
    select order_id, order_date from undated_lines
),

stale as (
    select order_date from changed where order_date in ({{ stale_dates('orders') }})
),

final as (
    select order_id, order_date from changed
    union
    select order_id, order_date from {{ before('silver_orders') }} where order_date in (select order_date from stale)
    union
    -- the lines of an order that goes have no date
    select order_id, cast(null as date) as order_date from changed anti join orders_there using (order_id)
)

select * from final
