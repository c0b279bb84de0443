-- Every visitor of the last 7 days, as of the end of the last hour with an event. Use the macro for other moments.
-- depends_on: {{ ref('plan_event_dates') }}
{% set columns = 'visitor_id, event_date, event_time, event_id, event_type, product_id' %}

{% set recent %}select {{ columns }} from ({{ whole('silver_clickstream') }}) where event_date in ({{ literals(ref('plan_recent_dates'), 'event_date') }}){% endset %}

with events as (
    select * from ({{ recent }}) where {{ in_part('visitor_id', number_of_parts(recent, 'visitor_id')) }}
),

latest as (
    select {{ tumbling('max(event_time)', 'hour') }} + interval 1 hour as as_of from ({{ recent }})
),

moments as (
    select distinct events.visitor_id, latest.as_of
    from events, latest
    where events.event_time >= latest.as_of - interval '7 days'
),

final as (
    {{ visitor_features('moments', 'events') }}
)

select * from final
