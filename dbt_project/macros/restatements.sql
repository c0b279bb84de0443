{# What readers were given before this build: the state, also of a build that starts over from an empty one. #}
{% macro given_before(model) -%}
    {%- set relation = none -%}
    {%- if execute -%}
        {%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] -%}
        {%- set relation = adapter.get_relation('previous', node.schema, node.alias) or adapter.get_relation('state', node.schema, node.alias) -%}
    {%- endif -%}
    {%- if relation is not none -%} {{ relation }} {%- else -%} (select * from {{ ref(model) }} where false) {%- endif -%}
{%- endmacro %}

{# The measures of one gold table that differ on dates that readers had: one row a measure. #}
{% macro restatements_of(model) %}
{% set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] if execute else {'config': {'meta': {'grain': [], 'date': 'null', 'apply': {'match': 'plan_dates', 'by': []}}}, 'columns': {}, 'alias': model} %}
{% set meta = node.config.meta %}
{% set lateness = contract(meta.dataset or (meta.trace.from | replace('silver_', ''))).meta.lateness if execute else '2 days' %}
{% set measures = node.columns.keys() | reject('in', meta.grain) | list %}
{% set by = meta.apply.by if meta.apply.by is mapping else dict(zip(meta.apply.by, meta.apply.by)) %}
    with given as (
        select *, {{ meta.date }} as given_date from {{ given_before(model) }} as given
        where
            exists (select 1 from {{ ref(meta.apply.match) }} as touched where {% for column, expression in by.items() %}touched.{{ column }} is not distinct from {{ expression }}{{ ' and ' if not loop.last }}{% endfor %}{{ 'true' if not by }})
    ),

    made as (
        select *, {{ meta.date }} as made_date from {{ ref(model) }}
    ),

    both_sides as (
        select
            coalesce(given_date, made_date) as gold_date,
            concat_ws(' ', {% for name in meta.grain %}coalesce(given.{{ name }}, made.{{ name }}){{ ', ' }}{% endfor %}'') as row_key
            {%- for name in measures %},
            cast(given.{{ name }} as decimal(38, 4)) as {{ name }}_before,
            cast(made.{{ name }} as decimal(38, 4)) as {{ name }}_after
            {%- endfor %}
        from given
        full join made on {{ same('given', 'made', meta.grain) }}
        where coalesce(given_date, made_date) in (select given_date from given)
    )

    {% for name in measures %}
    select '{{ node.alias }}' as gold_table, gold_date, trim(row_key) as row_key, '{{ name }}' as measure, interval '{{ lateness }}' as lateness, {{ name }}_before as value_before, {{ name }}_after as value_after
    from both_sides
    where {{ name }}_before is distinct from {{ name }}_after
    {{ 'union all' if not loop.last }}
    {% endfor %}
    {%- if not measures %} select '' as gold_table, null as gold_date, '' as row_key, '' as measure, interval '0 days' as lateness, null as value_before, null as value_after {% endif -%}
{% endmacro %}
