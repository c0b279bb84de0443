{#- Create a table of a build in two statements, where dbt-duckdb takes seven: a build's file is new, so no earlier table has to
    be kept and swapped. `dbt build` typed by hand replaces the table in one transaction. -#}
{% materialization table, adapter="duckdb", supported_languages=["sql", "python"] %}
    {%- set language = model["language"] -%}
    {%- set target_relation = this.incorporate(type="table") -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- do drop_relation_if_exists(load_cached_relation(this)) -%}
    {%- call statement("main", language=language) -%}
        {{ create_table_as(False, target_relation, compiled_code, language) }}
    {%- endcall -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}

{# Compare the columns of an enforced contract with those of the query in one statement. dbt's own macro asks DuckDB for the
   declared columns as well, and formats each column with two macros: it is left to say what differs. #}
{% macro duckdb__get_assert_columns_equivalent(sql) %}
    {%- set found = get_column_schema_from_query(sql) -%}
    {%- set types = {} -%}
    {%- for column in found -%}{%- do types.update({column.name: column.dtype | lower}) -%}{%- endfor -%}
    {%- set other = namespace(any=found | length != model.columns | length) -%}
    {%- for column in model.columns.values() if types.get(column.name) != column.data_type | lower | replace(", ", ",") -%}
        {%- set other.any = true -%}
    {%- endfor -%}
    {%- if other.any -%}{{ assert_columns_equivalent(sql) }}{%- endif -%}
{% endmacro %}
