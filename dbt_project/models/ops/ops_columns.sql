-- from every batch that has entered, so that the result does not depend on the order of builds
with batches as (
    select dataset, batch_id, landed_at, columns from ({{ whole('ops_batches') }}) where source not in ('corrections')
),

seen as (
    {% for dataset in datasets() -%}
    {% set the = contract(dataset) -%}
    {# the keys of a JSON object must match exactly: a key that differs by case does not count as the column -#}
    {% set listed = '[]' if the.meta.format == 'json_lines' else 'columns' -%}
    select dataset, column_name, batch_id, landed_at, {{ is_meant('column_name', listed, names_read_beside(dataset)) }} as is_in_contract
    from (select *, unnest(columns) as column_name from batches where dataset = '{{ dataset }}')
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

final as (
    select
        dataset,
        column_name,
        min_by(batch_id, landed_at::varchar || batch_id) as first_batch_id,
        min(landed_at) as first_landed_at,
        bool_and(is_in_contract) as is_in_contract
    from seen
    group by dataset, column_name
)

select * from final
