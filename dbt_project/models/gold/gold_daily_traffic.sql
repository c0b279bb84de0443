with events as (
    select * from {{ ref('silver_clickstream') }}
),

final as (
    select
        event_date,
        event_type,
        count(*) as events,
        count(distinct visitor_id) as visitors
    from events
    group by event_date, event_type
)

select * from final
