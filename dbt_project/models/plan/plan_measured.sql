-- what is measured again: each table on the dates that this build changes
with final as (
    select dataset, 'records.' || dataset as subject, record_date from {{ ref('plan_touched') }} where dataset in ({{ listed(watched_datasets()) or no_values() }})
    union
    select 'clickstream' as dataset, 'silver.clickstream' as subject, event_date as record_date from {{ ref('plan_event_dates') }}
    union
    select 'orders' as dataset, {{ unnested(list_of(["'silver.orders'", "'gold.daily_revenue'"])) }} as subject, order_date as record_date from {{ ref('plan_order_dates') }}
    union
    select 'clickstream' as dataset, 'gold.daily_funnel' as subject, session_date as record_date from {{ ref('plan_session_dates') }}
)

select * from final
where record_date is not null
