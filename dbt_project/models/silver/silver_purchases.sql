-- depends_on: {{ ref('plan_event_dates') }}
{% set made = ref('plan_purchase_dates') %}

with purchases as (
    select event_date, event_id, event_time as purchased_at, visitor_id, order_id
    from {{ ref('silver_clickstream') }}
    where {{ event_is('purchase') }} and order_id is not null
    union all
    select event_date, event_id, purchased_at, visitor_id, order_id
    from {{ before('silver_purchases') }}
    where
        event_date in (select event_date from {{ made }})
        and event_date not in (select event_date from {{ ref('plan_event_dates') }})
),

-- of several touches at the same time, the one with the greatest id
touches as (
    select visitor_id, event_time as touched_at, max_by(campaign, event_id) as campaign
    from ({{ whole('silver_campaign_touches') }})
    where
        event_date in ({{ looked_back(made, 'event_date', 'silver_purchases') }})
        and visitor_id in (select visitor_id from purchases)
    group by visitor_id, event_time
),

last_touches as (
    select
        purchases.*,
        touches.touched_at,
        touches.campaign,
        purchases.purchased_at - touches.touched_at <= interval '{{ var("attribution_days") }} days' as is_recent
    from purchases
    {{ asof_join('left', 'touches', 'touches', keys={'purchases.visitor_id': 'visitor_id'}, at='purchases.purchased_at', since='touched_at') }}
),

final as (
    select
        event_date,
        event_id,
        purchased_at,
        visitor_id,
        order_id,
        case when is_recent then touched_at end as touched_at,
        case when is_recent then campaign end as campaign
    from last_touches
)

select * from final
