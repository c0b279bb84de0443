-- The orders whose context is made again: those of the touched dates, and all of a customer of whom an order, or what we
-- know of him, is other than before.
{% set dates = literals(ref('plan_order_dates'), 'order_date') %}
{% set columns = 'order_id, order_date, ordered_at, customer_id, country, is_counted, order_amount_usd, is_usd_missing' %}

with facts as (
    select {{ columns }}
    from {{ ref('silver_order_facts') }}
),

facts_before as (
    select {{ columns }}
    from {{ before('silver_order_context') }}
    where order_date in ({{ dates }})
),

changed as (
    {{ differing('facts', 'facts_before') }}
),

history as (
    select customer_id, country, created_at, valid_from, valid_to from {{ ref('silver_customer_history') }}
),

history_before as (
    select customer_id, country, created_at, valid_from, valid_to from {{ before('silver_customer_history') }}
    where customer_id in (select customer_id from {{ ref('plan_keys_customers') }})
),

moved as (
    {{ differing('history', 'history_before') }}
),

customers as (
    select customer_id from changed where customer_id is not null
    union
    select customer_id from moved
),

final as (
    select order_id, order_date, customer_id from facts
    union
    select order_id, order_date, customer_id from facts_before
    union
    select order_id, order_date, customer_id from {{ before('silver_order_context') }}
    where customer_id in (select customer_id from customers)
)

select * from final
