with final as (
    select dataset, record_date from {{ ref('plan_touched') }}
    union
    select unnest(['orders', 'order_items']) as dataset, order_date as record_date from {{ ref('plan_order_dates') }}
    union
    select dataset, record_date from {{ ref('plan_dates') }}
    union
    select dataset, event_date as record_date from {{ ref('plan_keys_source_counts') }}
)

select * from final
