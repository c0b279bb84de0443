{# The table of the state before this build, also for a full build, which starts from an empty state. #}
{% macro relation_given(model) %}
    {% set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] %}
    {{ return(adapter.get_relation('previous', node.schema, node.alias) or adapter.get_relation('state', node.schema, node.alias)) }}
{% endmacro %}

{# The same table with the model's present columns: a column that it did not have is null, and so is a value of another type. #}
{% macro given_before(model) -%}
    {%- set relation = relation_given(model) if execute else none -%}
    {%- if relation is none -%} (select * from {{ ref(model) }} where false)
    {%- else -%}
    {%- set had = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
    (
        select
            {%- for column in graph.nodes['model.' ~ project_name ~ '.' ~ model].columns.values() %}
            try_cast({{ column.name if column.name in had else 'null' }} as {{ column.data_type }}) as {{ column.name }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ relation }}
    )
    {%- endif -%}
{%- endmacro %}

{% macro is_a_number(type) %}{{ return(type.split('(')[0] in ('bigint', 'hugeint', 'integer', 'decimal', 'double', 'float')) }}{% endmacro %}

{# The numeric columns of a table that are not part of its grain. #}
{% macro measures_of(node) %}
    {% set found = [] %}
    {% for column in node.columns.values() if column.name not in node.config.meta.grain and is_a_number(column.data_type) %}
        {% do found.append(column.name) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# The measures that the table before this build had as well, as numbers; none if its grain was another one. #}
{% macro measures_given(model) %}
    {% set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] %}
    {% set relation = relation_given(model) %}
    {% if relation is none %}{{ return(measures_of(node)) }}{% endif %}
    {% set had = {} %}
    {% for column in adapter.get_columns_in_relation(relation) %}{% do had.update({column.name: column.dtype | lower}) %}{% endfor %}
    {% for name in node.config.meta.grain if name not in had %}{{ return([]) }}{% endfor %}
    {% set found = [] %}
    {% for name in measures_of(node) if name in had and is_a_number(had[name]) %}{% do found.append(name) %}{% endfor %}
    {{ return(found) }}
{% endmacro %}

{# The measures of one gold table that changed on dates published before: one row per measure. A full build is compared with
   all published rows, any other build with the rows that it replaces. #}
{% macro restatements_of(model) %}
{% set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] if execute else {} %}
{% set measures = measures_given(model) if execute else [] %}
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
        semi join {{ replaced(model) }}
        {%- else %}
        -- rows of another grain cannot be compared
        qualify count(*) over (partition by {{ meta.grain | join(', ') }}) = 1
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
