{% set dates = literals(ref('plan_order_dates'), 'order_date') %}
with orders as (
    select order_date, ordered_usd from {{ ref('silver_order_facts') }} where ordered_usd > 0
    union all
    select order_date, ordered_usd from {{ before('silver_order_context') }}
    where ordered_usd > 0 and order_date in ({{ dates }}) and order_id not in (select order_id from {{ ref('plan_orders') }})
),

final as (
    select
        order_date,
        count(*) as orders,
        {{ middle_value('ordered_usd') }} as median_usd
    from orders
    group by order_date
)

select * from final
