with final as (
    select event_date, visitor_id, event_time, event_id, event_type, campaign
    from {{ ref('silver_clickstream') }}
    where campaign is not null
)

select * from final
