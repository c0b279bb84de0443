-- Features of an order that are known when it is placed. A score may use these and nothing else.
-- depends_on: {{ ref('plan_contexts') }} {{ ref('plan_visitors') }}
with orders as (
    select * from ({{ whole('silver_order_context') }})
    where order_id in (select order_id from {{ ref('plan_features') }})
),

accounts as (
    select visitor_id, customer_id, first_seen_at, accounts_by_then from ({{ whole('silver_visitor_accounts') }})
),

shared as (
    {{ visitor_accounts('orders', 'accounts') }}
),

final as (
    select
        orders.order_id,
        orders.order_date,
        orders.customer_id,
        orders.country,
        orders.customer_country,
        orders.order_amount_usd,
        orders.account_age_days,
        orders.orders_last_day,
        orders.earlier_orders,
        orders.lifetime_spend_usd,
        coalesce(shared.visitor_accounts, 0) as visitor_accounts,
        orders.ordered_usd,
        orders.largest_earlier_usd,
        {{ times_usual('orders.ordered_usd', 'usual.usual_usd') }} as times_usual
    from orders
    left join shared on orders.order_id = shared.order_id
    left join {{ ref('plan_usual_amounts') }} as usual on orders.order_date = usual.order_date
)

select * from final
