{# What readers were given before this build: the state, also of a build that starts over from an empty one. #}
{% macro given_before(model) -%}
    {%- set relation = none -%}
    {%- if execute -%}
        {%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] -%}
        {%- set relation = adapter.get_relation('previous', node.schema, node.alias) or adapter.get_relation('state', node.schema, node.alias) -%}
    {%- endif -%}
    {%- if relation is not none -%} {{ relation }} {%- else -%} (select * from {{ ref(model) }} where false) {%- endif -%}
{%- endmacro %}

{# The columns of a table that are numbers, and no part of its grain. #}
{% macro measures_of(node) %}
    {% set found = [] %}
    {% for column in node.columns.values() if column.name not in node.config.meta.grain and column.data_type.split('(')[0] in ('bigint', 'integer', 'decimal', 'double') %}
        {% do found.append(column.name) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# The measures of one gold table that differ on dates that readers had: one row a measure. A build that starts over is compared
   with all that they had, any other with the rows that it replaces. #}
{% macro restatements_of(model) %}
{% set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] if execute else {} %}
{% set measures = measures_of(node) if execute else [] %}
{% if not measures %}
    -- depends_on: {{ ref(model) }}
    select '' as gold_table, date '2000-01-01' as gold_date, '' as row_key, '' as measure, interval '0 days' as lateness,
        cast(null as decimal(38, 4)) as value_before, cast(null as decimal(38, 4)) as value_after
    where false
{% else %}
{% set meta = node.config.meta %}
{% set lateness = contract(meta.dataset or (meta.trace.from | replace('silver_', ''))).meta.lateness %}
    with given as (
        select *, {{ meta.date }} as given_date from {{ given_before(model) }} as given
        {%- if not adapter.get_relation('previous', node.schema, node.alias) %}
        where {{ is_replaced(model) }}
        {%- endif %}
    ),

    made as (
        select *, {{ meta.date }} as made_date from {{ ref(model) }}
    ),

    measured as (
        select
            coalesce(given_date, made_date) as gold_date,
            trim(concat_ws(' ', {% for name in meta.grain %}coalesce(given.{{ name }}, made.{{ name }}){{ ', ' }}{% endfor %}'')) as row_key,
            unnest([
                {%- for name in measures %}
                {'measure': '{{ name }}', 'value_before': cast(given.{{ name }} as decimal(38, 4)), 'value_after': cast(made.{{ name }} as decimal(38, 4))}{{ ',' if not loop.last }}
                {%- endfor %}
            ], recursive := true)
        from given
        full join made on {{ same('given', 'made', meta.grain) }}
        where coalesce(given_date, made_date) in (select given_date from given)
    )

    select '{{ node.alias }}' as gold_table, gold_date, row_key, measure, interval '{{ lateness }}' as lateness, value_before, value_after
    from measured
    where value_before is distinct from value_after
{% endif %}
{% endmacro %}
