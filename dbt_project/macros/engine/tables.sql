{# How Spark writes what a model selects: Parquet, with the names and types that the model's YAML declares. #}
{% macro spark__create_table_as(temporary, relation, compiled_code, language='sql') %}
    create table {{ relation }} using parquet location '{{ spark_folder(relation) }}' as
    select {{ typed_columns(model.columns) }} from (
    {{ compiled_code }}
    )
{% endmacro %}

{# The folder of a table. One that an earlier run left is overwritten. #}
{% macro spark_folder(relation) %}
    {{ return(env_var('CLEARWELL_SPARK_TABLES', env_var('CLEARWELL_HOME', '../data') ~ '/spark') ~ '/' ~ relation.schema ~ '/' ~ relation.identifier) }}
{% endmacro %}

{% macro typed_columns(columns) %}
    {% set casts = [] %}
    {% for column in columns.values() if column.data_type %}
        {% do casts.append('cast(' ~ column.name ~ ' as ' ~ sql_type(column.data_type) ~ ') as ' ~ column.name) %}
    {% endfor %}
    {{ return(casts | join(', ') or '*') }}
{% endmacro %}

{# dbt-spark binds a missing value as the text None, and a number as a double. #}
{% macro spark__create_csv_table(model, agate_table) %}
    {% set types = model.config.column_types %}
    {% set columns = [] %}
    {% for name in agate_table.column_names %}{% do columns.append(name ~ ' ' ~ sql_type(types[name])) %}{% endfor %}
    {% call statement('_') %}create table {{ this.render() }} ({{ columns | join(', ') }}) using parquet location '{{ spark_folder(this) }}'{% endcall %}
    {{ return('') }}
{% endmacro %}

{% macro spark__load_csv_rows(model, agate_table) %}
    {% set types = model.config.column_types %}
    {% set rows = [] %}
    {% for row in agate_table.rows %}
        {% set cells = [] %}
        {% for name in agate_table.column_names %}
            {% do cells.append('cast(' ~ (literal(row[name] | string) if row[name] is not none else 'null') ~ ' as ' ~ sql_type(types[name]) ~ ')') %}
        {% endfor %}
        {% do rows.append('(' ~ cells | join(', ') ~ ')') %}
    {% endfor %}
    {% set sql = 'insert overwrite ' ~ this.render() ~ ' values ' ~ rows | join(', ') %}
    {% do adapter.add_query(sql, abridge_sql_log=True) %}
    {{ return('insert overwrite ' ~ this.render()) }}
{% endmacro %}

{# Parquet tables of Spark keep no constraints: the tests see to them. #}
{% macro spark__persist_constraints(relation, model) %}{% endmacro %}
