-- every term is counted from the table that holds the records; none is "the rest"
with
{% for dataset in datasets() %}
{% set keys = ref('plan_keys_' ~ dataset) %}
{% set touched = "(select record_date from " ~ ref('plan_touched') ~ " where dataset = '" ~ dataset ~ "')" %}
{{ dataset }} as (
    select '{{ dataset }}' as dataset, batch_id, record_date, fate from {{ ref('records_' ~ dataset) }}
    union all
    select '{{ dataset }}' as dataset, batch_id, record_date, fate from {{ before('records_' ~ dataset) }} as state
    where
        record_date in ({{ literals(touched, 'record_date') }})
        and not exists (select 1 from {{ keys }} as touched where {{ same('touched', 'state', contract(dataset).meta.key + ['record_date']) }})
),
{% endfor %}
dead_letters as (
    select dataset, batch_id, record_date, 'dead_letter' as fate from {{ ref('silver_dead_letters') }}
    union all
    select state.dataset, state.batch_id, state.record_date, 'dead_letter' as fate
    from {{ before('silver_dead_letters') }} as state
    inner join {{ ref('plan_touched') }} as touched on {{ same('touched', 'state', ['dataset', 'record_date']) }}
    where state.batch_id not in (select batch_id from {{ ref('plan_batches') }})
),

records as (
    {% for dataset in datasets() %}select * from {{ dataset }}
    union all
    {% endfor -%}
    select * from dead_letters
),

final as (
    select dataset, batch_id, record_date, fate, count(*) as records
    from records
    group by dataset, batch_id, record_date, fate
)

select * from final
