-- Values that the contract does not list, where it says `unlisted: warn`: their records stay, under the values' own names.
{{ config(severity='warn', meta={'finding': 'these values are not in the list of the contract. Next: add them to `allowed`, or to `roles` if models are to know them'}) }}
{% for dataset in datasets() %}
-- depends_on: {{ ref('staging_' ~ dataset) }}
{% for column in contract(dataset).columns if (column.config.meta or {}).get('unlisted') == 'warn' %}
select '{{ dataset }}' as dataset, '{{ column.name }}' as column_name, {{ kinds_of_characters(column.name) if column.config.meta.get('personal') else 'cast(' ~ column.name ~ ' as varchar)' }} as value, count(*) as records
from {{ ref('staging_' ~ dataset) }}
where reasons is null and {{ column.name }} not in ({{ listed(column.config.meta.allowed) }})
group by all
union all
{% endfor %}
{% endfor %}
select null as dataset, null as column_name, null as value, null as records
where false
