with final as (
    {% for dataset in datasets() -%}
    select '{{ dataset }}' as dataset, batch_id, record_no, record_date, reasons, raw, source_file, source_line
    from {{ ref('staging_' ~ dataset) }}
    where reasons is not null
    {{ 'union all' if not loop.last }}
    {% endfor -%}
)

select * from final
