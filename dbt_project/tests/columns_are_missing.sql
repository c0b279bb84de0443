-- A column of the contract that a table no longer has: nulls where it is optional, dead letters where it is required.
-- A batch of deleted keys has no other column.
{{ config(severity='warn', meta={'finding': 'the source does not deliver these columns of the contract, so they are null, or their records are refused if they are required. Next: restore the columns at the source, or say `absent: true` or a `constant` in the contract'}) }}
{% for dataset in datasets() if contract(dataset).meta.format == 'rows' %}
select '{{ dataset }}' as dataset, batch_id, unnest(list_filter([
    {%- for column in contract(dataset).columns if is_at_source(column) %}
    case when len(list_filter(
        [{{ listed(names_at_source(column)) }}],
        lambda name: list_contains(columns, name) or len(list_filter(columns, lambda other: lower(other) = lower(name))) = 1
    )) = 0 then '{{ column.name }}' end{{ ',' if not loop.last }}
    {%- endfor %}
]::varchar[], lambda name: name is not null)) as column_name
from {{ ref('plan_batches') }}
where dataset = '{{ dataset }}' and is_entering and records_written > 0 and part is distinct from 'gone' and source not in ('corrections', 'decisions')
{{ 'union all' if not loop.last }}
{% endfor %}
