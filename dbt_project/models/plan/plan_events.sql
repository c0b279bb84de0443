-- the keys that this build touches, and all events of the dates whose rows another version of the models made
-- depends_on: {{ ref('plan_event_dates') }}
with dates as (
    select event_date from {{ ref('plan_event_dates') }}
),

stale as (
    select event_date from dates where event_date in ({{ stale_dates('clickstream') }})
),

final as (
    select event_id, record_date as event_date from {{ ref('plan_keys_clickstream') }}
    where record_date in (select event_date from dates)
    union all
    select event_id, event_date from {{ before('silver_clickstream') }}
    where event_date in (select event_date from stale)
)

select * from final
