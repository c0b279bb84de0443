-- depends_on: {{ ref('plan_event_dates') }}
with pairs as (
    select visitor_id, customer_id, min(first_seen_at) as first_seen_at, max(last_seen_at) as last_seen_at
    from ({{ whole('silver_daily_logins') }})
    where visitor_id in (select visitor_id from {{ ref('plan_visitors') }})
    group by visitor_id, customer_id
),

final as (
    select
        visitor_id,
        customer_id,
        first_seen_at,
        last_seen_at,
        -- visitors first seen at the same time count each other
        count(*) over (partition by visitor_id order by first_seen_at) as accounts_by_then,
        count(*) over (partition by visitor_id) = 1 as is_linked
    from pairs
)

select * from final
