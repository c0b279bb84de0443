{% set made = ref('plan_last_hour_dates') %}

with events as (
    select event_time, event_type from {{ ref('silver_clickstream') }}
    union all
    select event_time, event_type from {{ before('silver_clickstream') }}
    where
        event_date in ({{ looked_back(made, 'event_date', 'gold_last_hour') }})
        and event_date not in (select event_date from {{ ref('plan_event_dates') }})
),

-- first by five minutes, so that each event is read once instead of twelve times
counted as (
    select {{ time_bucket(5, 'event_time') }} as started_at, event_type, count(*) as events
    from events
    group by all
),

hopped as (
    select {{ unnested(hopping('started_at', 60, 5)) }} as as_of, event_type, events from counted
),

final as (
    select
        as_of,
        cast(sum(events) as bigint) as events,
        {% for kind in ['page_view', 'search', 'add_to_cart', 'checkout', 'purchase'] -%}
        cast(coalesce(sum(events) filter (where {{ event_is(kind) }}), 0) as bigint) as {{ kind }}_events{{ ',' if not loop.last }}
        {% endfor %}
    from hopped
    where cast(as_of as date) in (select event_date from {{ made }})
    group by as_of
)

select * from final
