with final as (
    select
        event_date,
        visitor_id,
        customer_id,
        min(event_time) as first_seen_at,
        max(event_time) as last_seen_at
    from {{ ref('silver_clickstream') }}
    where customer_id is not null
    group by event_date, visitor_id, customer_id
)

select * from final
