-- a click soon after midnight belongs to a search of the date before
with final as (
    select distinct event_date - cast(days as integer) as event_date
    from {{ ref('plan_event_dates') }}, range(2) as earlier (days)
)

select * from final
