-- The dates of gold.campaigns to rebuild: those whose touches or purchases may have changed, and those with purchases of an
-- order that changed or that also has a purchase on such a date, because an order counts for its first purchase.
-- depends_on: {{ ref('plan_purchase_dates') }}
{% set dates = literals(ref('plan_event_dates'), 'event_date') %}

with purchases as (
    select event_date, order_id from ({{ whole('silver_purchases') }})
),

orders as (
    select order_id from {{ ref('plan_orders') }}
    union
    select order_id from purchases where event_date in ({{ dates }})
    union
    select order_id from {{ before('silver_purchases') }} where event_date in ({{ dates }})
),

final as (
    select event_date from {{ ref('plan_purchase_dates') }}
    union
    select event_date from purchases where order_id in (select order_id from orders)
)

select * from final
