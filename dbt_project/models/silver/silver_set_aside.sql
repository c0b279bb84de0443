with final as (
    {% for dataset in datasets() -%}
    select
        '{{ dataset }}' as dataset,
        batch_id,
        record_no,
        record_date,
        concat_ws(' ', {{ contract(dataset).meta.key | join(', ') }}) as record_key,
        decision,
        fate
    from {{ ref('records_' ~ dataset).include(database=false) }}
    where fate <> 'current'
    union all
    {% endfor -%}
    select dataset, batch_id, record_no, record_date, null as record_key, decision, fate
    from {{ ref('records_refused').include(database=false) }}
    where fate <> 'dead_letter'
)

select * from final
