-- depends_on: {{ ref('plan_contexts') }}
with orders as (
    select customer_id, {{ truncated('month', 'order_date') }} as order_month, order_amount_usd, is_an_order is not false as is_an_order
    from ({{ whole('silver_order_context') }})
    where is_counted and customer_id is not null
),

firsts as (
    select customer_id, min(order_month) as cohort_month from orders group by customer_id
),

sizes as (
    select cohort_month, count(*) as cohort_customers from firsts group by cohort_month
),

final as (
    select
        cast(firsts.cohort_month as date) as cohort_month,
        {{ date_diff('month', 'firsts.cohort_month', 'orders.order_month') }} as months_since,
        any_value(sizes.cohort_customers) as cohort_customers,
        count(distinct orders.customer_id) as customers,
        count(*) filter (where orders.is_an_order) as orders,
        cast(sum(orders.order_amount_usd) as decimal(38, 4)) as net_usd
    from orders
    inner join firsts on orders.customer_id = firsts.customer_id
    inner join sizes on firsts.cohort_month = sizes.cohort_month
    group by firsts.cohort_month, orders.order_month
)

select * from final
