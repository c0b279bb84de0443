with final as (
    select dataset, batch_id, record_no, record_date, reasons, raw, source_file, source_line
    from {{ ref('records_refused') }}
    where fate = 'dead_letter'
)

select * from final
