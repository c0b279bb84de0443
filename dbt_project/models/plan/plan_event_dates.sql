with final as (
    select record_date as event_date from {{ ref('plan_dates') }} where dataset = 'clickstream'
)

select * from final
