-- every date of silver and gold that this build rebuilt
with final as (
    select 'orders' as dataset, order_date as record_date from {{ ref('plan_order_dates') }} where order_date is not null
    union all
    select 'clickstream' as dataset, event_date as record_date from {{ ref('plan_event_dates') }}
)

select *, '{{ var("build_id", "dev") }}' as build_id, '{{ var("model_version", "dev") }}' as model_version from final
