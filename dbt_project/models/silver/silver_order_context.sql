-- Of the customers whose orders are made again, the orders up to a day before the first of these are added up; only later ones are
-- looked at one by one.
-- depends_on: {{ ref('plan_keys_customers') }}
{% set own = ['order_id', 'order_date', 'ordered_at', 'customer_id', 'country', 'is_an_order', 'is_counted', 'order_amount_usd', 'is_usd_missing', 'ordered_usd'] %}
-- with `filter`, DuckDB counts each row's frame from its beginning
{% set totals = {
    'orders': 'count(case when is_counted and is_an_order is not false then 1 end)',
    'spend_usd': 'sum(order_amount_usd)',
    'orders_without_usd': 'count(case when is_usd_missing then 1 end)',
    'largest_usd': 'max(ordered_usd)',
} %}

with customers as (
    select customer_id, min(ordered_at) - interval 1 day as since from {{ ref('plan_contexts') }} where customer_id is not null group by customer_id
),

-- none of these is made again: plan.contexts has such an order at the time that it had, and the one that it has
added_up as (
    select
        orders.customer_id
        {% for name, total in totals.items() -%}
        , {{ total }} as {{ name }}
        {% endfor %}
    from {{ before('silver_order_context') }} as orders
    inner join customers on orders.customer_id = customers.customer_id and orders.ordered_at <= customers.since
    group by orders.customer_id
),

later as (
    select {{ own | join(', ') }} from {{ ref('silver_order_facts') }} where customer_id is not null
    union all
    select orders.{{ own | join(', orders.') }}
    from {{ before('silver_order_context') }} as orders
    inner join customers on orders.customer_id = customers.customer_id and orders.ordered_at > customers.since
    where orders.order_id not in (select order_id from {{ ref('plan_orders') }})
),

earlier as (
    select
        {{ own | join(', ') }},
        {% for name, total in totals.items() -%}
        {{ total }} over before_it as {{ name }},
        {% endfor -%}
        count(case when is_an_order is not false then 1 end) over before_it
        - count(case when is_an_order is not false then 1 end) over a_day_before as orders_last_day
    from later
    window
        before_it as (partition by customer_id order by ordered_at, order_id rows between unbounded preceding and 1 preceding),
        a_day_before as (partition by customer_id order by ordered_at range between unbounded preceding and interval 1 day preceding)
),

made as (
    select * from earlier where order_id in (select order_id from {{ ref('plan_contexts') }})
),

history as (
    select customer_id, country, created_at, valid_from, valid_to from ({{ whole('silver_customer_history') }})
    where customer_id in (select customer_id from customers)
),

known as (
    select made.*, history.country as customer_country, history.created_at
    from made
    {{ asof_join('left', 'history', 'history', keys={'made.customer_id': 'customer_id'}, at='made.ordered_at', since='valid_from') }}
),

final as (
    select
        known.{{ own | join(', known.') }},
        known.customer_country,
        {{ date_diff('day', 'cast(known.created_at as date)', 'known.order_date') }} as account_age_days,
        known.orders + coalesce(added_up.orders, 0) as earlier_orders,
        known.orders_last_day,
        cast(coalesce(known.spend_usd, 0) + coalesce(added_up.spend_usd, 0) as decimal(38, 4)) as lifetime_spend_usd,
        known.orders_without_usd + coalesce(added_up.orders_without_usd, 0) as earlier_orders_without_usd,
        greatest(known.largest_usd, added_up.largest_usd) as largest_earlier_usd
    from known
    left join added_up on known.customer_id = added_up.customer_id
    union all
    select {{ own | join(', ') }}, null, null, null, null, null, null, null from {{ ref('silver_order_facts') }} where customer_id is null
)

select * from final
