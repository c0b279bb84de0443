-- The orders whose context is rebuilt: those that are made again, and, from the time of a change on, those of customers with a
-- changed order or changed customer data. An order's context uses the customer data that became valid before the order.
-- depends_on: {{ ref('plan_order_dates') }}
{% set dates = literals(ref('plan_order_dates'), 'order_date') %}
{% set of_order = ['order_id', 'order_date', 'ordered_at', 'customer_id', 'country', 'is_an_order', 'is_counted', 'order_amount_usd', 'is_usd_missing', 'ordered_usd'] %}
{% set of_customer = ['customer_id', 'country', 'created_at', 'valid_from'] %}

with facts as (
    select {{ of_order | join(', ') }}
    from {{ ref('silver_order_facts') }}
),

facts_before as (
    select {{ of_order | join(', ') }}
    from {{ before('silver_order_context') }}
    where order_date in ({{ dates }}) and order_id in (select order_id from {{ ref('plan_orders') }})
),

changed as (
    {{ differing('facts', 'facts_before', of_order) }}
),

history as (
    select {{ of_customer | join(', ') }} from {{ ref('silver_customer_history') }}
),

history_before as (
    select {{ of_customer | join(', ') }} from {{ before('silver_customer_history') }}
    where customer_id in (select customer_id from {{ ref('plan_keys_customers') }})
),

moved as (
    {{ differing('history', 'history_before', of_customer) }}
),

changes as (
    select customer_id, ordered_at as changed_at from changed where customer_id is not null
    union all
    select customer_id, valid_from as changed_at from moved
),

customers as (
    select customer_id, min(changed_at) as changed_at from changes group by customer_id
),

final as (
    select order_id, order_date, ordered_at, customer_id from facts
    union
    select order_id, order_date, ordered_at, customer_id from facts_before
    union
    select orders.order_id, orders.order_date, orders.ordered_at, orders.customer_id
    from {{ before('silver_order_context') }} as orders
    inner join customers on orders.customer_id = customers.customer_id and orders.ordered_at >= customers.changed_at
)

select * from final
