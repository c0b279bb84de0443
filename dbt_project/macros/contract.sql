{# The contract of a dataset, read from its source YAML. Empty while dbt parses: the graph does not exist yet. #}

{% macro contract(dataset) %}
    {% if not execute %}{{ return({'meta': {'key': [], 'format': 'rows'}, 'columns': []}) }}{% endif %}
    {% for node in graph.sources.values() if node.name == dataset %}
        {{ return({'meta': node.config.meta, 'columns': node.columns.values() | list}) }}
    {% endfor %}
    {{ exceptions.raise_compiler_error("dataset " ~ dataset ~ " has no contract. Next: add models/staging/staging_" ~ dataset ~ ".yml") }}
{% endmacro %}

{# dbt builds its graph before it knows the sources, so dbt_project.yml lists the datasets. #}
{% macro datasets() %}{{ return(var('datasets')) }}{% endmacro %}

{# The columns that identify a key in records: an event's date is part of its key. #}
{% macro key_columns(dataset) %}
    {% set meta = contract(dataset).meta %}
    {{ return(meta.key + (['record_date'] if meta.get('dated_key') else [])) }}
{% endmacro %}

{% macro column_names(dataset) %}
    {{ return(contract(dataset).columns | map(attribute='name') | list) }}
{% endmacro %}

{# The names that a column may have at its source: its own, unless the contract says `from`. #}
{% macro names_at_source(column) %}
    {% set said = (column.config.meta or {}).get('from') or column.name %}
    {{ return([said] if said is string else said) }}
{% endmacro %}

{% macro all_names_at_source(dataset) %}
    {% set names = [] %}
    {% for column in contract(dataset).columns %}{% do names.extend(names_at_source(column)) %}{% endfor %}
    {{ return(names) }}
{% endmacro %}

{# Join condition over columns that may be null. #}
{% macro same(left, right, columns) -%}
    {%- for column in columns -%}
        {{ left }}.{{ column }} is not distinct from {{ right }}.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
    {%- if not columns -%} true {%- endif -%}
{%- endmacro %}
