{# What readers were given before this build: the state, also of a build that starts over from an empty one. #}
{% macro given_before(model) -%}
    {%- set relation = none -%}
    {%- if execute -%}
        {%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] -%}
        {%- set relation = adapter.get_relation('previous', node.schema, node.alias) or adapter.get_relation('state', node.schema, node.alias) -%}
    {%- endif -%}
    {%- if relation is not none -%} {{ relation }} {%- else -%} (select * from {{ ref(model) }} where false) {%- endif -%}
{%- endmacro %}

{# The measures of one gold table that differ on dates that readers had: one row a measure. A build that starts over is compared
   with all that they had, any other with the rows that it replaces. #}
{% macro restatements_of(model) %}
{% if not execute %}
    -- depends_on: {{ ref(model) }}
    select '' as gold_table, null as gold_date, '' as row_key, '' as measure, null as lateness, null as value_before, null as value_after
{% else %}
{% set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] %}
{% set meta = node.config.meta %}
{% set lateness = contract(meta.dataset or (meta.trace.from | replace('silver_', ''))).meta.lateness %}
{% set measures = node.columns.keys() | reject('in', meta.grain) | list %}
{% set by = meta.apply.by if meta.apply.by is mapping else dict(zip(meta.apply.by, meta.apply.by)) %}
    with given as (
        select *, {{ meta.date }} as given_date from {{ given_before(model) }} as given
        {%- if not adapter.get_relation('previous', node.schema, node.alias) %}
        where
            exists (
                -- renamed, since a name that both sides have would mean the inner side twice, and match every row
                select 1
                from (select {% for column in by %}{{ column }} as touched_{{ column }}{{ ', ' if not loop.last }}{% endfor %} from {{ ref(meta.apply.match) }})
                where {% for column, expression in by.items() %}touched_{{ column }} is not distinct from {{ expression }}{{ ' and ' if not loop.last }}{% endfor %}
            )
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
