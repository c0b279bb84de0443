with final as (
    select order_date from {{ ref('plan_order_dates') }}
    union
    select event_date as order_date from {{ ref('plan_keys_source_counts') }} where dataset = 'order_items'
)

select * from final
