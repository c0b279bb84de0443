-- A column of the contract that a table no longer has: nulls where it is optional, dead letters where it is required.
{{ config(severity='warn', meta={'finding': 'the source no longer delivers these columns of the contract, so they are null, or their records are refused if they are required. Next: restore the columns at the source, or make them optional in the contract'}) }}
{% for dataset in datasets() if contract(dataset).meta.format == 'rows' %}
select '{{ dataset }}' as dataset, batch_id, unnest(list_filter(
    ['{{ column_names(dataset) | join("', '") }}'],
    lambda name: not list_contains(columns, name) and len(list_filter(columns, lambda other: lower(other) = lower(name))) <> 1
)) as column_name
from {{ ref('plan_batches') }}
where dataset = '{{ dataset }}' and is_entering and records_written > 0 and source not in ('corrections', 'decisions')
{{ 'union all' if not loop.last }}
{% endfor %}
