-- depends_on: {{ ref('plan_keys_decisions') }} {{ ref('records_decisions') }}
-- A column is told when it is first seen. Of lines, the first thousand of each batch are looked at.
with
{% for dataset in datasets() %}
{% set the = contract(dataset) %}
{{ dataset }}_seen as (
    {% if the.meta.format == 'json_lines' %}
    select regexp_extract(bronze_file, '([^/\\]+)[/\\][^/\\]+$', 1) as batch_id, unnest(json_keys(raw)) as column_name, [] as columns
    from ({{ read_bronze(dataset) }})
    where record_no <= 1000 and json_valid(raw) and json_type(raw) = 'OBJECT'
    {% else %}
    select batch_id, unnest(columns) as column_name, columns from {{ ref('plan_batches') }} where dataset = '{{ dataset }}' and is_entering
    {% endif %}
),

{{ dataset }} as (
    select
        '{{ dataset }}' as dataset,
        seen.column_name,
        min_by(batches.batch_id, batches.landed_at::varchar || batches.batch_id) as first_batch_id,
        min(batches.landed_at) as first_landed_at,
        bool_and({{ is_meant('seen.column_name', 'seen.columns', column_names(dataset)) }}) as is_in_contract
    from {{ dataset }}_seen as seen
    inner join {{ ref('plan_batches') }} as batches using (batch_id)
    where batches.source not in ('corrections')
    group by seen.column_name
),
{% endfor %}
seen as (
    {% for dataset in datasets() -%}
    select * from {{ dataset }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

final as (
    select * from seen
    anti join {{ before('ops_columns') }} as known using (dataset, column_name, is_in_contract)
)

select * from final
