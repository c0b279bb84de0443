-- counted where the records are parsed, before any of them has a fate
with final as (
    {% for dataset in datasets() -%}
    select '{{ dataset }}' as dataset, batch_id, record_date, count(*) as records
    from {{ ref('staging_' ~ dataset) }}
    group by batch_id, record_date
    {{ 'union all' if not loop.last }}
    {% endfor -%}
)

select * from final
