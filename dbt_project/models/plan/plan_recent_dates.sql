-- depends_on: {{ ref('plan_event_dates') }}
-- the last date with an event, and the 7 before it
with latest as (
    select max(event_date) as event_date from ({{ whole('gold_daily_traffic') }})
),

final as (
    select event_date - cast(days as integer) as event_date from latest, range(8) as earlier (days)
    where event_date is not null
)

select * from final
