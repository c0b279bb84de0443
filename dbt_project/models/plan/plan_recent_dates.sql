-- depends_on: {{ ref('plan_event_dates') }}
-- the last date with an event, and the dates before it that its visitors' features use
with latest as (
    select max(event_date) as event_date from ({{ whole('gold_daily_traffic') }})
),

final as (
    {{ looked_back('latest', 'event_date', 'gold_visitor_features') }}
)

select * from final
