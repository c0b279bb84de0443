with final as (
    select {{ star_without(['record_date', 'is_deleted', 'decision', 'fate', 'batch_id', 'record_no']) }}, batch_id, record_no
    from {{ ref('records_customers') }}
    where fate = 'current' and not is_deleted
)

select * from final
