-- The visitors with a changed event, and the dates on which their sessions may have changed: from two days before the event to
-- two days after it. A session that is not cut lasts a day at most, and a change only joins or splits neighbouring sessions.
-- No session begins on a date without events.
{% set dates = literals(ref('plan_event_dates'), 'event_date') %}
{% set batches = ref('plan_batches') %}
{% set days = reach('silver_sessions') %}
{% set around = reached(ref('plan_event_dates'), 'event_date', 'silver_sessions') %}
{% set columns = ['visitor_id', 'event_date', 'batch_id', 'record_no'] %}

with events as (
    select {{ columns | join(', ') }} from {{ ref('silver_clickstream') }}
),

events_before as (
    select {{ columns | join(', ') }} from {{ before('silver_clickstream') }} where event_date in ({{ dates }})
),

changed as (
    {{ differing('events', 'events_before', columns) }}
    union all
    select {{ columns | join(', ') }} from events where batch_id in (select batch_id from {{ batches }} where is_leaving)
),

filled_dates as (
    select event_date from {{ ref('plan_event_dates') }}
    union
    select event_date from {{ before('silver_clickstream') }} where event_date in ({{ literals('(' ~ around ~ ')', 'event_date') }})
),

reached_sessions as (
    select visitor_id, event_date + cast(days as integer) as session_date
    from (select distinct visitor_id, event_date from changed), range({{ days[0] }}, {{ days[1] + 1 }}) as around (days)
),

final as (
    select distinct visitor_id, session_date
    from reached_sessions
    where session_date in (select event_date from filled_dates)
)

select * from final
