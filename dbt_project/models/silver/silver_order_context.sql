-- depends_on: {{ ref('plan_keys_customers') }}
{% set own = 'order_id, order_date, ordered_at, customer_id, country, is_an_order, is_counted, order_amount_usd, is_usd_missing, ordered_usd' %}

with wanted as (
    select distinct order_id from {{ ref('plan_contexts') }}
),

customers as (
    select distinct customer_id from {{ ref('plan_contexts') }} where customer_id is not null
),

-- every order of these customers, as of this build
orders as (
    select {{ own }} from {{ ref('silver_order_facts') }}
    union all
    select {{ own }} from {{ before('silver_order_context') }}
    where
        customer_id in (select customer_id from customers)
        and order_id not in (select order_id from {{ ref('plan_orders') }})
),

-- with `filter`, DuckDB counts each row's frame from its beginning
earlier as (
    select
        {{ own }},
        count(case when is_counted and is_an_order is not false then 1 end) over before_it as earlier_orders,
        coalesce(sum(order_amount_usd) over before_it, 0) as lifetime_spend_usd,
        count(case when is_usd_missing then 1 end) over before_it as earlier_orders_without_usd,
        max(ordered_usd) over before_it as largest_earlier_usd,
        count(case when is_an_order is not false then 1 end) over before_it
        - count(case when is_an_order is not false then 1 end) over a_day_before as orders_last_day
    from orders
    where customer_id is not null
    window
        before_it as (partition by customer_id order by ordered_at, order_id rows between unbounded preceding and 1 preceding),
        a_day_before as (partition by customer_id order by ordered_at range between unbounded preceding and interval 1 day preceding)
),

history as (
    select customer_id, country, created_at, valid_from, valid_to from ({{ whole('silver_customer_history') }})
    where customer_id in (select customer_id from customers)
),

known as (
    select earlier.*, history.country as customer_country, history.created_at
    from earlier
    {{ asof_join('left', 'history', 'history', keys={'earlier.customer_id': 'customer_id'}, at='earlier.ordered_at', since='valid_from') }}
),

final as (
    select
        {{ own }},
        customer_country,
        {{ date_diff('day', 'cast(created_at as date)', 'order_date') }} as account_age_days,
        earlier_orders,
        orders_last_day,
        cast(lifetime_spend_usd as decimal(38, 4)) as lifetime_spend_usd,
        earlier_orders_without_usd,
        largest_earlier_usd
    from known
    where order_id in (select order_id from wanted)
    union all
    select {{ own }}, null, null, null, null, null, null, null from orders where customer_id is null
)

select * from final
