with final as (
    {% for dataset in datasets() -%}
    select
        '{{ dataset }}' as dataset,
        batch_id,
        record_no,
        record_date,
        concat_ws(' ', {{ contract(dataset).meta.key | join(', ') }}) as record_key,
        fate
    from {{ ref('records_' ~ dataset).include(database=false) }}
    where fate <> 'current'
    {{ 'union all' if not loop.last }}
    {% endfor -%}
)

select * from final
