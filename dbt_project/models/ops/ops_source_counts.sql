with counts as (
    select * from {{ ref('records_source_counts') }} where fate = 'current' and not is_deleted
),

final as (
    select dataset, event_date, currency, records, amount, landed_records, landed_amount, note, counted_at, batch_id, record_no from counts
)

select * from final
