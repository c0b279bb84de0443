{# These columns are never null. The rows are kept with the finding, which readers are given: without what is personal. #}
{% test complete(model, columns) %}
{{ config(meta={'finding': 'these rows have a null in a column that must not be null.'}) }}
{%- set away = ['raw'] -%}
{%- for node in (graph.sources.values() if execute else []) -%}
    {%- for column in node.columns.values() if (column.config.meta or {}).get('personal') and column.name not in columns -%}
        {%- do away.append(column.name) -%}
    {%- endfor -%}
{%- endfor %}
select columns(lambda name: name not in ('{{ away | unique | join("', '") }}'))
from {{ model }}
where {% for column in columns %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %}
{% endtest %}
