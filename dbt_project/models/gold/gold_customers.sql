-- Ranks are among all customers, so the table is written whole. A customer's orders are added up again only if they changed.
with touched as (
    select customer_id from {{ ref('plan_contexts') }} where customer_id is not null
),

orders as (
    select customer_id, order_date, order_amount_usd, is_usd_missing, is_an_order is not false as is_an_order
    from ({{ whole('silver_order_context') }})
    where is_counted and customer_id in (select customer_id from touched)
),

totals as (
    select
        customer_id,
        -- of a customer who only ever sent something back, the dates of that
        coalesce(min(order_date) filter (where is_an_order), min(order_date)) as first_order_date,
        coalesce(max(order_date) filter (where is_an_order), max(order_date)) as last_order_date,
        count(*) filter (where is_an_order) as orders,
        sum(order_amount_usd) as lifetime_value_usd,
        count(*) filter (where is_usd_missing) as orders_without_usd
    from orders
    group by customer_id
    union all
    select customer_id, first_order_date, last_order_date, orders, lifetime_value_usd, orders_without_usd
    from {{ before('gold_customers') }}
    where customer_id not in (select customer_id from touched)
),

countries as (
    {{ current_after('customers', only=['customer_id', 'country']) }}
),

aged as (
    select
        totals.*,
        max(last_order_date) over () as as_of_date,
        {{ date_diff('day', 'last_order_date', 'max(last_order_date) over ()') }} as recency_days
    from totals
),

ranked as (
    select
        *,
        count(*) over () as customers,
        rank() over (order by recency_days desc) as recency_rank,
        rank() over (order by orders) as frequency_rank,
        rank() over (order by lifetime_value_usd) as monetary_rank
    from aged
),

scored as (
    select
        *,
        1 + {{ integer_quotient('5 * (recency_rank - 1)', 'customers') }} as recency_score,
        1 + {{ integer_quotient('5 * (frequency_rank - 1)', 'customers') }} as frequency_score,
        1 + {{ integer_quotient('5 * (monetary_rank - 1)', 'customers') }} as monetary_score
    from ranked
),

final as (
    select
        scored.customer_id,
        {{ empty_as_missing('countries.country') }} as country,
        scored.first_order_date,
        scored.last_order_date,
        scored.orders,
        cast(scored.lifetime_value_usd as decimal(38, 4)) as lifetime_value_usd,
        scored.orders_without_usd,
        scored.as_of_date,
        scored.recency_days,
        scored.recency_score,
        scored.frequency_score,
        scored.monetary_score,
        case
            when recency_score >= 4 and frequency_score >= 4 and monetary_score >= 4 then 'champion'
            when recency_score >= 3 and frequency_score >= 4 then 'loyal'
            when recency_score >= 4 and orders = 1 then 'new'
            when recency_score <= 2 and frequency_score >= 3 then 'at risk'
            when recency_score <= 2 then 'lost'
            else 'regular'
        end as rfm_class,
        -- days since the last order, compared with the customer's own mean days between orders, or 90 days after a single order
        case
            when recency_days * greatest(orders - 1, 1) > 3 * case when orders > 1 then greatest({{ date_diff('day', 'first_order_date', 'last_order_date') }}, 1) else 90 end then 'high'
            when recency_days * greatest(orders - 1, 1) > 2 * case when orders > 1 then greatest({{ date_diff('day', 'first_order_date', 'last_order_date') }}, 1) else 90 end then 'medium'
            else 'low'
        end as churn_risk
    from scored
    left join countries on scored.customer_id = countries.customer_id
)

select * from final
