{# Relations. #}

{# All columns but some, of one relation of a join if it is named. #}
{% macro star_without(columns, relation=none) %}{{ return(adapter.dispatch('star_without')(columns, relation)) }}{% endmacro %}
{% macro duckdb__star_without(columns, relation) %}{{ return((relation ~ '.' if relation else '') ~ '* exclude (' ~ columns | join(', ') ~ ')') }}{% endmacro %}
{% macro spark__star_without(columns, relation) %}{{ return((relation ~ '.' if relation else '') ~ '* except (' ~ columns | join(', ') ~ ')') }}{% endmacro %}

{# All columns, some of them with other values: a mapping from names to SQL. Spark puts these last. #}
{% macro star_replacing(values, relation=none) %}{{ return(adapter.dispatch('star_replacing')(values, relation)) }}{% endmacro %}
{% macro duckdb__star_replacing(values, relation) %}
    {% set parts = [] %}
    {% for name, sql in values.items() %}{% do parts.append(sql ~ ' as ' ~ name) %}{% endfor %}
    {{ return((relation ~ '.' if relation else '') ~ '*' ~ (' replace (' ~ parts | join(', ') ~ ')' if parts else '')) }}
{% endmacro %}
{% macro spark__star_replacing(values, relation) %}
    {% set parts = [] %}
    {% for name, sql in values.items() %}{% do parts.append(sql ~ ' as ' ~ name) %}{% endfor %}
    {{ return((relation ~ '.' if relation else '') ~ '*' ~ (' except (' ~ values.keys() | join(', ') ~ '), ' ~ parts | join(', ') if parts else '')) }}
{% endmacro %}

{# Join, to each row, the row of another relation with the same key and the greatest `since` that is not after the row's time, or,
   if `is_before`, that is before it. `how` is left or inner. One row per key and `since`. #}
{% macro asof_join(how, relation, alias, keys, at, since, is_before=false) %}{{ return(adapter.dispatch('asof_join')(how, relation, alias, keys, at, since, is_before)) }}{% endmacro %}
{% macro duckdb__asof_join(how, relation, alias, keys, at, since, is_before) %}
    {% set same = [] %}
    {% for own, other in keys.items() %}{% do same.append(own ~ ' = ' ~ alias ~ '.' ~ other) %}{% endfor %}
    {{ return('asof ' ~ how ~ ' join ' ~ (relation if relation == alias else relation ~ ' as ' ~ alias) ~ ' on ' ~ same | join(' and ') ~ ' and ' ~ at ~ (' > ' if is_before else ' >= ') ~ alias ~ '.' ~ since) }}
{% endmacro %}
{# Spark has no such join: each row lasts until the next one of its key, so that at most one matches. #}
{% macro spark__asof_join(how, relation, alias, keys, at, since, is_before) %}
    {% set same, until = [], alias ~ '.' ~ since ~ '_next' %}
    {% for own, other in keys.items() %}{% do same.append(own ~ ' = ' ~ alias ~ '.' ~ other) %}{% endfor %}
    {{ return(how ~ ' join (select *, lead(' ~ since ~ ') over (partition by ' ~ keys.values() | join(', ') ~ ' order by ' ~ since ~ ') as ' ~ since ~ '_next from ' ~ relation ~ ') as ' ~ alias
        ~ ' on ' ~ same | join(' and ') ~ ' and ' ~ at ~ (' > ' if is_before else ' >= ') ~ alias ~ '.' ~ since
        ~ ' and (' ~ until ~ ' is null or ' ~ at ~ (' <= ' if is_before else ' < ') ~ until ~ ')') }}
{% endmacro %}

{# The rows of two queries, whose columns may be in another order; `columns` are those of both. #}
{% macro union_by_name(one, other, columns) %}{{ adapter.dispatch('union_by_name')(one, other, columns) }}{% endmacro %}
{% macro duckdb__union_by_name(one, other, columns) -%}
    {{ one }}
    union all by name
    {{ other }}
{%- endmacro %}
{% macro spark__union_by_name(one, other, columns) -%}
    {%- set names = columns.keys() | join(', ') or '*' -%}
    select {{ names }} from ({{ one }})
    union all
    select {{ names }} from ({{ other }})
{%- endmacro %}

{# Says that a CTE which is used several times reads its tables each time. DuckDB would keep its rows in memory in between, which for
   millions of wide rows takes longer than to read a few of their columns again. #}
{% macro read_again() %}{{ adapter.dispatch('read_again')() }}{% endmacro %}
{% macro spark__read_again() %}{% endmacro %}
{% macro duckdb__read_again() %} not materialized{% endmacro %}

{# A table of another database, such as the state; none if it is not there. To Spark it is handed as Parquet (warehouse/spark.py). #}
{% macro relation_in(database, schema, table) %}{{ return(adapter.dispatch('relation_in')(database, schema, table)) }}{% endmacro %}
{% macro duckdb__relation_in(database, schema, table) %}{{ return(adapter.get_relation(database, schema, table)) }}{% endmacro %}
{% macro spark__relation_in(database, schema, table) %}
    {% set name = [database, schema, table] | join('.') %}
    {% set files = var('handed').get('every_model') or var('handed').get(model.name) or {} %}
    {% if var('handed') and not var('handed').get('every_model') and name not in files %}
        {{ exceptions.raise_compiler_error(model.name ~ " reads " ~ name ~ ", which Spark was not handed. Next: add the tag beside_state to the model in dbt_project.yml") }}
    {% endif %}
    {{ return('parquet.`' ~ files[name] ~ '`' if files.get(name) else none) }}
{% endmacro %}

{# A table of the state before this build, with the columns of its model: see macros/state.sql. #}
{% macro duckdb__before(model) -%}
    {%- set found = namespace(relation=none) -%}
    {%- if execute -%}
        {%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] -%}
        {%- set found.relation = relation_in('state', node.schema, node.alias) -%}
    {%- endif -%}
    (
    select {% if execute -%}
        {%- for column in node.columns.values() %} cast(null as {{ column.data_type }}) as {{ column.name }}{{ ',' if not loop.last }}{%- endfor -%}
    {%- else %} null as nothing {%- endif %} where false
    {%- if found.relation is not none %}
    union all by name select columns(lambda name: name in ({{ quoted(node.columns) }})) from {{ found.relation }}
    {%- endif %}
    )
{%- endmacro %}
{% macro spark__before(model) -%}
    {%- set columns = columns_of(model) -%}
    {%- set found = namespace(had=none) -%}
    {%- if execute -%}
        {%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] -%}
        {%- set relation = relation_in('state', node.schema, node.alias) -%}
        {%- if relation is not none -%}{%- set found.had = run_query('describe query select * from ' ~ relation).columns[0].values() | list -%}{%- endif -%}
    {%- endif -%}
    (
    select
        {%- for name, type in columns.items() %} cast({{ name if found.had and name in found.had else 'null' }} as {{ sql_type(type) }}) as {{ name }}{{ ',' if not loop.last }}{% endfor -%}
        {{ ' null as nothing' if not columns }}
    {% if found.had %}from {{ relation }}{% else %}where false{% endif %}
    )
{%- endmacro %}
