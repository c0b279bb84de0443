{# How Spark writes what a model selects: Parquet, with the names and types that the model's YAML declares. #}
{% macro spark__create_table_as(temporary, relation, compiled_code, language='sql') %}
    create table {{ relation }} using parquet location {{ spark_folder(relation) }} as
    select {{ typed_columns(model.columns) }} from (
    {{ compiled_code }}
    )
{% endmacro %}

{#- The same as for DuckDB: the rows that change are a table, and the model's name is a view of them and of the others on their dates,
    for the models that Spark makes of it. -#}
{% materialization changes, adapter="spark" %}
    {%- set had = relation_in('state', this.schema, this.identifier) -%}
    {%- if had is none -%}{{ return(materialization_table_spark()) }}{%- endif -%}
    {%- set match = ref(model.config.meta.apply.match) -%}
    {%- set date = date_matched(model.config.meta.apply) -%}
    {%- set kept = literals(match, date) -%}
    {%- set names = model.columns.keys() | join(', ') -%}
    {%- set rows = this.incorporate(path={"schema": "changed", "identifier": model.name}, type="table") -%}
    {%- set target_relation = this.incorporate(type="view") -%}
    {{ run_hooks(pre_hooks) }}
    {%- call statement("schema") %}create schema if not exists {{ rows.without_identifier() }}{% endcall -%}
    {%- call statement("rows") -%}{{ create_table_as(False, rows, compiled_code) }}{%- endcall -%}
    {%- call statement("main") -%}
        create or replace view {{ target_relation }} as
        select {{ names }} from {{ rows }}
        union all
        select {{ names }} from {{ before(model.name) }} anti join {{ replaced(model.name, date ~ " in (" ~ kept ~ ")") }} where {{ date }} in ({{ kept }})
    {%- endcall -%}
    {{ run_hooks(post_hooks) }}
    {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}

{# The folder of a table, as a text in SQL. One that an earlier run left is overwritten. A path may hold a quote, and Spark knows two. #}
{% macro spark_folder(relation) %}
    {% set tables = env_var('CLEARWELL_SPARK_TABLES', env_var('CLEARWELL_HOME', '../data') ~ '/spark') %}
    {% set quote = '"' if "'" in tables else "'" %}
    {{ return(quote ~ tables ~ '/' ~ relation.schema ~ '/' ~ relation.identifier ~ quote) }}
{% endmacro %}

{% macro typed_columns(columns) %}
    {% set casts = [] %}
    {% for column in columns.values() if column.data_type %}
        {% do casts.append('cast(' ~ column.name ~ ' as ' ~ sql_type(column.data_type) ~ ') as ' ~ column.name) %}
    {% endfor %}
    {{ return(casts | join(', ') or '*') }}
{% endmacro %}

{# Spark's types of a seed's columns: those that its YAML says, and else what dbt finds that the values are. #}
{% macro types_of_seed(model, agate_table) %}
    {% set types = {} %}
    {% for name in agate_table.column_names %}
        {% do types.update({name: sql_type(model.config.column_types.get(name) or adapter.convert_type(agate_table, loop.index0))}) %}
    {% endfor %}
    {{ return(types) }}
{% endmacro %}

{# dbt-spark binds a missing value as the text None, and a number as a double. #}
{% macro spark__create_csv_table(model, agate_table) %}
    {% set columns = [] %}
    {% for name, type in types_of_seed(model, agate_table).items() %}{% do columns.append(name ~ ' ' ~ type) %}{% endfor %}
    {% call statement('_') %}create table {{ this.render() }} ({{ columns | join(', ') }}) using parquet location {{ spark_folder(this) }}{% endcall %}
    {{ return('') }}
{% endmacro %}

{% macro spark__load_csv_rows(model, agate_table) %}
    {% set types = types_of_seed(model, agate_table) %}
    {% set rows = [] %}
    {% for row in agate_table.rows %}
        {% set cells = [] %}
        {% for name, type in types.items() %}
            {% do cells.append('cast(' ~ (literal(row[name] | string) if row[name] is not none else 'null') ~ ' as ' ~ type ~ ')') %}
        {% endfor %}
        {% do rows.append('(' ~ cells | join(', ') ~ ')') %}
    {% endfor %}
    {% set sql = 'insert overwrite ' ~ this.render() ~ ' values ' ~ rows | join(', ') %}
    {% do adapter.add_query(sql, abridge_sql_log=True) %}
    {{ return('insert overwrite ' ~ this.render()) }}
{% endmacro %}

{# Parquet tables of Spark keep no constraints: the tests see to them. #}
{% macro spark__persist_constraints(relation, model) %}{% endmacro %}
