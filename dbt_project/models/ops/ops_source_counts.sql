with counts as (
    select * from {{ ref('records_source_counts') }} where fate = 'current'
),

final as (
    select dataset, event_date, currency, records, amount, counted_at, batch_id, record_no from counts
)

select * from final
