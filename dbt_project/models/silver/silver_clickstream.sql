{% set dates = literals(ref('plan_event_dates'), 'event_date') %}

with events as (
    {{ current_after('clickstream', dates) }}
),

final as (
    select * rename (record_date as event_date) from events
)

select * from final
